import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { scratchFolder, startService } from '../support/service.js'
import { type ExchangeOptions, exchange } from '../support/wire.js'

/** Bytes on a socket that no client library would send, to a process that listens. */

const crlf = (...lines: string[]) => lines.join('\r\n')
/** What must never be taken for a request of its own: nothing else is answered by 404 here. */
const smuggled = crlf('GET /smuggled HTTP/1.1', 'host: auth.test', '', '')
const post = (headers: string[], body: string) =>
  crlf('POST /v1/login HTTP/1.1', 'host: auth.test', 'content-type: application/json', ...headers, '', body)
const get = (target: string, ...headers: string[]) =>
  crlf(`GET ${target} HTTP/1.1`, 'host: auth.test', ...headers, '', '')
const chunk = (body: string, extension = '') => `${body.length.toString(16)}${extension}\r\n${body}\r\n`

async function listeningProcess(t: Test) {
  const { url } = await freshDatabase(t)
  const service = await startService(t, {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
    AUTH_ISSUER: 'http://auth.test',
    AUTH_HASH_MEMORY: '8',
    AUTH_HASH_ITERATIONS: '1'
  })
  const port = Number(new URL(service.url).port)
  const send = (bytes: string, options: ExchangeOptions = {}) => exchange(port, bytes, { patience: 3_000, ...options })
  const goesOn = async () => {
    const { answers } = await send(get('/livez', 'connection: close'))
    return answers.length === 1 && answers[0]!.status === 200
  }
  return { service, port, send, goesOn }
}

t.test(
  'a request that two readers could read in two ways is refused, and what is in it is never answered',
  async (t) => {
    const { service, send, goesOn } = await listeningProcess(t)
    const chunked = `${chunk('{}')}0\r\n\r\n`
    const ambiguous: Record<string, string> = {
      'CL.TE': post(
        [`content-length: ${chunked.length + smuggled.length}`, 'transfer-encoding: chunked'],
        chunked + smuggled
      ),
      'TE.CL': post(['transfer-encoding: chunked', 'content-length: 4'], `${chunk(smuggled)}0\r\n\r\n`),
      'TE.TE': post(
        ['transfer-encoding: chunked', 'transfer-encoding: identity', 'content-length: 4'],
        chunked + smuggled
      ),
      'TE that is not chunked': post(['transfer-encoding: xchunked', 'content-length: 2'], `{}${smuggled}`),
      'TE with chunked not at its end': post(['transfer-encoding: chunked, identity'], chunked + smuggled),
      'TE behind a tab and in capitals': post(['Transfer-Encoding:\tCHUNKED', 'content-length: 2'], chunked + smuggled),
      'TE with a vertical tab': post(['transfer-encoding: \x0bchunked', 'content-length: 2'], `{}${smuggled}`),
      'a space before the colon': post(['content-length : 2'], `{}${smuggled}`),
      'two lengths': post(['content-length: 2', `content-length: ${smuggled.length + 2}`], `{}${smuggled}`),
      'one length twice': post(['content-length: 2', 'content-length: 2'], `{}${smuggled}`),
      'a list of lengths': post([`content-length: 2, ${smuggled.length + 2}`], `{}${smuggled}`),
      'a signed length': post(['content-length: +2'], `{}${smuggled}`),
      'a length in hexadecimal': post(['content-length: 0x2'], `{}${smuggled}`),
      'a length that is no number': post(['content-length: two'], `{}${smuggled}`),
      'a length beyond all numbers': post([`content-length: ${'9'.repeat(40)}`], `{}${smuggled}`),
      'a header that ends in a bare LF': `GET /livez HTTP/1.1\nhost: auth.test\nx: y\n\n${smuggled}`,
      'a bare CR within a header': get('/livez', 'x: a\rcontent-length: 5'),
      'NUL in a header': get('/livez', 'x: a\0b'),
      'NUL in the name of a header': get('/livez', 'x\0y: a'),
      'NUL in the target': get('/livez\0'),
      'a header without a name': get('/livez', ': x'),
      'a header without a colon': get('/livez', 'nothing'),
      'a chunk of no size': post(['transfer-encoding: chunked'], `zz\r\n{}\r\n0\r\n\r\n${smuggled}`),
      'a chunk of negative size': post(['transfer-encoding: chunked'], `-2\r\n{}\r\n0\r\n\r\n${smuggled}`),
      'a chunk beyond all sizes': post(
        ['transfer-encoding: chunked'],
        `fffffffffffffffff\r\n{}\r\n0\r\n\r\n${smuggled}`
      ),
      'a chunk in hexadecimal of C': post(['transfer-encoding: chunked'], `0x2\r\n{}\r\n0\r\n\r\n${smuggled}`),
      'a chunk that is longer than it says': post(['transfer-encoding: chunked'], `2\r\n{}xx\r\n0\r\n\r\n${smuggled}`),
      'chunks that end in a bare LF': post(['transfer-encoding: chunked'], `2\n{}\n0\n\n${smuggled}`),
      'no host': crlf('GET /livez HTTP/1.1', '', ''),
      'a version of the future': crlf('GET /livez HTTP/9.9', 'host: auth.test', '', ''),
      'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'a method in small letters': crlf('get /livez HTTP/1.1', 'host: auth.test', '', ''),
      'a method that nobody has': crlf('FOO /livez HTTP/1.1', 'host: auth.test', '', ''),
      'a space in the target': crlf('GET /live z HTTP/1.1', 'host: auth.test', '', ''),
      'a handshake of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'bytes of no meaning': Array.from({ length: 300 }, (_, n) => String.fromCharCode((n * 73 + 11) % 256)).join(''),
      'a header of 64 KiB': get('/livez', `x: ${'y'.repeat(65_536)}`),
      'a thousand headers of 30 bytes': get(
        '/livez',
        ...Array.from({ length: 1_000 }, (_, n) => `x-${n}: ${'y'.repeat(24)}`)
      ),
      'a target of 64 KiB': get(`/${'x'.repeat(65_536)}`),
      'a tunnel to elsewhere': crlf('CONNECT evil.example:443 HTTP/1.1', 'host: evil.example:443', '', smuggled)
    }
    for (const [title, bytes] of Object.entries(ambiguous)) {
      const { answers, rest, closed } = await send(bytes)
      const [answer] = answers
      t.ok(answers.length <= 1, `${title}: one answer at most`)
      t.ok(answer === undefined || [400, 413, 431].includes(answer.status), `${title}: ${answer?.status ?? 'none'}`)
      t.ok(closed, `${title}: the connection is closed`)
      t.equal(rest, '', `${title}: nothing but the answer`)
      t.notMatch(answer?.body ?? '', /smuggled|evil|\bat \w+ \(/, title)
      t.ok(await goesOn(), `${title}: it goes on`)
    }
    t.notMatch(service.output(), /"level":(50|60)/)
  }
)

t.test('what is odd and has one meaning is answered once', async (t) => {
  const { service, send } = await listeningProcess(t)
  const close = 'connection: close'
  const odd: Record<string, readonly [bytes: string, statuses: readonly number[]]> = {
    'an absolute address of somebody else': [get('http://evil.example/v1/me', close), [401]],
    'an absolute address without a path': [get('http://evil.example', close), [400, 404]],
    'only an authority': [crlf('GET evil.example:443 HTTP/1.1', 'host: auth.test', close, '', ''), [400, 404]],
    'an asterisk': [crlf('OPTIONS * HTTP/1.1', 'host: auth.test', close, '', ''), [400, 404, 405]],
    'a host that is none': [get('/livez', 'host: evil.example', close), [200, 400]],
    'a header over two lines': [get('/livez', 'x: a', ' b', close), [200, 400]],
    'chunks with extensions': [
      post(['transfer-encoding: chunked', close], `${chunk('{}', ';a=b;c="d"')}0\r\n\r\n`),
      [400]
    ],
    'chunks with trailers': [
      post(
        ['transfer-encoding: chunked', close],
        `${chunk('{}')}0\r\nauthorization: Bearer x\r\ncontent-length: 9\r\n\r\n`
      ),
      [400]
    ],
    'a body that is no UTF-8': [post(['content-length: 4', close], '"\xff\xfe"'), [400]],
    'a body that is compressed': [post(['content-length: 2', 'content-encoding: gzip', close], '\x1f\x8b'), [400, 415]],
    'a body of UTF-16': [post(['content-length: 4', close], '{\0}\0'), [400]],
    'a wish to continue': [post(['content-length: 2', 'expect: 100-continue', close], '{}'), [400]],
    'another wish': [post(['content-length: 2', 'expect: a miracle', close], '{}'), [400, 417]],
    'a change of protocol': [
      get('/livez', 'connection: upgrade, close', 'upgrade: h2c', 'http2-settings: AAMAAABk'),
      [200]
    ],
    'a WebSocket': [
      get(
        '/livez',
        'connection: upgrade, close',
        'upgrade: websocket',
        'sec-websocket-key: x',
        'sec-websocket-version: 13'
      ),
      [200]
    ],
    'no version': ['GET /livez\r\n\r\n', [200, 400]],
    'two spaces in the first line': [crlf('GET  /livez HTTP/1.1', 'host: auth.test', close, '', ''), [200, 400]],
    'HTTP of 1996': ['GET /livez HTTP/1.0\r\n\r\n', [200]],
    'empty lines first': [`\r\n\r\n${get('/livez', close)}`, [200]],
    'a body where none is read': [
      crlf('GET /livez HTTP/1.1', 'host: auth.test', close, `content-length: ${smuggled.length}`, '', smuggled),
      [200]
    ]
  }
  for (const [title, [bytes, statuses]] of Object.entries(odd)) {
    const { answers, closed } = await send(bytes)
    t.equal(answers.length, 1, `${title}: one answer`)
    t.ok(statuses.includes(answers[0]?.status ?? 0), `${title}: ${answers[0]?.status}`)
    t.ok(closed, `${title}: and the end`)
    t.notMatch(`${answers[0]?.head}${answers[0]?.body}`, /evil\.example|smuggled/, title)
  }
  t.notMatch(service.output(), /"level":(50|60)/)
})

t.test('requests that come in one go are answered one by one, in their order', async (t) => {
  const { send } = await listeningProcess(t)
  const asked = Array.from({ length: 40 }, (_, n) =>
    n % 4 === 0
      ? post(['content-length: 2'], '{}')
      : n % 4 === 1
        ? get('/v1/me')
        : n % 4 === 2
          ? get('/livez')
          : post(['transfer-encoding: chunked'], `${chunk('{"username":"x",')}${chunk('"password":"y"}')}0\r\n\r\n`)
  )
  const { answers, rest } = await send(asked.join(''), { until: (answers) => answers.length === 40, patience: 10_000 })
  // Sign-ins are limited: those beyond the limit are 429, in their order too.
  const expected = [[400], [401], [200], [401, 429]]
  t.equal(answers.length, 40)
  t.ok(answers.every(({ status }, n) => expected[n % 4]!.includes(status)))
  t.equal(rest, '')

  const broken = `${get('/livez')}${get('/v1/me')}GET /livez HTTP/1.1\r\nx\0: y\r\n\r\n${smuggled}`
  const { answers: some, closed } = await send(broken)
  const statuses = some.map(({ status }) => status)
  t.same(
    statuses,
    [...[200, 401].slice(0, statuses.length - 1), 400],
    'those that were answered before it, and its own'
  )
  t.ok(closed && !some.some(({ status }) => status === 404), 'and none after it')
})

t.test('a client that has sent everything and listens gets its answer; one that breaks off gets none', async (t) => {
  const { service, send, goesOn } = await listeningProcess(t)
  const { answers } = await send(get('/livez'), { halfClose: true })
  t.same(
    answers.map(({ status }) => status),
    [200]
  )
  for (const bytes of [
    post(['content-length: 100'], '{"username"'),
    post(['transfer-encoding: chunked'], '5\r\n{}'),
    'GET /li'
  ]) {
    const broken = await send(bytes, { halfClose: true })
    t.ok(broken.answers.every(({ status }) => status >= 400 && status < 500) && broken.answers.length <= 1)
    t.ok(broken.closed)
  }
  t.ok(await goesOn())
  t.notMatch(service.output(), /"level":(50|60)/)
})

t.test('connections that say half of something, and no more, stop nobody else', async (t) => {
  const { port, send } = await listeningProcess(t)
  const halves = [
    'GET /livez HTTP/1.1\r\nhost: auth.test\r\nx: ',
    post(['content-length: 16000'], '{"username":"'),
    post(['transfer-encoding: chunked'], '3e80\r\n{'),
    'G',
    ''
  ]
  const sockets = await Promise.all(
    Array.from({ length: 300 }, async (_, n) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.write(halves[n % halves.length]!)
      return socket
    })
  )
  for (let n = 0; n < 20; n++) {
    const { answers } = await send(get('/readyz', 'connection: close'))
    t.equal(answers[0]?.status, 200)
    const login = await send(post(['content-length: 2', 'connection: close'], '{}'))
    t.equal(login.answers[0]?.status, 400)
  }
  for (const socket of sockets) socket.destroy()
})
