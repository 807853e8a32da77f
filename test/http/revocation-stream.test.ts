import net from 'node:net'
import t from 'tap'
import { origin } from '../../src/domain/revocation-cursor.js'
import { feedMaxEntries } from '../../src/domain/revocation-feed.js'
import { insertMany, listening, read, signOut, withFeed } from '../support/feed.js'
import { until } from '../support/until.js'
import { world } from '../support/world.js'

/** Reads server-sent events off a response, one after the other. */
async function* eventsOf(response: Response): AsyncGenerator<{ id: string; data: string }> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const value = (name: string) => lines.find((line) => line.startsWith(`${name}: `))!.slice(name.length + 2)
      yield { id: value('id'), data: value('data') }
    }
  }
}

t.test('a stream tells of each end as it comes, from where its reader was', async (t) => {
  const { w, url } = await listening(t)
  const before = await signOut(w)
  const leaving = new AbortController()
  const open = (headers = {}, query = '') =>
    fetch(`${url}/v1/revocations/stream${query}`, { headers, signal: leaving.signal })
  const response = await open()
  t.equal(response.status, 200)
  const headers = Object.fromEntries(response.headers)
  t.match(headers, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    'x-request-id': String,
    'access-control-allow-origin': '*'
  })
  const events = eventsOf(response)
  const first = (await events.next()).value!
  t.match(await read(w, first.data), { since: origin, entries: [{ sub: before }], cursor: first.id })
  const after = await signOut(w)
  const second = (await events.next()).value!
  t.match(await read(w, second.data), { since: first.id, entries: [{ sub: after }], cursor: second.id })

  const resumed = eventsOf(await open({ 'last-event-id': first.id }, '?since=0'))
  t.match(await read(w, (await resumed.next()).value!.data), { since: first.id, entries: [{ sub: after }] })
  const current = eventsOf(await open({}, `?since=${second.id}`))
  t.match(await read(w, (await current.next()).value!.data), { since: second.id, entries: [] })
  const lost = eventsOf(await open({ 'last-event-id': '999.abcdefgh' }))
  t.match(await read(w, (await lost.next()).value!.data), { reset: true, since: '999.abcdefgh' })
  t.match(await read(w, (await lost.next()).value!.data), { since: origin, entries: [{ sub: before }, { sub: after }] })
  leaving.abort()
})

t.test('a stream shows signs of life, each of them signed', async (t) => {
  const { w, url } = await listening(t, withFeed({ heartbeat: 20 }))
  const leaving = new AbortController()
  const events = eventsOf(await fetch(`${url}/v1/revocations/stream`, { signal: leaving.signal }))
  await events.next()
  w.wait(15_000)
  t.ok(
    await until(async () => {
      const { iat } = await read(w, (await events.next()).value!.data)
      return iat === w.now().getTime() / 1000
    })
  )
  leaving.abort()
})

t.test('a wrong Last-Event-ID is refused, and a stream has no HEAD', async (t) => {
  const w = await world(t)
  const response = await w.app.inject({ url: '/v1/revocations/stream', headers: { 'last-event-id': 'x' } })
  t.match(response.json(), { status: 400, code: 'validation_failed' })
  t.equal((await w.app.inject({ method: 'HEAD', url: '/v1/revocations/stream' })).statusCode, 405)
})

t.test('so many streams, and no more; whoever goes away makes room', async (t) => {
  const { w, url } = await listening(t, withFeed({ maxStreams: 1 }))
  const leaving = new AbortController()
  const held = await fetch(`${url}/v1/revocations/stream`, { signal: leaving.signal })
  t.equal(held.status, 200)
  t.match((await w.app.inject('/v1/revocations/stream')).json(), { status: 503, code: 'service_unavailable' })
  leaving.abort()
  const opens = async () => {
    const again = new AbortController()
    const { status } = await fetch(`${url}/v1/revocations/stream`, { signal: again.signal })
    again.abort()
    return status === 200
  }
  t.ok(await until(opens))
})

t.test('whoever does not read is cut off, and costs no more than a few pages until then', async (t) => {
  const { w, url } = await listening(t, withFeed({ slowAfter: 200 }))
  await insertMany(w, 1, feedMaxEntries * 12)
  await w.app.revocations.read()
  const socket = net.connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET /v1/revocations/stream HTTP/1.1\r\nhost: x\r\n\r\n')
  let buffered = 0
  let sockets: net.Socket[] = []
  w.app.server.on('connection', (one) => sockets.push(one))
  const connections = () =>
    new Promise<number>((resolve) => w.app.server.getConnections((_error, count) => resolve(count)))
  t.ok(await until(async () => (await connections()) === 1))
  t.ok(
    await until(async () => {
      buffered = Math.max(buffered, ...sockets.map(({ writableLength }) => writableLength))
      sockets = sockets.filter(({ destroyed }) => !destroyed)
      return (await connections()) === 0
    })
  )
  t.ok(buffered < 3_000_000, `${buffered} bytes at most`)
})
