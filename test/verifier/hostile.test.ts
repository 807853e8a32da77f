import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { createVerifier, type VerifierOptions } from '../../packages/verifier/src/index.js'
import { createTestIssuer } from '../../packages/verifier/src/testing.js'
import { errorOf, serverOf, verdictOf } from '../support/verifier.js'

/** An issuer in the wrong hands, or broken, or behind a proxy that is: nobody falls, and nobody is trusted. */

const issuer = 'https://issuer.test'
const metadataPath = '/.well-known/oauth-authorization-server'
const otherPath = '/.well-known/openid-configuration'
const keysPath = '/.well-known/jwks.json'
const feedPath = '/v1/revocations'

/** `keys` is the real key set, which would be trusted if it came as it should. */
type Answer = (request: IncomingMessage, response: ServerResponse, keys: string) => void
const answer =
  (status: number, headers: Record<string, string>, body: string | Buffer = '') =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, headers).end(body)
const json = (body: unknown) => answer(200, { 'content-type': 'application/json' }, JSON.stringify(body))

/** Never ends, and never stops. */
const endless =
  (type: string): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': type })
    const chunk = Buffer.alloc(64 * 1024, ' ')
    const more = () => {
      while (!response.destroyed && response.write(chunk)) {}
    }
    response.on('drain', more)
    more()
  }

/** A letter now and then: each read is in time, and the whole never comes. */
const dripping =
  (type: string): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': type })
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  }

async function setUp(t: Test, paths: Record<string, Answer>, change: Partial<VerifierOptions> = {}) {
  const good = await createTestIssuer({ issuer })
  const { url: goodUrl, close } = await good.listen()
  t.teardown(close)
  const keys = await (await good.options.fetch!(issuer + keysPath)).text()
  const { url, requests } = await serverOf(t, async (request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    const hostile = paths[path]
    if (hostile !== undefined) return hostile(request, response, keys)
    // Everything else is as it should be.
    const real = await fetch(goodUrl + request.url)
    response.writeHead(real.status, { 'content-type': real.headers.get('content-type') ?? '' }).end(await real.text())
  })
  const verifier = createVerifier({
    issuer,
    audience: 'api',
    revocation: 'none',
    baseUrl: url,
    timeout: 0.2,
    ...change
  })
  t.teardown(() => verifier.close())
  return { good, verifier, requests, token: await good.token(), url }
}

const key = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43), kid: 'x', alg: 'ES256' }
const badKeySets: Array<[string, Answer]> = [
  ['an error', answer(500, {}, 'oops')],
  ['nothing', answer(204, {})],
  ['a page of a proxy', answer(200, { 'content-type': 'text/html' }, '<h1>Sign in to the Wi-Fi</h1>')],
  ['keys as text', (_, response, keys) => void response.writeHead(200, { 'content-type': 'text/plain' }).end(keys)],
  ['keys without a type', (_, response, keys) => void response.writeHead(200, {}).end(keys)],
  [
    'keys as an error',
    (_, response, keys) => void response.writeHead(201, { 'content-type': 'application/json' }).end(keys)
  ],
  ['half of a JSON', answer(200, { 'content-type': 'application/json' }, '{"keys":[')],
  ['nothing at all', answer(200, { 'content-type': 'application/json' })],
  ['null', json(null)],
  ['a list', json([key])],
  ['no keys', json({ keys: [] })],
  ['keys that are none', json({ keys: { 0: key } })],
  ['a thousand keys', json({ keys: Array.from({ length: 1000 }, (_, n) => ({ ...key, kid: `k${n}` })) })],
  ['a tower of brackets', answer(200, { 'content-type': 'application/json' }, '['.repeat(200_000))],
  ['bytes that are no text', answer(200, { 'content-type': 'application/json' }, Buffer.from([0x7b, 0xff, 0xfe]))],
  ['a redirect', answer(302, { location: 'http://127.0.0.1:1/keys' })],
  ['a redirect to itself', answer(307, { location: keysPath })],
  ['not modified, which nobody asked', answer(304, {})],
  [
    'more than it may be',
    (_, response, keys) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(keys + ' '.repeat(300_000))
  ],
  ['no end', endless('application/json')],
  ['a drip', dripping('application/json')],
  [
    'a head and no more',
    (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
  ],
  ['no answer', () => {}],
  ['a hang-up', (request) => void request.socket.destroy()],
  [
    'a bomb',
    answer(
      200,
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      gzipSync(Buffer.alloc(100_000_000, ' '))
    )
  ]
]

t.test('an answer that is no key set is none, whatever else it is', async (t) => {
  for (const [title, hostile] of badKeySets) {
    const { verifier, token } = await setUp(t, { [keysPath]: hostile })
    const before = process.memoryUsage().rss
    const error = await errorOf(verifier.verify(token))
    t.match(error, { status: 503, code: 'keys_unavailable' }, title)
    t.ok(process.memoryUsage().rss - before < 80 * 1024 * 1024, `${title}: not held in memory`)
    await verifier.close()
  }
})

t.test('a redirect is followed nowhere', async (t) => {
  const target = await serverOf(t, (_, response) => void response.end())
  for (const path of [keysPath, metadataPath]) {
    const redirect = answer(302, { location: target.url + path })
    const { verifier, token } = await setUp(t, { [path]: redirect, [otherPath]: redirect })
    t.equal(await verdictOf(verifier, token), 'keys_unavailable', path)
  }
  t.same(target.requests, [])
})

t.test('metadata is believed for its own issuer and its own origin alone', async (t) => {
  const own = { issuer, jwks_uri: `${issuer}${keysPath}` }
  const bad: Array<[string, object]> = [
    ['another issuer', { ...own, issuer: 'https://evil.test' }],
    ['the issuer with a slash', { ...own, issuer: `${issuer}/` }],
    ['the issuer in capitals', { ...own, issuer: issuer.toUpperCase() }],
    ['no issuer', { jwks_uri: own.jwks_uri }],
    ['issuers in a list', { ...own, issuer: [issuer] }],
    ['keys of elsewhere', { ...own, jwks_uri: 'https://evil.test/keys' }],
    ['keys at an address of the inside', { ...own, jwks_uri: 'http://169.254.169.254/latest/meta-data' }],
    ['keys on another port', { ...own, jwks_uri: 'https://issuer.test:8443/keys' }],
    ['keys without https', { ...own, jwks_uri: 'http://issuer.test/keys' }],
    ['keys behind a user', { ...own, jwks_uri: 'https://issuer.test@evil.test/keys' }],
    ['keys in a file', { ...own, jwks_uri: 'file:///etc/passwd' }],
    ['keys in the address', { ...own, jwks_uri: 'data:application/json,{"keys":[]}' }],
    ['keys in a list', { ...own, jwks_uri: [own.jwks_uri] }],
    ['no keys', { issuer }],
    ['secrets sent elsewhere', { ...own, introspection_endpoint: 'https://evil.test/introspect' }]
  ]
  for (const [title, metadata] of bad) {
    const { verifier, token } = await setUp(t, { [metadataPath]: json(metadata), [otherPath]: json(metadata) })
    t.equal(await verdictOf(verifier, token), 'keys_unavailable', title)
    await verifier.close()
  }
  const [, [, slashed]] = bad as [unknown, [string, object]]
  const misspelt = await setUp(t, { [metadataPath]: json(slashed), [otherPath]: json(slashed) })
  await t.rejects(misspelt.verifier.ready(), {
    message: /it says https:\S+\/, and the option "issuer" https:\S+[^/], /
  })
  const { verifier, token } = await setUp(t, { [metadataPath]: json(own) })
  t.equal(await verdictOf(verifier, token), 'good', 'and as it should be it is')
})

t.test('the metadata is found at either address', async (t) => {
  const none = answer(404, { 'content-type': 'text/html' }, 'no')
  const { verifier, token } = await setUp(t, { [metadataPath]: none })
  t.equal(await verdictOf(verifier, token), 'good')
  const alone = await setUp(t, { [metadataPath]: none, [otherPath]: none })
  t.equal(await verdictOf(alone.verifier, alone.token), 'keys_unavailable')
})

t.test('keys that were had before go on while the issuer is in the wrong hands', async (t) => {
  for (const [title, hostile] of badKeySets) {
    let isHostile = false
    let time = Date.now()
    const good = await createTestIssuer({ issuer, now: () => time })
    const real = good.options.fetch!
    const { url } = await serverOf(t, (request, response) => hostile(request, response, '{"keys":[]}'))
    const verifier = createVerifier({
      ...good.options,
      rememberedTokens: 0,
      timeout: 0.2,
      fetch: (input, init) => (isHostile ? fetch(url, init) : real(input, init))
    })
    t.teardown(() => verifier.close())
    const token = await good.token({}, { expiresIn: 3600 })
    t.equal(await verdictOf(verifier, token), 'good')
    isHostile = true
    time += 301_000
    t.equal(await verdictOf(verifier, token), 'good', title)
    t.ok(verifier.health().keys.lastError, title)
  }
})

t.test('a fetch that listens to nobody does not keep a request waiting', async (t) => {
  const good = await createTestIssuer()
  const verifier = createVerifier({ ...good.options, timeout: 0.1, fetch: () => new Promise(() => {}) })
  t.teardown(() => verifier.close())
  t.equal(await verdictOf(verifier, await good.token()), 'keys_unavailable')
})

t.test('a verifier that is closed ends what is under way', async (t) => {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const good = await createTestIssuer()
  const verifier = createVerifier({
    issuer: good.issuer,
    audience: 'api',
    revocation: 'none',
    baseUrl: `http://127.0.0.1:${port}`,
    timeout: 60
  })
  const verdict = verdictOf(verifier, await good.token())
  await new Promise((resolve) => server.once('connection', resolve))
  await verifier.close()
  t.equal(await verdict, 'keys_unavailable')
  for (const socket of sockets) socket.destroy()
})

t.test(
  'a feed in the wrong hands hides nothing that was known, and is said to be unknown once it is too old',
  async (t) => {
    const feedType = 'application/keyturn-revocations+jwt'
    const other = await createTestIssuer({ issuer })
    const forged = await (await other.options.fetch!(`${issuer}${feedPath}?since=0`)).text()
    const bad: Array<[string, Answer]> = [
      ['an error', answer(500, {}, 'oops')],
      ['a page', answer(200, { 'content-type': 'text/html' }, '<h1>')],
      ['no document', answer(200, { 'content-type': feedType }, 'x.y.z')],
      ['a document of somebody else', answer(200, { 'content-type': feedType }, forged)],
      ['no end', endless(feedType)],
      ['a drip', dripping(feedType)],
      ['no answer', () => {}],
      ['a redirect', answer(302, { location: 'https://evil.test' })],
      ['a token', answer(200, { 'content-type': feedType }, await other.token())]
    ]
    for (const [title, hostile] of bad) {
      const deny = await setUp(t, { [feedPath]: hostile }, { revocation: { mode: 'feed', onStale: 'deny' } })
      await t.rejects(deny.verifier.ready(), title)
      t.equal(await verdictOf(deny.verifier, deny.token), 'revocation_unavailable', title)
      await deny.verifier.close()
      const allow = await setUp(t, { [feedPath]: hostile }, { revocation: { mode: 'feed', onStale: 'allow' } })
      await allow.verifier.ready()
      t.equal(await verdictOf(allow.verifier, allow.token), 'good', title)
      t.match(allow.verifier.health().revocation, { isKnown: false, ageSeconds: null }, title)
      await allow.verifier.close()
    }
  }
)
