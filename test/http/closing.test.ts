import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { allow } from '../../src/domain/requirement.js'
import { guard } from '../../src/plugins/guard.js'
import { until } from '../support/until.js'
import { type Embed, world } from '../support/world.js'

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
  t.match(text, /^HTTP\/1\.1 200 OK.*so it is$/s)
})
