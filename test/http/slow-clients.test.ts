import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { type Change, world } from '../support/world.js'

const impatient: Change = (options) => ({
  ...options,
  connections: {
    headersTimeout: 150,
    requestTimeout: 300,
    keepAliveTimeout: 100,
    checkInterval: 20,
    maxHeaderSize: 2_048,
    max: null
  }
})

async function listening(t: Test, change = impatient) {
  const { app } = await world(t, change)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  /** Sends this, then nothing, and reads until the service closes. */
  return async (text: string) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => {})
    socket.write(text)
    await once(socket, 'close')
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    return {
      status: Number(head.split(' ')[1]),
      head: head.toLowerCase(),
      problem: body === '' ? null : JSON.parse(body)
    }
  }
}

type Answer = Awaited<ReturnType<Awaited<ReturnType<typeof listening>>>>

function isProblem(t: Test, { head, problem, status }: Answer, expected: number) {
  t.equal(status, expected)
  t.match(problem, { type: String, title: String, status: expected, code: String, detail: String })
  t.match(head, /content-type: application\/problem\+json/)
  t.match(head, /connection: close/)
  t.match(head, /x-content-type-options: nosniff/)
}

const post = 'POST /v1/refresh HTTP/1.1\r\nhost: auth.test\r\ncontent-type: application/json\r\n'

/** The same but for these times. */
const besides = (times: object): Change => {
  return (options) => {
    const changed = impatient(options)
    return { ...changed, connections: { ...changed.connections, ...times } }
  }
}

t.test('a head that does not end is cut off, long before a body would be', async (t) => {
  const send = await listening(t, besides({ requestTimeout: 60_000 }))
  isProblem(t, await send('GET /livez HTTP/1.1\r\nhost: auth.test\r\nx-slow: '), 408)
})

t.test('a body that does not end is cut off', async (t) => {
  const send = await listening(t)
  isProblem(t, await send(`${post}content-length: 100\r\n\r\n{"refresh_token": "`), 408)
})

t.test('a connection that says nothing at all is closed without a word', async (t) => {
  const send = await listening(t)
  t.match(await send(''), { head: '', problem: null })
})

t.test('a connection that is idle after its request is closed, however patient it is with heads', async (t) => {
  const send = await listening(t, besides({ headersTimeout: 60_000, requestTimeout: 60_000 }))
  const { status, head } = await send('GET /livez HTTP/1.1\r\nhost: auth.test\r\n\r\n')
  t.equal(status, 200)
  t.match(head, /connection: keep-alive/)
})

t.test('a head that is too large is a 431, whichever part of it is', async (t) => {
  const send = await listening(t)
  const filler = 'x'.repeat(3_000)
  isProblem(t, await send(`GET /livez HTTP/1.1\r\nhost: auth.test\r\ncookie: a=${filler}\r\n\r\n`), 431)
  isProblem(t, await send(`GET /livez?${filler} HTTP/1.1\r\nhost: auth.test\r\n\r\n`), 431)
})

t.test('a body that is too large is a 413, by its length and by its chunks', async (t) => {
  const send = await listening(t)
  const body = 'x'.repeat(17_000)
  const told = await send(`${post}content-length: ${body.length}\r\n\r\n{`)
  t.match(told, { status: 413, problem: { code: 'payload_too_large' } })
  const size = body.length.toString(16)
  const inChunks = await send(`${post}transfer-encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\n\r\n`)
  t.match(inChunks, { status: 413, problem: { code: 'payload_too_large' } })
})

t.test('what is no HTTP is a problem too', async (t) => {
  const send = await listening(t)
  isProblem(t, await send('hello?\r\n\r\n'), 400)
})

t.test('beyond the connections that may be open one more is closed as it comes', async (t) => {
  const { app } = await world(t, (options) => ({ ...options, connections: { ...options.connections, max: 1 } }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const first = connect(port, '127.0.0.1')
  await once(app.server, 'connection')
  const second = connect(port, '127.0.0.1')
  second.on('error', () => {})
  await once(second, 'close')
  first.write('GET /livez HTTP/1.1\r\nhost: auth.test\r\n\r\n')
  const [answer] = (await once(first, 'data')) as [Buffer]
  t.match(answer.toString(), /^HTTP\/1\.1 200 /, 'whoever was there stays')
  first.destroy()
})
