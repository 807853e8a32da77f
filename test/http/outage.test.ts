import t from 'tap'
import { faultyLink } from '../support/faulty-link.js'
import { until } from '../support/until.js'
import { goodPassword, world } from '../support/world.js'

t.test('whoever could not ask for a lost answer while the database was away is not taken for a thief', async (t) => {
  const clock = () => new Date()
  const w = await world(t, (options) => ({ ...options, clock }))
  const link = await faultyLink(t, w.url)
  const replayWindow = 2_000
  const replica = await w.replica((options) => ({
    ...options,
    clock,
    database: { ...options.database, url: link.url, timeout: 200 },
    flows: { ...options.flows, rotation: { replayWindow, lostResponse: 'recover' } },
    revocations: { ...options.revocations, pollInterval: 20 }
  }))
  const post = (url: string, payload: object) => replica.inject({ method: 'POST', url, payload })
  const signedIn = await post('/v1/login', { username: await w.account(), password: goodPassword })
  const refresh = () => post('/v1/refresh', { refresh_token: signedIn.json().refresh_token })

  t.equal((await refresh()).statusCode, 200, 'an answer that its client never sees')
  await link.cut()
  t.equal((await refresh()).statusCode, 503)
  t.ok(await until(() => replica.revocations.staleness() > 2 * replayWindow))
  const lasting = replica.revocations.outage()!
  t.ok(lasting.until.getTime() - lasting.since.getTime() > 2 * replayWindow, 'it is known while it lasts')
  await link.mend()
  t.ok(await until(() => replica.revocations.isCurrent()))
  const answer = await refresh()
  t.equal(answer.statusCode, 200, answer.body)
})
