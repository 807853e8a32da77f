import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import Fastify from 'fastify'
import t from 'tap'
import { allow } from '../../src/domain/requirement.js'
import { connections, lastConnections } from '../../src/plugins/connections.js'
import { guard } from '../../src/plugins/guard.js'
import { until } from '../support/until.js'
import { type Embed, testOptions, type World, world } from '../support/world.js'

async function listening(t: Parameters<typeof world>[0], embed?: Embed) {
  const w = await world(t, (options) => options, embed)
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = w.app.server.address() as AddressInfo
  const open = async () => {
    const socket = connect(port, '127.0.0.1')
    await once(w.app.server, 'connection')
    return socket
  }
  /** Whether the service has closed before anybody would lose patience. */
  const closes = async () => {
    let isClosed = false
    w.app.close().then(() => {
      isClosed = true
    })
    return await until(() => isClosed)
  }
  return { w, open, closes }
}

t.test('a connection that was opened in advance and says nothing keeps no service from closing', async (t) => {
  const { open, closes } = await listening(t)
  const socket = await open()
  t.ok(await closes())
  t.ok(await until(() => socket.closed))
})

t.test('a request that is under way is answered, and its connection, kept alive, holds up nothing', async (t) => {
  let arrive = () => {}
  let answer = (_text: string) => {}
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const answered = new Promise<string>((resolve) => {
    answer = resolve
  })
  const { w, open, closes } = await listening(t, async (app) => {
    await app.register(guard, { requirement: allow.allowAny(), authenticators: [] })
    app.get('/slow', () => {
      arrive()
      return answered
    })
  })
  const socket = await open()
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  socket.write('GET /slow HTTP/1.1\r\nhost: auth.test\r\n\r\n')
  await arrived
  const closing = closes()
  await until(() => !w.app.server.listening)
  answer('so it is')
  t.ok(await closing)
  t.ok(await until(() => socket.closed))
  t.match(text, /^HTTP\/1\.1 200 OK.*so it is$/s)
})

/** A service with a route that is answered by the test, and a connection on which it was asked. */
async function answering(t: Parameters<typeof world>[0]) {
  let arrive = () => {}
  let answer = (_text: string) => {}
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const answered = new Promise<string>((resolve) => {
    answer = resolve
  })
  const service = await listening(t, async (app) => {
    await app.register(guard, { requirement: allow.allowAny(), authenticators: [] })
    app.get('/slow', () => {
      arrive()
      return answered
    })
  })
  const socket = await service.open()
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  socket.write('GET /slow HTTP/1.1\r\nhost: auth.test\r\n\r\n')
  await arrived
  return { ...service, socket, answer, text: () => text }
}

t.test(
  'a request that comes over an open connection while the service closes is done, and is the last one',
  async (t) => {
    const { w, closes, socket, answer, text } = await answering(t)
    const closing = closes()
    await until(() => !w.app.server.listening)
    const arrival = once(w.app.server, 'request')
    socket.write('GET /livez HTTP/1.1\r\nhost: auth.test\r\n\r\n')
    await arrival
    answer('so it is')
    t.ok(await closing)
    t.ok(await until(() => socket.closed))
    const [slow, live] = text().split(/(?=HTTP\/1\.1 )/)
    t.match(slow, /^HTTP\/1\.1 200 OK.*so it is$/s)
    t.match(live, /^HTTP\/1\.1 200 OK/)
    t.match(live, /\r\nconnection: close\r\n/i)
  }
)

const stops = (w: World) => w.app.drain(0)

t.test(
  'a service that is about to stop is not ready, and does all that comes, each on its last connection',
  async (t) => {
    const { w, open } = await listening(t)
    const username = await w.account()
    const { refresh_token: token } = await w.login(username)
    const socket = await open()
    t.equal((await w.get('/readyz')).statusCode, 200)
    await stops(w)
    const ready = await w.get('/readyz')
    t.match(ready.json(), { status: 'unavailable', checks: { database: 'ok', accepting: 'failed' } })
    t.equal(ready.statusCode, 503)
    t.equal((await w.get('/livez')).statusCode, 200)

    const body = JSON.stringify({ refresh_token: token })
    const head = ['POST /v1/refresh HTTP/1.1', 'host: auth.test', 'content-type: application/json']
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    socket.write(`${head.join('\r\n')}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    await once(socket, 'close')
    t.match(text, /^HTTP\/1\.1 200 OK/)
    t.match(text, /\r\nconnection: close\r\n/i)
  }
)

/** Asks from a thread of its own, also while this one does nothing else; says at 0 of the array that the request is on its way. */
const asker = `
  const { parentPort, workerData } = require('node:worker_threads')
  const socket = require('node:net').connect(workerData.port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => { text += chunk })
  socket.on('error', (error) => { text += error.code })
  socket.on('close', () => parentPort.postMessage(text))
  socket.write('POST / HTTP/1.1\\r\\nhost: auth.test\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n', () => {
    Atomics.store(workerData.sent, 0, 1)
    Atomics.notify(workerData.sent, 0)
  })
`

t.test('a request that came while the process did something else is answered before nobody listens', async (t) => {
  const app = Fastify({ return503OnClosing: false })
  await app.register(connections, testOptions('postgres://nowhere', () => new Date()).connections)
  app.post('/', async () => 'answered')
  let answer: Promise<unknown[]> | undefined
  app.addHook('preClose', async () => {
    const sent = new Int32Array(new SharedArrayBuffer(4))
    const { port } = app.server.address() as AddressInfo
    const worker = new Worker(asker, { eval: true, workerData: { port, sent } })
    answer = once(worker, 'message')
    Atomics.wait(sent, 0, 0)
  })
  await app.register(lastConnections)
  await app.listen({ host: '127.0.0.1', port: 0 })
  await app.close()
  t.match(await answer, [/^HTTP\/1\.1 200[\s\S]*answered$/])
})
