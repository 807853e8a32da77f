import { createLocalJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { refusalCodes } from '../../src/domain/refusal.js'
import { goodPassword, issuer, world } from '../support/world.js'

t.test('the key set and the metadata are for everybody, with caches told what they may', async (t) => {
  const w = await world(t)
  for (const [path, type] of [
    ['jwks.json', 'application/jwk-set+json'],
    ['oauth-authorization-server', 'application/json; charset=utf-8'],
    ['openid-configuration', 'application/json; charset=utf-8']
  ]) {
    const url = `/.well-known/${path}`
    const response = await w.app.inject({ url, headers: { origin: 'https://anywhere.example' } })
    t.equal(response.headers['content-type'], type)
    t.equal(response.headers['cache-control'], 'public, max-age=300, stale-while-revalidate=600, stale-if-error=86400')
    t.equal(response.headers['access-control-allow-origin'], '*')
    const { etag } = response.headers
    t.match(etag, /^"[\w-]{22}"$/)
    const again = await w.app.inject({ url, headers: { 'if-none-match': `"other", W/${etag}` } })
    t.equal(again.statusCode, 304)
    t.equal(again.body, '')
  }
})

t.test('the metadata says what there is, from the configuration and not from the request', async (t) => {
  const w = await world(t)
  const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example' }
  const metadata = (await w.app.inject({ url: '/.well-known/oauth-authorization-server', headers })).json()
  t.equal(metadata.issuer, issuer)
  t.equal(metadata.jwks_uri, `${issuer}/.well-known/jwks.json`)
  t.same(
    metadata.grant_types_supported,
    ['refresh_token', 'client_credentials'],
    'the default would claim two that are not there'
  )
  t.same(metadata.refresh_token_expiration_types_supported, ['authorization', 'token_timeout'])
})

t.test('keys have what verifiers match on, and nothing private', async (t) => {
  for (const [algorithm, jose] of [
    ['ES256', 'ES256'],
    ['Ed25519', 'EdDSA'],
    ['RS256', 'RS256'],
    ['PS256', 'PS256']
  ] as const) {
    const w = await world(t, (options) => ({ ...options, signing: { ...options.signing, algorithm } }))
    const { keys } = (await w.get('/.well-known/jwks.json')).json()
    t.match(keys, [{ kid: /^[\w-]{43}$/, use: 'sig', alg: jose }])
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']) t.notOk(member in keys[0], member)
    const { access_token } = await w.login(await w.account())
    const { payload, protectedHeader } = await jwtVerify(access_token, createLocalJWKSet({ keys }), {
      issuer,
      audience: 'api',
      typ: 'at+jwt',
      currentDate: w.now()
    })
    t.same(protectedHeader, { alg: jose, typ: 'at+jwt', kid: keys[0].kid })
    t.same(Object.keys(payload).sort(), [
      ...[
        'acr',
        'amr',
        'aud',
        'auth_time',
        'client_id',
        'exp',
        'iat',
        'iss',
        'jti',
        'permissions',
        'rev',
        'roles',
        'scope'
      ],
      ...['sid', 'sub'],
      'token_type'
    ])
  }
})

t.test('a planned rotation is seen by every replica, and no token is refused on its way', async (t) => {
  const w = await world(t)
  const replica = await w.replica((options) => ({ ...options, signing: { ...options.signing, pollInterval: 20 } }))
  const username = await w.account()
  const before = await w.login(username)
  const next = await w.app.keys.rotate()
  t.equal((await w.get('/.well-known/jwks.json')).json().keys.length, 2, 'published at once')
  t.same(
    await headerOf((await w.login(username)).access_token),
    await headerOf(before.access_token),
    'and not used yet'
  )

  // The slowest verifier's cache, and the clocks' leeway.
  w.wait(605_000)
  const after = await w.login(username)
  t.match(await headerOf(after.access_token), { kid: next.kid })
  const headers = { authorization: `Bearer ${after.access_token}` }
  t.equal((await replica.inject({ url: '/v1/me', headers })).statusCode, 200, 'a replica without a restart')

  w.wait(86_400_000)
  t.same(
    (await w.get('/.well-known/jwks.json')).json().keys.map(({ kid }: { kid: string }) => kid),
    [next.kid],
    'the old key is gone once nothing that it signed can be alive'
  )
})

const headerOf = async (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString())

t.test('another algorithm by setting joins the set, and takes its turn', async (t) => {
  const w = await world(t)
  const replica = await w.replica((options) => ({ ...options, signing: { ...options.signing, algorithm: 'Ed25519' } }))
  t.same(
    replica.keys.published().map(({ algorithm }) => algorithm),
    ['ES256', 'Ed25519']
  )
  t.equal(replica.keys.signing().algorithm, 'ES256')
  w.wait(605_000)
  t.equal(replica.keys.signing().algorithm, 'Ed25519')
})

t.test('a wrong method is told which ones there are', async (t) => {
  const w = await world(t)
  const wrong = await w.app.inject({ method: 'GET', url: '/v1/login?x=1' })
  t.match(wrong.json(), { code: 'method_not_allowed', status: 405 })
  t.equal(wrong.headers.allow, 'POST')
  const users = await w.app.inject({ method: 'PATCH', url: '/v1/admin/users/some-id' })
  t.equal(users.headers.allow, 'GET, HEAD')
  t.match((await w.get('/nowhere')).json(), { code: 'not_found', status: 404 })
})

t.test('bodies are JSON, read strictly', async (t) => {
  const w = await world(t)
  const send = (payload: string, type = 'application/json') =>
    w.app.inject({ method: 'POST', url: '/v1/login', headers: { 'content-type': type }, payload })
  t.match((await send('{"username":"a","password":"b","\\u0070assword":"c"}')).json(), {
    code: 'validation_failed',
    errors: [{ pointer: '/password', code: 'duplicate' }]
  })
  for (const body of ['{', '{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{}}}', '']) {
    t.equal((await send(body)).statusCode, 400, body)
  }
  for (const body of ['null', '[]', '"text"', '1', '[['.repeat(4000)])
    t.equal((await send(body)).statusCode, 400, body.slice(0, 9))
  t.match((await send('{}', 'text/plain')).json(), { code: 'media_type_unsupported', status: 415 })
  t.match((await send(`{"password":"${'x'.repeat(1 << 20)}"}`)).json(), { code: 'payload_too_large', status: 413 })
})

t.test('the documentation page runs nothing but its own origin’s files, and can be switched off', async (t) => {
  const w = await world(t, (options) => ({ ...options, docs: true }))
  const page = await w.get('/docs')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/)
  t.notMatch(page.headers['content-security-policy'], /unsafe|https?:|\*/)
  const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!)
  t.ok(sources.length > 3)
  for (const source of sources) t.match(source, /^(\.|\/docs)\/static\//, source)
  t.match((await w.get('/docs/json')).json(), { openapi: '3.1.0', paths: { '/v1/login': {} } })
  const script = await w.get('/docs/static/swagger-ui-bundle.js')
  t.match(script.headers['content-type'], /javascript/)
  t.equal(Number(script.headers['content-length']), script.rawPayload.length)
  const again = await w.app.inject({
    url: '/docs/static/swagger-ui-bundle.js',
    headers: { 'if-none-match': String(script.headers.etag) }
  })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
  t.match((await w.get('/docs/static/nothing.js')).json(), { code: 'not_found' })
  const elsewhere = [
    '%2e%2e/package.json',
    '..%2f..%2fpackage.json',
    'static/..%2findex.js',
    'static/.env',
    'static/%00',
    '/'
  ]
  for (const path of elsewhere) t.match((await w.get(`/docs/${path}`)).json(), { code: 'not_found' }, path)
  t.match((await w.get('/docs/static/%zz')).json(), { status: 400 })
  const ranged = await w.app.inject({ url: '/docs/static/index.css', headers: { range: 'bytes=9999999-' } })
  t.equal(ranged.statusCode, 200)
  const head = await w.app.inject({ method: 'HEAD', url: '/docs' })
  t.same([head.statusCode, head.body], [200, ''])
  t.equal((await w.post('/docs', {})).statusCode, 405)

  const off = await world(t)
  t.equal((await off.get('/docs')).statusCode, 404)
})

t.test('every problem is explained, to people and to programs', async (t) => {
  const w = await world(t)
  for (const code of refusalCodes) {
    const page = await w.app.inject({ url: `/problems/${code}`, headers: { accept: 'text/html' } })
    t.equal(page.statusCode, 200)
    t.ok(page.body.includes(`<code>${code}</code>`), code)
    t.match((await w.get(`/problems/${code}`)).json(), { code, meaning: String, remedy: String })
  }
  t.equal((await w.get('/problems/constructor')).statusCode, 404)
  const script = await w.app.inject({ url: '/problems/%3Cscript%3E', headers: { accept: 'text/html' } })
  t.notMatch(script.body, /<script>/)
})

t.test('every response says that nothing of it may run, be framed or be guessed at', async (t) => {
  const w = await world(t)
  // The last two are refused before there is a route.
  const early = ['/v1/%', `/v1/status-lists/${'x'.repeat(201)}`]
  for (const url of ['/livez', '/v1/me', '/nowhere', '/.well-known/jwks.json', '/openapi.json', ...early]) {
    const { headers } = await w.get(url)
    t.match(headers['content-security-policy'], /default-src 'none';frame-ancestors 'none'/, url)
    t.equal(headers['x-content-type-options'], 'nosniff')
    t.equal(headers['referrer-policy'], 'no-referrer')
    t.equal(headers['strict-transport-security'], 'max-age=31536000; includeSubDomains')
    t.match(headers['x-request-id'], /^[\w-]{8}-\w+$/)
    t.notOk('server' in headers || 'x-powered-by' in headers)
  }
})

t.test('only listed origins may read answers with credentials', async (t) => {
  const w = await world(t)
  const ask = (origin: string) =>
    w.app.inject({ method: 'OPTIONS', url: '/v1/login', headers: { origin, 'access-control-request-method': 'POST' } })
  const allowed = await ask('https://app.test')
  t.equal(allowed.headers['access-control-allow-origin'], 'https://app.test')
  t.equal(allowed.headers['access-control-allow-credentials'], 'true')
  for (const origin of ['https://app.test.evil.example', 'http://app.test', 'null']) {
    t.equal((await ask(origin)).headers['access-control-allow-origin'], undefined, origin)
  }
})

t.test('with logins queued to the brim the next is refused at once, and the rest goes on', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    passwords: { ...options.passwords, memory: 19_456, iterations: 2, maxWaiting: 4 }
  }))
  const username = await w.account()
  const { access_token } = await w.login(username)
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => w.post('/v1/login', { username, password: goodPassword }))
  )
  const refused = answers.filter(({ statusCode }) => statusCode === 503)
  t.ok(refused.length > 0 && refused.length < 20)
  t.match(refused[0]!.json(), { code: 'overloaded' })
  t.equal(refused[0]!.headers['retry-after'], '1')
  t.ok(answers.every(({ statusCode }) => statusCode === 200 || statusCode === 503))
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
})
