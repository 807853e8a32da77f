import { createHash } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import { principal } from '../../src/index.js'
import type { Authenticator } from '../../src/plugins/authenticators.js'
import { bindingLogin, clientKey, freshJti, signProof } from '../support/dpop.js'
import { faultyLink } from '../support/faulty-link.js'
import { ask, asProxy, type OriginalRequest, proxyNames } from '../support/forward-auth.js'
import { until } from '../support/until.js'
import { type Change, fromOwnPage, goodPassword, issuer, type World, world } from '../support/world.js'

const behindProxies: Change = (options) => ({ ...options, trustedProxies: ['10.0.0.0/8', '::1'] })
const proxied = (t: Test, change: Change = (options) => options) =>
  world(t, (options) => change(behindProxies(options)))

const bearer = (token: string, more: object = {}): OriginalRequest => ({
  headers: { authorization: `Bearer ${token}`, ...more }
})

const identityNames = ['subject', 'session', 'roles', 'permissions', 'scope', 'email', 'token'].map(
  (n) => `x-auth-${n}`
)

/** What every answer has, whatever it says. */
function isAnswer(t: Test, response: Awaited<ReturnType<typeof ask>>, title: string): void {
  t.equal(response.body, '', `${title}: no body`)
  t.equal(response.headers['content-type'], undefined, `${title}: no type of one`)
  t.equal(response.headers['content-length'] ?? '0', '0', `${title}: no length of one`)
  t.equal(response.headers['cache-control'], 'no-store', `${title}: for no cache`)
  for (const name of identityNames) t.type(response.headers[name], 'string', `${title}: ${name} is there`)
}

/** The cookie of a browser that signed in with a session. */
async function sessionCookie(w: World, username?: string): Promise<string> {
  const account = username ?? (await w.account())
  const body = { username: account, password: goodPassword, refresh_transport: 'cookie', session: true }
  const { cookies } = await w.post('/v1/login', body, fromOwnPage)
  const { name, value } = cookies.find((cookie) => cookie.name.includes('session'))!
  return `${name}=${value}`
}

t.test('every proxy is told who it is, by whichever credential, and forged headers never come into it', async (t) => {
  const w = await proxied(t)
  await w.role('editor', ['articles.change'])
  const account = await w.app.flows.createAccount({ username: 'ada', password: goodPassword, roles: ['editor'] })
  const tokens = await w.login('ada')
  const { key } = await w.app.flows.createApiToken(account.id, { name: 'script' })
  const forged = Object.fromEntries(identityNames.map((name) => [name, 'admin']))
  const credentials: Array<[string, Record<string, string>, boolean]> = [
    ['an access token', { authorization: `Bearer ${tokens.access_token}` }, true],
    ['an API token', { authorization: `Token ${key}` }, false],
    ['a session cookie', { cookie: await sessionCookie(w, 'ada') }, true]
  ]
  for (const proxy of proxyNames) {
    for (const [credential, headers, hasSession] of credentials) {
      const title = `${proxy}, ${credential}`
      const response = await ask(w, proxy, { headers: { ...forged, ...headers } })
      t.equal(response.statusCode, 200, title)
      isAnswer(t, response, title)
      t.match(
        response.headers,
        { 'x-auth-subject': account.id, 'x-auth-roles': 'editor', 'x-auth-permissions': 'articles.change' },
        title
      )
      t.equal(response.headers['x-auth-session'] !== '', hasSession, title)
      t.match(response.headers, { 'x-auth-scope': '', 'x-auth-email': '', 'x-auth-token': '' }, title)
    }
  }
})

t.test('nobody, and whoever has a bad credential, gets a 401 with every header empty', async (t) => {
  const w = await proxied(t)
  const { access_token: token, refresh_token } = await w.login(await w.account())
  const cookie = await sessionCookie(w)
  const forged = Object.fromEntries(identityNames.map((name) => [name, 'admin']))
  await w.post('/v1/logout', { refresh_token })
  await w.app.revocations.read()
  const cases: Array<[Record<string, string>, string, RegExp]> = [
    [{}, 'authentication_required', /^Token realm="keyturn", Bearer realm="keyturn"$/],
    [{ authorization: `Bearer ${token}` }, 'token_revoked', /Bearer realm="keyturn", error="invalid_token"/],
    [{ authorization: `Bearer ${token}x` }, 'token_invalid', /error="invalid_token"/],
    [{ authorization: 'Token nothing' }, 'token_invalid', /^Token realm="keyturn"/],
    [{ cookie: `${cookie}x` }, 'token_invalid', /Bearer realm/]
  ]
  for (const proxy of proxyNames) {
    for (const [headers, code, challenge] of cases) {
      const title = `${proxy}: ${code}`
      const response = await ask(w, proxy, { headers: { ...forged, ...headers } })
      t.equal(response.statusCode, 401, title)
      isAnswer(t, response, title)
      for (const name of identityNames) t.equal(response.headers[name], '', title)
      t.equal(response.headers['x-auth-error'], code, title)
      t.match(response.headers['www-authenticate'], challenge, title)
    }
  }
})

t.test('a demand in the address is asked of whoever comes, by the method of the request itself', async (t) => {
  const w = await proxied(t)
  await w.role('editor')
  const account = await w.app.flows.createAccount({ username: 'ada', password: goodPassword, roles: ['editor'] })
  const { access_token: token } = await w.login('ada')
  const { key } = await w.app.flows.createApiToken(account.id, { name: 'script', scopes: ['reports.read'] })
  const limited: OriginalRequest = { headers: { authorization: `Token ${key}` } }
  const cases: Array<[string, OriginalRequest, number, string?]> = [
    ['role:editor', bearer(token), 200],
    ['role:admin,editor', bearer(token), 200],
    ['role:admin', bearer(token), 403, 'permission_denied'],
    ['role:editor&acr:aal2', bearer(token), 401, 'reauthentication_required'],
    ['permission:a.b', bearer(token), 403, 'permission_denied'],
    ['fresh', bearer(token), 200],
    ['scope:reports.read', limited, 200],
    ['scope:reports.write', limited, 403, 'insufficient_scope'],
    ['authenticated', limited, 403, 'permission_denied'],
    ['anyone', {}, 200],
    ['anyone', bearer(`${token}x`), 401, 'token_invalid'],
    ['rolle:editor', bearer(token), 403, 'permission_denied']
  ]
  for (const proxy of proxyNames) {
    for (const [demand, original, status, code] of cases) {
      const title = `${proxy}: ${demand}`
      const response = await ask(w, proxy, original, demand)
      t.equal(response.statusCode, status, title)
      t.equal(response.headers['x-auth-error'], code, title)
      isAnswer(t, response, title)
    }
  }
  w.wait(60_000)
  const old = await ask(w, 'nginx', bearer(token), 'max_auth_age:30')
  t.match(old, { statusCode: 401, headers: { 'x-auth-error': 'reauthentication_required' } })
  t.match(old.headers['www-authenticate'], /max_age="30"/)
})

t.test('what the client writes into its own address asks for nothing and excuses from nothing', async (t) => {
  const w = await proxied(t)
  const { access_token: token } = await w.login(await w.account())
  for (const proxy of proxyNames) {
    const at = (url: string, original: OriginalRequest = bearer(token)) => ({
      ...original,
      url: `https://shop.test${url}`
    })
    t.equal((await ask(w, proxy, at('/?demand=anyone', {}))).statusCode, 401, proxy)
    t.equal((await ask(w, proxy, at('/anyone/x', {}), 'authenticated')).statusCode, 401, proxy)
    t.equal((await ask(w, proxy, at('/?demand=role:admin&role=admin'))).statusCode, 200, proxy)
    t.equal((await ask(w, proxy, at('/?access_token=of-the-application'))).statusCode, 200, proxy)
    t.equal((await ask(w, proxy, at('/anyone/../x?y'), 'role:admin')).statusCode, 403, proxy)
  }
})

t.test('only a proxy that is trusted is answered, by its own address', async (t) => {
  const w = await proxied(t)
  const { access_token: token } = await w.login(await w.account())
  for (const proxy of proxyNames) {
    const pretending = bearer(token, { 'x-forwarded-for': '10.0.0.9', forwarded: 'for=10.0.0.9' })
    for (const [address, status] of [
      ['10.0.0.9', 200],
      ['::ffff:10.0.0.9', 200],
      ['::1', 200],
      ['11.0.0.9', 403],
      ['::2', 403],
      ['127.0.0.1', 403]
    ] as const) {
      const response = await ask(w, proxy, pretending, undefined, address)
      t.equal(response.statusCode, status, `${proxy} at ${address}`)
      isAnswer(t, response, address)
      if (status === 403) t.match(response.headers, { 'x-auth-subject': '', 'x-auth-error': 'permission_denied' })
    }
  }
  t.match(w.logs.join(''), /the proxy 11\.0\.0\.9 is not in AUTH_TRUSTED_PROXIES/)

  const alone = await world(t)
  t.equal((await ask(alone, 'caddy', {}, 'anyone', '127.0.0.1')).statusCode, 403, 'without the setting none is')
})

t.test('a request with a cookie that changes something comes from a page that may send it', async (t) => {
  const w = await proxied(t)
  const cookie = await sessionCookie(w)
  const own = 'https://shop.test'
  const cases: Array<[string, Record<string, string>, number]> = [
    ['GET', {}, 200],
    ['HEAD', { origin: 'https://evil.example' }, 200],
    ['POST', { origin: own }, 200],
    ['POST', { 'sec-fetch-site': 'same-origin' }, 200],
    ['DELETE', { origin: 'https://app.test', 'sec-fetch-site': 'same-site' }, 200],
    ['POST', {}, 403],
    ['POST', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, 403],
    ['PUT', { origin: 'http://shop.test' }, 403],
    ['POST', { origin: 'null', 'content-type': 'application/json', 'x-auth-request': '1' }, 403],
    ['GET', { origin: 'https://evil.example', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }, 403],
    ['GET', { origin: own, 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }, 200]
  ]
  for (const proxy of proxyNames) {
    for (const [method, headers, status] of cases) {
      const title = `${proxy} ${method} ${JSON.stringify(headers)}`
      const response = await ask(w, proxy, { method, url: `${own}/orders`, headers: { cookie, ...headers } })
      t.equal(response.statusCode, status, title)
      if (status === 403) t.equal(response.headers['x-auth-error'], 'csrf_failed', title)
      isAnswer(t, response, title)
    }
  }
})

t.test('a proxy that does not say what it asks about is set up for something else, and gets nobody in', async (t) => {
  const w = await proxied(t)
  const { access_token: token } = await w.login(await w.account())
  const needed = {
    traefik: ['x-forwarded-method', 'x-forwarded-uri', 'x-forwarded-host', 'x-forwarded-proto'],
    caddy: ['x-forwarded-method', 'x-forwarded-uri'],
    nginx: ['x-original-method', 'x-original-url'],
    envoy: ['x-forwarded-proto']
  }
  for (const proxy of proxyNames) {
    for (const name of needed[proxy]) {
      const { headers, ...asked } = asProxy(proxy, bearer(token), 'anyone')
      const { [name]: _, ...rest } = headers as Record<string, string>
      const response = await w.app.inject({ ...asked, headers: rest, remoteAddress: '10.0.0.9' } as object)
      t.equal(response.statusCode, 403, `${proxy} without ${name}`)
      isAnswer(t, response, name)
    }
  }
  t.match(w.logs.join(''), /the proxy does not say the method and the address \(nginx\): see docs\/proxies\.md/)
  // Envoy with the path of the others: what a client asks for would be what is asked of it.
  const misled = {
    method: 'GET',
    url: '/v1/forward-auth/anyone',
    headers: { host: 'shop.test', 'x-forwarded-proto': 'https' }
  }
  t.equal((await w.app.inject({ ...misled, remoteAddress: '10.0.0.9' } as object)).statusCode, 403)
})

t.test('a browser that asks for a page is sent to sign in, with the way back to listed origins alone', async (t) => {
  const w = await proxied(t, (options) => ({
    ...options,
    forwardAuth: {
      ...options.forwardAuth,
      login: { url: 'https://shop.test/login', returnOrigins: new Set(['https://shop.test']) }
    }
  }))
  const accept = 'text/html,application/xhtml+xml,*/*;q=0.8'
  const page = (url: string, headers: Record<string, string> = {}): OriginalRequest => ({
    url,
    headers: { accept, ...headers }
  })
  const cookie = `${await sessionCookie(w)}x`
  for (const proxy of ['traefik', 'caddy', 'envoy'] as const) {
    const back = encodeURIComponent('https://shop.test/orders?page=2')
    const cases: Array<[OriginalRequest, number, string?]> = [
      [
        page('https://shop.test/orders?page=2'),
        302,
        `https://shop.test/login?reason=authentication_required&returnTo=${back}`
      ],
      [page('https://evil.example/'), 302, 'https://shop.test/login?reason=authentication_required'],
      [
        page('https://shop.test/', { cookie }),
        302,
        `https://shop.test/login?reason=token_invalid&returnTo=${encodeURIComponent('https://shop.test/')}`
      ],
      [page('https://shop.test/login?returnTo=x'), 401],
      [page('https://shop.test/', { 'sec-fetch-mode': 'cors' }), 401],
      [page('https://shop.test/', { authorization: 'Bearer x' }), 401],
      [{ ...page('https://shop.test/'), method: 'POST' }, 401],
      [{ url: 'https://shop.test/', headers: { accept: 'application/json' } }, 401]
    ]
    for (const [original, status, location] of cases) {
      const title = `${proxy} ${original.method ?? 'GET'} ${original.url} ${JSON.stringify(original.headers)}`
      const response = await ask(w, proxy, original)
      t.equal(response.statusCode, status, title)
      t.equal(response.headers.location, location, title)
      t.equal(response.headers['www-authenticate'] === undefined, status === 302, title)
      isAnswer(t, response, title)
    }
    const { access_token: token } = await w.login(await w.account())
    const denied = await ask(
      w,
      proxy,
      { url: 'https://shop.test/', headers: { accept, authorization: `Bearer ${token}` } },
      'role:admin'
    )
    t.equal(denied.statusCode, 403, 'who is signed in and may not come in is not sent to sign in')
  }
  t.equal((await ask(w, 'nginx', page('https://shop.test/'))).statusCode, 401, 'nginx makes 500 of a redirect')
})

t.test('nginx gets 200, 401 and 403 alone, and the others what is the matter', async (t) => {
  const w = await proxied(t, (options) => ({
    ...options,
    authenticators: { ...options.authenticators, order: ['session', 'token', 'bearer', 'basic'] },
    rateLimits: { ...options.rateLimits, signIn: { max: 2, window: 60_000 } }
  }))
  const { access_token: token } = await w.login(await w.account())
  const basic = { headers: { authorization: `Basic ${Buffer.from('ada:wrong').toString('base64')}` } }
  // Counted by the client's own address, not by the proxy's.
  for (let n = 0; n < 2; n++) await ask(w, 'nginx', basic)
  const cases: Array<[OriginalRequest, number, string]> = [
    [basic, 429, 'rate_limited'],
    [bearer(token, { cookie: '__Host-Http-session=kts_x' }), 400, 'request_malformed']
  ]
  for (const [original, status, code] of cases) {
    const fromNginx = await ask(w, 'nginx', original)
    t.match(fromNginx, { statusCode: 403, headers: { 'x-auth-error': code } }, code)
    isAnswer(t, fromNginx, code)
    for (const proxy of ['traefik', 'caddy', 'envoy'] as const) {
      const response = await ask(w, proxy, original)
      t.match(response, { statusCode: status, headers: { 'x-auth-error': code } }, `${proxy} ${code}`)
      isAnswer(t, response, code)
    }
  }
})

t.test('a replica that may have missed a sign-out lets nobody in by it, and says to come back', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const replica = await w.replica((options) => ({
    ...behindProxies(options),
    database: { ...options.database, url: link.url, timeout: 200 },
    revocations: { pollInterval: 10, maxStaleness: 500, whenStale: 'deny' }
  }))
  const { access_token: token } = await w.login(await w.account())
  await link.cut()
  t.ok(await until(() => !replica.revocations.isKnown()))
  for (const [proxy, status] of [
    ['traefik', 503],
    ['envoy', 503],
    ['nginx', 403]
  ] as const) {
    const response = await ask({ app: replica }, proxy, bearer(token))
    t.match(
      response,
      { statusCode: status, headers: { 'x-auth-error': 'service_unavailable', 'retry-after': '1' } },
      proxy
    )
    isAnswer(t, response, proxy)
  }
})

t.test('an upstream’s token is verified by the key set, and is an access token for nobody', async (t) => {
  const w = await proxied(t, (options) => ({
    ...options,
    forwardAuth: { ...options.forwardAuth, audiences: ['orders', 'reports'], tokenLifetime: 60_000 }
  }))
  const keys = createLocalJWKSet((await w.get('/.well-known/jwks.json')).json())
  const tokens = await w.login(await w.account())
  for (const [demand, audience] of [
    [undefined, 'orders'],
    ['audience:reports', 'reports']
  ] as const) {
    const response = await ask(w, 'caddy', bearer(tokens.access_token), demand)
    const token = String(response.headers['x-auth-token'])
    const { payload, protectedHeader } = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: 'upstream+jwt',
      currentDate: w.now()
    })
    t.equal(payload.sub, tokens.user.id)
    t.equal(payload.sid, response.headers['x-auth-session'])
    t.equal(payload.exp! - payload.iat!, 60)
    t.equal(protectedHeader.typ, 'upstream+jwt')
    t.match((await w.get('/v1/me', token)).json(), { code: 'token_invalid' }, 'and not here either')
    t.equal((await ask(w, 'caddy', bearer(token))).statusCode, 401, 'nor at the door')
  }
  const unknown = await ask(w, 'caddy', bearer(tokens.access_token), 'audience:others')
  t.match(unknown, { statusCode: 403, headers: { 'x-auth-token': '' } })
  t.equal((await ask(w, 'caddy', {}, 'anyone')).headers['x-auth-token'], '', 'nobody has none')
})

t.test('the email is told where it is verified, and by setting alone', async (t) => {
  const w = await proxied(t)
  const account = await w.app.flows.createAccount({ username: 'ada', email: 'ada@example.com', password: goodPassword })
  const { access_token: token } = await w.login('ada')
  const telling = {
    app: await w.replica((options) => ({
      ...behindProxies(options),
      forwardAuth: { ...options.forwardAuth, email: true }
    }))
  }
  t.equal((await ask(telling, 'caddy', bearer(token))).headers['x-auth-email'], '', 'anybody may claim an address')
  await w.app.db.updateTable('account').set({ email_verified_at: w.now() }).where('id', '=', account.id).execute()
  t.equal((await ask(telling, 'caddy', bearer(token))).headers['x-auth-email'], 'ada@example.com')
  t.equal((await ask(w, 'caddy', bearer(token))).headers['x-auth-email'], '')
})

t.test('a preflight passes as nobody where the demand says so, and is never answered for the upstream', async (t) => {
  const w = await proxied(t)
  const headers = { origin: 'https://app.test', 'access-control-request-method': 'PUT' }
  for (const proxy of proxyNames) {
    const preflight = { method: 'OPTIONS', headers }
    const passed = await ask(w, proxy, preflight, 'role:admin&preflight')
    t.equal(passed.statusCode, 200, proxy)
    isAnswer(t, passed, proxy)
    t.equal(passed.headers['x-auth-subject'], '')
    t.equal(passed.headers['access-control-allow-origin'], undefined, 'that is the upstream’s to say')
    t.equal((await ask(w, proxy, preflight, 'role:admin')).statusCode, 401, proxy)
    t.equal((await ask(w, proxy, { method: 'OPTIONS' }, 'role:admin&preflight')).statusCode, 401, 'no preflight')
    t.equal((await ask(w, proxy, { method: 'PUT', headers }, 'role:admin&preflight')).statusCode, 401, 'no preflight')
  }
})

t.test('Envoy’s own methods, bodies and paths', async (t) => {
  const w = await proxied(t)
  const { access_token: token } = await w.login(await w.account())
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    for (const type of [undefined, 'application/json', 'text/plain', 'nonsense']) {
      const response = await ask(w, 'envoy', {
        method,
        ...bearer(token, type === undefined ? {} : { 'content-type': type })
      })
      t.equal(response.statusCode, 200, `${method} ${type}`)
      isAnswer(t, response, method)
    }
  }
  const head = await w.app.inject({
    ...asProxy('caddy', bearer(token)),
    method: 'HEAD',
    remoteAddress: '10.0.0.9'
  } as object)
  t.equal(head.statusCode, 200)
  const post = await w.app.inject({
    ...asProxy('caddy', bearer(token)),
    method: 'POST',
    remoteAddress: '10.0.0.9'
  } as object)
  t.equal(post.statusCode, 405)
})

t.test('a token that is bound to a key passes with a proof for the request itself, once', async (t) => {
  const w = await proxied(t)
  const key = clientKey()
  const { access_token: token } = await bindingLogin(w, key)
  const proof = (htm: string, htu: string) =>
    signProof(key, {
      jti: freshJti(),
      htm,
      htu,
      iat: Math.floor(w.now().getTime() / 1000),
      ath: createHash('sha256').update(token).digest('base64url')
    })
  for (const proxy of proxyNames) {
    const original = (dpop: string): OriginalRequest => ({
      method: 'PUT',
      url: 'https://shop.test/orders/1?x=y',
      headers: { authorization: `DPoP ${token}`, dpop }
    })
    const good = proof('PUT', 'https://shop.test/orders/1')
    t.equal((await ask(w, proxy, original(good))).statusCode, 200, proxy)
    t.equal((await ask(w, proxy, original(good))).statusCode, 401, `${proxy}: a second time`)
    t.equal((await ask(w, proxy, original(proof('GET', 'https://shop.test/orders/1')))).statusCode, 401, proxy)
    t.equal((await ask(w, proxy, original(proof('PUT', 'https://other.test/orders/1')))).statusCode, 401, proxy)
    t.equal((await ask(w, proxy, original(proof('PUT', `${issuer}/v1/forward-auth`)))).statusCode, 401, proxy)
  }
})

t.test('an account that no header can name does not pass', async (t) => {
  const odd: Authenticator = {
    name: 'odd',
    authenticate: () => principal({ accountId: 'ada\r\nx-auth-roles: admin', authenticator: 'odd' })
  }
  const w = await proxied(t, (options) => ({ ...options, authenticators: { order: ['odd'], custom: [odd] } }))
  const response = await ask(w, 'caddy')
  t.equal(response.statusCode, 403)
  isAnswer(t, response, 'odd')
})

t.test('a sign-out is known at the door', async (t) => {
  const w = await proxied(t)
  const { access_token: token, refresh_token } = await w.login(await w.account())
  t.equal((await ask(w, 'nginx', bearer(token))).statusCode, 200)
  t.equal((await w.post('/v1/logout', { refresh_token })).statusCode, 204)
  await w.app.revocations.read()
  for (const demand of [undefined, 'fresh']) t.equal((await ask(w, 'nginx', bearer(token), demand)).statusCode, 401)
})
