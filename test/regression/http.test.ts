import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { listening } from '../support/raw-http.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

/** Attacks on how requests are read: bodies, paths, headers, cookies. */

const w = await world(t)
const raw = await listening(w.app)
const tokens = await w.login(await w.account('grace'))
const admin = await w.admin()

const accounts = async () => (await w.app.db.selectFrom('account').select('id').execute()).length
/** Nothing of anybody's account is in an answer. */
const isEmpty = (body: string) =>
  ![tokens.user.id, admin.user.id, 'grace', 'session_id'].some((word) => body.includes(word))

t.test('CVE-2025-32442: a body is held to its schema, or not taken at all, however its type is written', async (t) => {
  const before = await accounts()
  const types = [
    ' application/json',
    'application/json ',
    'application/json\t;a',
    'APPLICATION/JSON ;',
    'application/json garbage',
    'application/json; charset=utf-8',
    'application/json;charset="x',
    'application/json;',
    'application/json;;',
    'application/json ; foo=bar',
    'application/JSON',
    'application/json, text/plain',
    'text/plain, application/json',
    'application/vnd.api+json',
    'application/json-patch+json',
    'application/jsonx',
    'application\\json',
    'application//json',
    'application/json/x',
    '*/*',
    '',
    ';',
    'json'
  ]
  const wrong = JSON.stringify({ username: 'mallory', password: goodPassword, roles: ['admin'] })
  for (const type of types) {
    for (const form of [
      [`content-type: ${type}`],
      [`content-type:${type}`],
      [`Content-Type: ${type}`, 'content-type: text/plain']
    ]) {
      const response = await raw('POST /v1/register', form, wrong)
      t.ok([400, 415].includes(response.status), `${JSON.stringify(form[0])}: ${response.status}`)
    }
  }
  t.equal((await raw('POST /v1/register', [], wrong)).status, 415, 'no type')
  t.equal(
    (await raw('POST /v1/register', ['content-type: text/plain', 'content-type: application/json'], wrong)).status,
    415
  )
  t.equal(await accounts(), before, 'nobody was made')
})

t.test('CVE-2022-41919: an endpoint that reads a cookie takes nothing that a form can send', async (t) => {
  const login = await w.post(
    '/v1/login',
    { username: 'grace', password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  const [cookie] = login.cookies as unknown as Array<{ name: string; value: string }>
  const headers = { ...fromOwnPage, cookie: `${cookie!.name}=${cookie!.value}` }
  for (const type of [
    'text/plain',
    'text/plain;application/json',
    'text/plain; charset=application/json',
    'TEXT/PLAIN',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=application/json',
    'application/json-x',
    'text/plain\t;application/json'
  ]) {
    for (const url of ['/v1/login', '/v1/refresh', '/v1/logout', '/v1/logout/all']) {
      for (const payload of ['{}', '{"refresh_transport":"cookie"}', '']) {
        const response = await w.app.inject({
          method: 'POST',
          url,
          headers: { ...headers, 'content-type': type },
          payload
        })
        t.ok([400, 403, 415].includes(response.statusCode), `${url} ${type} ${payload}: ${response.statusCode}`)
        t.equal(response.headers['set-cookie'], undefined)
      }
    }
  }
  const bare = await w.app.inject({ method: 'POST', url: '/v1/logout', headers: { cookie: headers.cookie } })
  t.equal(bare.statusCode, 403, 'no body and no type')
  t.equal((await w.post('/v1/refresh', {}, headers)).statusCode, 200, 'the session is untouched')
})

t.test('CVE-2026-18504: a member of another type is refused, never converted', async (t) => {
  for (const payload of [
    '"x"',
    '1',
    'null',
    'true',
    '[]',
    '[{"username":"x"}]',
    '"{}"',
    '{"username":["x"],"password":"y"}',
    '{"username":1,"password":"y"}',
    '{"username":{},"password":"y"}',
    '{"username":null,"password":"y"}',
    '{"username":"x","password":{"$ne":""}}'
  ]) {
    for (const url of ['/v1/login', '/v1/register', '/v1/refresh', '/v1/logout']) {
      const response = await w.app.inject({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json' },
        payload
      })
      // Nothing at all is what a client without a token sends to refresh and logout.
      if (payload === 'null' && !/login|register/.test(url)) t.equal(response.statusCode, 204)
      else t.equal(response.statusCode, 400, `${url} ${payload}`)
    }
  }
})

t.test('CVE-2026-76169: a malformed address is refused before anything is looked up', async (t) => {
  for (const path of [
    '/%',
    '/%ZZ',
    '/v1/%E0%A4%A',
    '/v1/me%',
    '/v1/admin/users/%',
    '/%2',
    '/%c0%af',
    '/v1/sessions/%00',
    '/v1/admin/users/%ff',
    '/\\v1\\me',
    '/v1/me\x7f'
  ]) {
    for (const headers of [[], [`authorization: Bearer ${tokens.access_token}`]]) {
      const response = await raw(`GET ${path}`, headers)
      t.ok([400, 401, 403, 404, 405].includes(response.status), `${JSON.stringify(path)}: ${response.status}`)
      t.ok(isEmpty(response.body))
    }
  }
})

const secretPaths = ['/v1/me', '/v1/me/profile', '/v1/sessions', '/v1/admin/users', `/v1/admin/users/${tokens.user.id}`]
/** Spellings of a path that a proxy and a router may read differently. */
const spellings = (path: string) => [
  path,
  `/${path}`,
  `${path}/`,
  `${path}//`,
  path.toUpperCase(),
  path.replace('/v1', '/V1'),
  path.replace(/[a-z](?=[^/]*$)/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  path.replaceAll('/', '%2f').replace('%2f', '/'),
  `${path};a=b`,
  `${path};`,
  `/.${path}`,
  `/x/..${path}`,
  path.replace('/v1/', '/v1/./'),
  path.replace('/v1/', '/v1//'),
  path.replace('/v1/', '/v1/login/../'),
  path.replace('/v1/', '/v1/%2e%2e/v1/'),
  path.replaceAll('/', '\\').replace('\\', '/'),
  `${path}?access_token=`,
  `${path}?`,
  `${path}%20`,
  `${path}%00`,
  `${path}%23`,
  `${path}.json`,
  `${path}/..;/`,
  `http://auth.test${path}`,
  `http://evil.example${path}`,
  `/.well-known/..${path}`,
  `/livez/..${path}`
]

t.test('CVE-2026-2880 and CVE-2026-22037: no spelling of a path leads around the guard', async (t) => {
  for (const path of secretPaths) {
    for (const spelling of spellings(path)) {
      const response = await raw(`GET ${spelling}`)
      t.ok([400, 401, 404, 405].includes(response.status), `GET ${spelling}: ${response.status}`)
      t.ok(isEmpty(response.body), spelling)
    }
    if (!path.includes('admin')) continue
    for (const spelling of spellings(path)) {
      const response = await raw(`GET ${spelling}`, [`authorization: Bearer ${tokens.access_token}`])
      t.ok([400, 403, 404, 405].includes(response.status), `GET ${spelling} without the role: ${response.status}`)
      t.ok(isEmpty(response.body), spelling)
    }
  }
})

t.test('CVE-2026-33804: no method reads or does anything without a token', async (t) => {
  for (const path of secretPaths) {
    for (const method of [
      'HEAD',
      'OPTIONS',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'TRACE',
      'PROPFIND',
      'QUERY',
      'get',
      'FOO'
    ]) {
      const response = await raw(`${method} ${path}`)
      t.ok(
        [200, 204].includes(response.status) === false || (method === 'OPTIONS' && response.body === ''),
        `${method} ${path}: ${response.status}`
      )
      t.ok(isEmpty(response.body))
      t.notMatch(response.head, new RegExp(tokens.user.id))
    }
    const preflight = await raw(`OPTIONS ${path}`, [
      'origin: https://evil.example',
      'access-control-request-method: GET',
      'access-control-request-headers: authorization'
    ])
    t.notMatch(
      preflight.head,
      /access-control-allow-origin: (\*|null|https:\/\/evil)/i,
      `no page of another origin may ask for ${path}`
    )
    const reading = await raw(`GET ${path}`, ['origin: null', `authorization: Bearer ${admin.access_token}`])
    t.notMatch(reading.head, /access-control-allow-origin/i)
  }
  t.equal(
    (await raw('TRACE /v1/me', [`authorization: Bearer ${tokens.access_token}`])).body.includes(tokens.access_token),
    false
  )
})

t.test('every route behind the guard says so: the document lists none without one', async (t) => {
  const document = (await w.app.openapi()) as { paths: Record<string, Record<string, { security: object[] }>> }
  let guarded = 0
  for (const [path, operations] of Object.entries(document.paths)) {
    // Its answer has no end; it is looked at where the stream is.
    if (path.endsWith('/stream')) continue
    for (const [method, { security }] of Object.entries(operations)) {
      const url = path.replace('{id}', tokens.user.id)
      // Clients of OAuth prove themselves in the form, so there has to be one.
      const isForm = path.startsWith('/oauth/')
      const body = isForm ? 'grant_type=client_credentials&token=x' : '{}'
      const response = await w.app.inject({
        method: method.toUpperCase() as 'GET',
        url,
        payload: method === 'get' ? '' : body,
        headers: { 'content-type': isForm ? 'application/x-www-form-urlencoded' : 'application/json' }
      })
      const mustGuard = /^\/(v1\/(me|sessions|tokens|admin)|oauth)/.test(path)
      // Where nobody has to be there, a credential is looked at and not asked for.
      const isOpen = security.length === 0 || security.some((one) => Object.keys(one).length === 0)
      t.equal(!isOpen, mustGuard, `${method} ${path} says whether it is guarded`)
      if (mustGuard) t.equal(response.statusCode, 401, `${method} ${path}`)
      if (mustGuard) guarded++
    }
  }
  t.ok(guarded >= 14)
})

async function addressOf(
  t: Test,
  w: World,
  app: FastifyInstance,
  headers: Record<string, string>,
  remoteAddress: string
) {
  const username = await w.account()
  const login = await app.inject({
    method: 'POST',
    url: '/v1/login',
    payload: { username, password: goodPassword },
    headers,
    remoteAddress
  })
  t.equal(login.statusCode, 200)
  const devices = await app.inject({
    url: '/v1/sessions',
    headers: { authorization: `Bearer ${login.json().access_token}` }
  })
  return devices.json().sessions[0].address
}

t.test('CVE-2026-3635 and CVE-2026-16732: forwarded headers count from a trusted proxy alone', async (t) => {
  const forged = {
    'x-forwarded-for': '6.6.6.6',
    'x-real-ip': '6.6.6.6',
    forwarded: 'for=6.6.6.6',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http'
  }
  t.equal(await addressOf(t, w, w.app, forged, '203.0.113.9'), '203.0.113.9', 'no proxy is trusted')

  const behind = await w.replica((options) => ({ ...options, trustedProxies: ['10.0.0.0/8'] }))
  const through = (value: string, from: string) =>
    addressOf(t, w, behind, { ...forged, 'x-forwarded-for': value }, from)
  t.equal(await through('6.6.6.6', '203.0.113.9'), '203.0.113.9', 'not from elsewhere')
  t.equal(await through('198.51.100.7', '10.1.2.3'), '198.51.100.7', 'from the proxy')
  t.equal(
    await through('6.6.6.6, 198.51.100.7', '10.1.2.3'),
    '198.51.100.7',
    'what the client wrote before it does not'
  )
  t.equal(await through('6.6.6.6, 198.51.100.7, 10.9.9.9', '10.1.2.3'), '198.51.100.7', 'over two proxies')

  for (const app of [w.app, behind]) {
    for (const url of [
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/.well-known/jwks.json',
      '/v1/me',
      '/nowhere'
    ]) {
      const plain = await app.inject({ url })
      for (const remoteAddress of ['203.0.113.9', '10.1.2.3']) {
        const response = await app.inject({ url, headers: { ...forged, host: 'evil.example' }, remoteAddress })
        t.equal(response.body, plain.body, `${url}: every address in an answer comes from the configuration`)
        t.equal(response.headers.location, undefined)
      }
    }
    const payload = { username: 'grace', password: goodPassword, refresh_transport: 'cookie' }
    const login = await app.inject({
      method: 'POST',
      url: '/v1/login',
      payload,
      headers: { ...fromOwnPage, ...forged, host: 'evil.example' },
      remoteAddress: '10.1.2.3'
    })
    t.match(
      login.headers['set-cookie'],
      /^__Host-Http-rt=.*; Secure; SameSite=Strict$/,
      'the cookie stays one for https'
    )
  }
  const own = await w.post(
    '/v1/login',
    { username: 'grace', password: goodPassword, refresh_transport: 'cookie' },
    {
      'content-type': 'application/json',
      'x-auth-request': '1',
      origin: 'https://evil.example',
      host: 'evil.example',
      'x-forwarded-host': 'evil.example'
    }
  )
  t.match(own.json(), { code: 'csrf_failed' }, 'a host that was made up is no own origin')
})

t.test('prototype pollution: __proto__ and constructor are members like others, and unknown ones', async (t) => {
  const rest = `"username":"mallory","password":${JSON.stringify(goodPassword)}`
  for (const body of [
    `{"__proto__":{"roles":["admin"]},${rest}}`,
    `{"constructor":{"prototype":{"roles":["admin"]}},${rest}}`,
    `{"\\u005f_proto__":{"roles":["admin"]},${rest}}`,
    `{"\\u0063onstructor":{"prototype":{}},${rest}}`,
    `{${rest},"prototype":{}}`,
    `{${rest},"toString":1}`,
    `{${rest},"invitation":{"__proto__":{}}}`,
    `{${rest},"hasOwnProperty":true}`
  ]) {
    const response = await w.app.inject({
      method: 'POST',
      url: '/v1/register',
      headers: { 'content-type': 'application/json' },
      payload: body
    })
    t.equal(response.statusCode, 400, body.slice(0, 40))
  }
  for (const query of [
    '__proto__[role]=admin',
    '__proto__=1',
    'constructor=1',
    'constructor[prototype][x]=1',
    'q=a&q=b',
    'limit=1&limit=2',
    'cursor[]=x'
  ]) {
    const response = await w.get(`/v1/admin/users?${query}`, admin.access_token)
    t.equal(response.statusCode, 400, query)
  }
  t.equal(({} as Record<string, unknown>).roles, undefined)
  t.equal(Object.hasOwn(Object.prototype, 'role'), false)
})
