import t, { type Test } from 'tap'
import { faultyLink } from '../support/faulty-link.js'
import { freePort } from '../support/service.js'
import { until } from '../support/until.js'
import { type Change, world } from '../support/world.js'

/** A replica that can be cut off from the database, and that reads often and is soon stale. */
async function cutOff(t: Test, whenStale: 'allow' | 'deny', change: Change = (options) => options) {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const replica = await w.replica((options) =>
    change({
      ...options,
      database: { ...options.database, url: link.url, timeout: 200 },
      revocations: { pollInterval: 10, maxStaleness: 500, whenStale }
    })
  )
  const { access_token } = await w.login(await w.account())
  const me = () => replica.inject({ url: '/v1/me', headers: { authorization: `Bearer ${access_token}` } })
  return { w, link, replica, me }
}

t.test('a replica that may have missed a revocation refuses to judge, says so, and heals by itself', async (t) => {
  const { link, replica, me } = await cutOff(t, 'deny')
  t.ok(await until(async () => (await me()).statusCode === 200))
  await link.cut()
  t.ok(await until(async () => (await me()).statusCode === 503))
  const refused = await me()
  t.match(refused.json(), { code: 'service_unavailable' })
  t.ok(refused.headers['retry-after'])
  const ready = await replica.inject('/readyz')
  t.equal(ready.statusCode, 503)
  t.match(ready.json(), { checks: { revocations: 'failed' } })
  await link.mend()
  t.ok(await until(async () => (await me()).statusCode === 200))
  t.match((await replica.inject('/readyz')).json(), { checks: { revocations: 'ok' } })
})

t.test('by AUTH_REVOCATION_STALE=allow it goes on with what it last knew, and says so', async (t) => {
  const { link, replica, me } = await cutOff(t, 'allow')
  await link.cut()
  t.ok(await until(() => !replica.revocations.isKnown()))
  t.equal((await me()).statusCode, 200)
  t.match((await replica.inject('/readyz')).json(), { checks: { revocations: 'failed' } })
})

t.test('metrics tell how long ago revocations were read, on a port of their own', async (t) => {
  const port = await freePort()
  const { link, replica } = await cutOff(t, 'deny', (options) => ({ ...options, metrics: { host: '127.0.0.1', port } }))
  await replica.listen({ port: 0, host: '127.0.0.1' })
  const staleness = async () => {
    // Its port is opened while the service's own is.
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      (response) => response.text(),
      () => ''
    )
    return Number(/^keyturn_revocation_staleness_seconds (\S+)$/m.exec(text)?.[1])
  }
  t.ok(await until(async () => (await staleness()) < 0.5))
  await link.cut()
  t.ok(await until(async () => (await staleness()) > 0.5))
  t.equal((await replica.inject('/metrics')).statusCode, 404, 'and not on the service’s own')
  t.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 404)
})
