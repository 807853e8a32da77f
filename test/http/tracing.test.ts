import { once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'
import t, { type Test } from 'tap'
import { type CollectedSpan, type Collector, collector } from '../support/collector.js'
import { receiver } from '../support/receiver.js'
import { until } from '../support/until.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'
const traceparent = `00-${traceId}-${parentId}-01`

/** What does the work of OpenTelemetry; its interface (api) comes with prom-client, and does nothing by itself. */
const machinery = () =>
  Object.keys(createRequire(import.meta.url).cache).filter((path) => /@opentelemetry.(?!api.)/.test(path))

// First: what was loaded once stays loaded.
t.test('where nobody looks at spans nothing of OpenTelemetry’s machinery is loaded', async (t) => {
  const w = await world(t)
  await w.login(await w.account())
  t.equal(w.app.tracing, null)
  t.same(machinery(), [])
})

async function traced(t: Test, change: object = {}): Promise<{ w: World; spans: Collector; url: string }> {
  const spans = await collector(t)
  const w = await world(t, (options) => ({
    ...options,
    tracing: {
      ...options.tracing,
      endpoint: spans.url,
      headers: { authorization: 'Bearer of spans' },
      resource: { 'service.name': 'signs-in', 'deployment.environment.name': 'test' },
      ...change
    }
  }))
  return { w, spans, url: await w.app.listen({ port: 0, host: '127.0.0.1' }) }
}

const login = (url: string, username: string, password = goodPassword, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/login?secret=of-a-query`, {
    method: 'POST',
    headers: { ...fromOwnPage, 'x-secret': 'of-a-header', ...headers },
    body: JSON.stringify({ username, password, refresh_transport: 'cookie' })
  })

t.test('a request is a span of whoever asked, and what it does are spans within it', async (t) => {
  const { w, spans, url } = await traced(t)
  t.ok(machinery().length > 0)
  const username = await w.account()
  t.equal((await login(url, username, goodPassword, { traceparent })).status, 200)
  await w.app.close()

  const all = spans.spans()
  const [request] = all.filter(({ name, parentSpanId }) => name === 'POST /v1/login' && parentSpanId === parentId)
  t.match(request, { traceId, kind: 2, attributes: { 'http.route': '/v1/login', 'http.request.method': 'POST' } })
  t.match(request?.attributes, { 'http.response.status_code': 200 })
  t.match(request?.service, { 'service.name': 'signs-in', 'deployment.environment.name': 'test' })
  const within = all.filter(({ parentSpanId }) => parentSpanId === request!.spanId)
  t.ok(
    within.every((span) => span.traceId === traceId),
    'also after its body, which came by events of a socket'
  )
  const named = (name: string) => within.find((span) => span.name === name)
  t.match(named('select account'), { kind: 3, attributes: { 'db.system.name': 'postgresql' } })
  t.match(named('insert session'), { attributes: { 'db.operation.name': 'insert', 'db.collection.name': 'session' } })
  const { attributes } = named('password verify')!
  t.type(attributes['keyturn.password.waited_ms'], 'number')
  t.equal(spans.requests[0]?.url, '/v1/traces')
  t.equal(spans.requests[0]?.headers.authorization, 'Bearer of spans')

  const line = w.logs.map((one) => JSON.parse(one)).find(({ route, trace_id: id }) => route === '/v1/login' && id)
  t.equal(line.trace_id, traceId, 'and the log tells which trace it was')
})

t.test('requests that run at once have each their own spans', async (t) => {
  const { w, spans, url } = await traced(t)
  const names = [await w.account(), await w.account(), await w.account(), await w.account()]
  const ids = names.map((_, n) => `${n + 1}`.repeat(32))
  const given = (id: string) => ({ traceparent: `00-${id}-${parentId}-01` })
  await Promise.all(names.map((name, n) => login(url, name, goodPassword, given(ids[n]!))))
  await w.app.close()
  for (const id of ids) {
    const of = (name: string) => spans.spans().filter((span) => span.traceId === id && span.name === name)
    for (const name of ['POST /v1/login', 'select account', 'password verify']) t.equal(of(name).length, 1, name)
  }
})

t.test(
  'a body that comes long after its head, on a connection that is used again, belongs to its own request',
  async (t) => {
    const { w, spans, url } = await traced(t)
    const names = [await w.account(), await w.account()]
    const socket = net.connect(Number(new URL(url).port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    for (const [n, username] of names.entries()) {
      const body = JSON.stringify({ username, password: goodPassword })
      const head = [
        'POST /v1/login HTTP/1.1',
        'host: auth.test',
        'content-type: application/json',
        `content-length: ${body.length}`,
        `traceparent: 00-${`${n + 1}`.repeat(32)}-${parentId}-01`
      ]
      const begun = once(w.app.server, 'request')
      socket.write(`${head.join('\r\n')}\r\n\r\n`)
      await begun
      socket.write(body)
      t.ok(await until(() => text.split('HTTP/1.1 200').length === n + 2), 'it is answered')
    }
    await w.app.close()
    for (const [n] of names.entries()) {
      const of = (name: string) =>
        spans.spans().filter((span) => span.traceId === `${n + 1}`.repeat(32) && span.name === name)
      for (const name of ['POST /v1/login', 'select account', 'password verify']) t.equal(of(name).length, 1, name)
    }
  }
)

t.test('no secret, no name and no address is in any span', async (t) => {
  const { w, spans, url } = await traced(t)
  const shop = await receiver(t)
  const at = `${shop.url}/hook-secret-in-path`
  await w.app.flows.addReceiver({ url: at, audience: 'https://shop.test', note: '', authorization: 'Bearer of events' })
  const username = await w.account('ada-of-the-spans')
  const secrets = [username, goodPassword, 'of-a-query', 'of-a-header', 'hook-secret-in-path', 'of events', '127.0.0.1']
  const answer = await login(url, username)
  secrets.push(...answer.headers.getSetCookie().map((cookie) => /=([^;]+)/.exec(cookie)![1]!))
  secrets.push(((await answer.json()) as { access_token: string }).access_token)
  await login(url, username, 'wrong-horse-of-spans')
  secrets.push('wrong-horse-of-spans')
  const { access_token: token, refresh_token: refresh } = await w.login(username)
  secrets.push(token, refresh)
  await w.get('/v1/me/profile?secret=of-a-query', token)
  await w.get('/v1/no-such-path/secret-of-a-path', token)
  secrets.push('secret-of-a-path')
  t.equal((await w.post('/v1/register', { username, password: goodPassword })).statusCode, 409, 'Postgres names it')
  t.equal((await w.post('/v1/register', { username: 'bob', password: 'short' })).statusCode, 400)
  await w.post('/v1/logout', { refresh_token: refresh })
  await w.app.eventDelivery.deliver()
  await w.app.close()

  const all = spans.spans()
  t.ok(all.length > 30)
  const told = spans.bodies.join('\n')
  for (const secret of secrets) t.notOk(told.includes(secret), secret)
  t.equal(shop.received.length, 1)
  const delivered = all.find(({ name }) => name === 'deliver event')
  t.match(delivered, { kind: 3, attributes: { 'http.response.status_code': 202 } })
  const names = new Set(all.map(({ name }) => name))
  t.ok(names.has('GET') && names.has('insert account'))
  for (const name of names) t.match(name, /^[A-Za-z]+( [a-zA-Z0-9_/:.-]+( \w+)*)?$/, 'few names, none with a value')
})

t.test('what fails is marked, in one word', async (t) => {
  const { w, spans } = await traced(t)
  await w.app.db.schema.alterTable('account').renameTo('elsewhere').execute()
  await w.post('/v1/login', { username: 'ada', password: goodPassword })
  await w.app.close()
  const failed = spans.spans().filter(({ status }: CollectedSpan) => status.code === 2)
  t.match(
    failed.find(({ name }) => name === 'select account'),
    { attributes: { 'error.type': '42P01' } }
  )
  t.match(
    failed.find(({ name }) => name === 'POST /v1/login'),
    { attributes: { 'error.type': '500' } }
  )
  for (const { status } of failed) t.equal(status.message ?? '', '', 'no message, which may repeat what was sent')
})

t.test('a sampler that takes none tells none, whatever its parent says', async (t) => {
  const { w, spans, url } = await traced(t, { sampler: 'traceidratio', ratio: 0 })
  t.equal((await login(url, await w.account(), goodPassword, { traceparent })).status, 200)
  await w.app.close()
  t.same(spans.spans(), [])
})

t.test('a collector that is gone costs nobody anything but its spans, and the log tells once', async (t) => {
  const { w } = await traced(t, { endpoint: 'http://127.0.0.1:1', timeout: 300 })
  for (let n = 0; n < 3; n++) await w.login(await w.account())
  await w.app.close()
  t.equal(w.logs.filter((line) => line.includes('spans cannot be sent')).length, 1)
})
