import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { goodPassword, issuer, world } from '../support/world.js'

/** Statements, keys over time, and what is published. */

t.test('CVE-2026-33505: a cursor is one of ours or refused, and never a piece of SQL', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  for (const name of ['ada', 'bob', 'eve']) {
    w.wait(1)
    await w.account(name)
  }
  const list = (query: string) => w.get(`/v1/admin/users?${query}`, admin.access_token)
  const names = (response: Awaited<ReturnType<typeof list>>) =>
    response.json().users.map(({ username }: { username: string }) => username)

  const first = await list('limit=2')
  const { next_cursor } = first.json()
  t.strictSame(names(await list(`limit=2&cursor=${next_cursor}`)), ['bob', 'eve'])
  const encode = (text: string) => Buffer.from(text).toString('base64url')
  for (const cursor of [
    "' or 1=1--",
    'x',
    '',
    encode("' or 1=1--"),
    encode("00000000-0000-4000-8000-000000000000' or '1'='1"),
    encode('00000000-0000-4000-8000-00000000000'),
    encode('{"id":"x"}'),
    encode('\0'),
    'null',
    '0',
    encode(admin.user.id.toUpperCase()),
    'A'.repeat(101)
  ]) {
    const response = await list(`cursor=${encodeURIComponent(cursor)}`)
    t.equal(response.statusCode, 400, JSON.stringify(cursor.slice(0, 20)))
    t.equal(response.json().code, 'validation_failed')
  }
  for (const limit of ['0', '-1', '101', '1e3', '1.5', '', 'x', '1;drop table account', '00', '0x10', ' 1']) {
    t.equal((await list(`limit=${encodeURIComponent(limit)}`)).statusCode, 400, `limit ${JSON.stringify(limit)}`)
  }
  for (const query of ['order=id', 'sort=password_hash', 'role=admin', 'fields=password_hash', 'offset=1']) {
    t.equal((await list(query)).statusCode, 400, query)
  }
})

t.test('SQL in a search is text: wildcards, quotes and backslashes find themselves alone', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  for (const name of ['ada', 'a_a', 'adam', 'x.y', 'x-y']) {
    w.wait(1)
    await w.account(name)
  }
  const found = async (q: string) => {
    const response = await w.get(`/v1/admin/users?q=${encodeURIComponent(q)}`, admin.access_token)
    t.equal(response.statusCode, 200, q)
    return response.json().users.map(({ username }: { username: string }) => username)
  }
  t.strictSame(await found('ada'), ['ada', 'adam'])
  t.strictSame(await found('ADA'), ['ada', 'adam'], 'case does not matter')
  t.strictSame(await found('a_'), ['a_a'], 'an underscore is an underscore')
  for (const nothing of [
    '%',
    '%a',
    'a%',
    '_',
    '\\',
    '\\%',
    "'",
    "''",
    "' or 1=1--",
    "a' union select password_hash from account--",
    '"',
    '$1',
    ';',
    '--',
    '/*',
    'a\\_',
    '*',
    '.*',
    '^a',
    'ada%',
    'da'
  ]) {
    t.strictSame(await found(nothing), [], nothing)
  }
  t.equal((await w.get(`/v1/admin/users?q=${'x'.repeat(151)}`, admin.access_token)).statusCode, 400)

  for (const name of ["' or 1=1--", "admin'--", '%', '_', 'a\\', '"; drop table account; --', '$1']) {
    t.equal((await w.post('/v1/login', { username: name, password: goodPassword })).statusCode, 401, `login as ${name}`)
    t.equal(
      (await w.post('/v1/register', { username: name, password: goodPassword })).statusCode,
      name === '_' ? 201 : 400
    )
  }
})

t.test(
  'CVE-2022-39288: a NUL, half of a surrogate pair or an endless name is a mistake of the client, never a 500',
  async (t) => {
    const w = await world(t)
    const admin = await w.admin()
    for (const odd of ['a\0b', '\0', 'a\ud83db', '\udc00', '\ufeff', '\uffff', 'x'.repeat(150)]) {
      for (const [url, body] of [
        ['/v1/login', { username: odd, password: goodPassword }],
        ['/v1/login', { username: 'grace', password: odd }],
        ['/v1/login', { email: `${odd}@example.com`, password: goodPassword }],
        ['/v1/register', { username: odd, password: goodPassword }],
        ['/v1/register', { username: 'grace', password: odd }],
        ['/v1/register', { username: 'grace', password: goodPassword, invitation: odd.slice(0, 100) }],
        ['/v1/refresh', { refresh_token: odd }],
        ['/v1/logout', { refresh_token: odd }],
        ['/v1/admin/users', { username: odd }],
        ['/v1/admin/users', { username: 'ada', roles: [odd] }]
      ] as const) {
        const response = await w.as(admin.access_token, 'POST', url, body)
        t.ok(response.statusCode < 500, `${url} ${JSON.stringify(body).slice(0, 40)}: ${response.statusCode}`)
      }
      // Half of a pair cannot be written in an address.
      if (!odd.isWellFormed()) continue
      const response = await w.get(`/v1/admin/users?q=${encodeURIComponent(odd)}`, admin.access_token)
      t.ok(response.statusCode < 500, `a search for ${JSON.stringify(odd.slice(0, 10))}: ${response.statusCode}`)
    }
  }
)

t.test('an address that a trusted proxy cannot spell is no reason to refuse a sign-in', async (t) => {
  const w = await world(t, (options) => ({ ...options, trustedProxies: ['10.0.0.0/8'] }))
  const payload = { username: await w.account(), password: goodPassword }
  const addresses = [
    '198.51.100.7:4711',
    '[2001:db8::1]:4711',
    'unknown',
    '_hidden',
    '',
    'x'.repeat(300),
    "'",
    '2001:db8::1%eth0',
    '999.1.1.1'
  ]
  for (const address of addresses) {
    const headers = { 'x-forwarded-for': address }
    const response = await w.app.inject({
      method: 'POST',
      url: '/v1/login',
      payload,
      headers,
      remoteAddress: '10.1.2.3'
    })
    t.equal(response.statusCode, 200, JSON.stringify(address.slice(0, 20)))
  }
})

t.test(
  'key rotation: a verifier with an old key set, a new one and our own accept every token all the way through',
  async (t) => {
    const w = await world(t)
    const username = await w.account()
    const second = 1000
    const fetchSet = async () => (await w.get('/.well-known/jwks.json')).json() as JSONWebKeySet
    const history: Array<{ at: number; set: JSONWebKeySet }> = []
    const kids = new Set<string>()
    const issued: string[] = []
    for (let step = 0; step <= 34; step++) {
      history.push({ at: w.now().getTime(), set: await fetchSet() })
      if (step === 2 || step === 14) await w.app.keys.rotate()
      const token = (await w.login(username)).access_token
      issued.push(token)
      // Tokens of the last ten minutes, at verifiers that looked at any moment of the last ten.
      for (const live of issued.slice(-6)) {
        for (const { set } of history.filter(({ at }) => w.now().getTime() - at < 600 * second)) {
          const { protectedHeader } = await jwtVerify(live, createLocalJWKSet(set), {
            issuer,
            audience: 'api',
            typ: 'at+jwt',
            currentDate: w.now()
          })
          kids.add(protectedHeader.kid!)
        }
        t.equal((await w.get('/v1/me', live)).statusCode, 200)
      }
      w.wait(100 * second)
    }
    t.equal(kids.size, 3, 'three keys signed')
    t.equal((await fetchSet()).keys.length, 1, 'the old ones are gone in the end')
  }
)

t.test('clock skew: a token of a replica that is ahead counts within the leeway and not beyond it', async (t) => {
  const w = await world(t)
  const username = await w.account()
  for (const [ahead, good] of [
    [4_000, true],
    [-4_000, true],
    [6_000, false]
  ] as const) {
    const skewed = await w.replica((options) => ({ ...options, clock: () => new Date(w.now().getTime() + ahead) }))
    const login = await skewed.inject({
      method: 'POST',
      url: '/v1/login',
      payload: { username, password: goodPassword }
    })
    t.equal(login.statusCode, 200)
    t.equal((await w.get('/v1/me', login.json().access_token)).statusCode, good ? 200 : 401, `${ahead} ms`)
  }
})

t.test('GHSA-9h47-pqcx-hjr4: the metadata promises nothing that is not there, and no none and no plain', async (t) => {
  const w = await world(t)
  const methods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
  const algorithms = ['ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256']
  for (const path of ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']) {
    const response = await w.get(path)
    t.strictSame(response.json(), {
      issuer,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      service_documentation: `${issuer}/docs`,
      token_endpoint: `${issuer}/oauth/token`,
      // The public client has no secret; `none` is nowhere the name of an algorithm.
      token_endpoint_auth_methods_supported: [...methods, 'none'],
      token_endpoint_auth_signing_alg_values_supported: algorithms,
      revocation_endpoint: `${issuer}/oauth/revoke`,
      revocation_endpoint_auth_methods_supported: [...methods, 'none'],
      revocation_endpoint_auth_signing_alg_values_supported: algorithms,
      introspection_endpoint: `${issuer}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_signing_alg_values_supported: algorithms,
      grant_types_supported: ['refresh_token', 'client_credentials'],
      response_types_supported: [],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      dpop_signing_alg_values_supported: ['ES256', 'Ed25519', 'EdDSA', 'RS256', 'PS256'],
      refresh_token_expiration_types_supported: ['authorization', 'token_timeout'],
      keyturn_revocations_uri: `${issuer}/v1/revocations`,
      keyturn_revocations_stream_uri: `${issuer}/v1/revocations/stream`
    })
    t.notMatch(response.body, /plain|implicit|"password"|HS256/i)
  }
})

t.test('the key set has public members alone, each key with its kid, use and one algorithm', async (t) => {
  for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
    const w = await world(t, (options) => ({ ...options, signing: { ...options.signing, algorithm } }))
    await w.app.keys.rotate()
    const { keys } = (await w.get('/.well-known/jwks.json')).json()
    t.equal(keys.length, 2)
    t.equal(new Set(keys.map(({ kid }: { kid: string }) => kid)).size, 2)
    for (const key of keys) {
      t.strictSame(
        ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv', 'key_ops'].filter((member) => member in key),
        [],
        algorithm
      )
      t.match(key, { kid: /^[\w-]{43}$/, use: 'sig', alg: algorithm === 'Ed25519' ? 'EdDSA' : algorithm })
      if (key.kty === 'RSA') {
        t.equal(Buffer.from(key.n, 'base64url').length, 384, '3072 bits')
        t.equal(key.e, 'AQAB')
      }
    }
  }
})
