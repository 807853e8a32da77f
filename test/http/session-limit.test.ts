import t from 'tap'
import { type Tokens, world } from '../support/world.js'

const limited = (sessionsPerAccount: number) => (options: Parameters<Parameters<typeof world>[1] & object>[0]) => ({
  ...options,
  flows: { ...options.flows, sessionsPerAccount }
})

t.test('a sign-in beyond the limit ends the oldest session, with its access tokens', async (t) => {
  const w = await world(t, limited(2))
  const username = await w.account()
  const sessions: Tokens[] = []
  for (let n = 0; n < 4; n++) {
    w.wait(1_000)
    sessions.push(await w.login(username))
  }
  await w.app.revocations.read()
  const statuses = await Promise.all(sessions.map(async (one) => (await w.get('/v1/me', one.access_token)).statusCode))
  t.same(statuses, [401, 401, 200, 200])
  t.match((await w.refresh(sessions[0]!.refresh_token)).json(), { code: 'session_revoked' })
  t.equal((await w.refresh(sessions[3]!.refresh_token)).statusCode, 200)
  const devices = (await w.get('/v1/sessions', sessions[3]!.access_token)).json().sessions
  t.equal(devices.length, 2)
})

t.test('with one session per account the newest alone is alive, however many sign in at once', async (t) => {
  const w = await world(t, limited(1))
  const replica = await w.replica(limited(1))
  await w.warm()
  const username = await w.account()
  const { password } = { password: 'correct horse battery' }
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, n) =>
      (n % 2 === 0 ? w.app : replica).inject({ method: 'POST', url: '/v1/login', payload: { username, password } })
    )
  )
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  const refreshed = await Promise.all(answers.map((answer) => w.refresh(answer.json().refresh_token)))
  t.equal(refreshed.filter(({ statusCode }) => statusCode === 200).length, 1)
})

t.test('sessions that have expired count no more, and other accounts never do', async (t) => {
  const w = await world(t, limited(1))
  const [ada, bob] = [await w.account(), await w.account()]
  const first = await w.login(ada)
  const other = await w.login(bob)
  w.wait(15 * 86_400_000)
  await w.login(ada)
  const rows = await w.app.db.selectFrom('session').select(['id', 'ended_because']).execute()
  t.same(
    rows.map(({ ended_because }) => ended_because),
    [null, null, null],
    'what was over by itself is not ended once more'
  )
  t.match((await w.refresh(first.refresh_token)).json(), { code: 'session_expired' })
  t.match((await w.refresh(other.refresh_token)).json(), { code: 'session_expired' })
})
