import fc from 'fast-check'
import t from 'tap'
import { listening } from '../support/raw-http.js'
import { fromOwnPage, goodPassword, world } from '../support/world.js'

/** Attacks by headers and cookies that are forged, malformed, doubled or too long. */

const w = await world(t)
const raw = await listening(w.app)
const tokens = await w.login(await w.account('grace'))
const other = await w.login(await w.account('ada'))

const internal = [
  'x-internal',
  'x-internal-user',
  'x-internal-request',
  'x-internal-auth',
  'x-middleware-subrequest',
  'x-middleware-prefetch',
  'x-forwarded-user',
  'x-forwarded-email',
  'x-forwarded-preferred-username',
  'x-auth-request',
  'x-auth-request-user',
  'x-authenticated-user',
  'x-remote-user',
  'remote-user',
  'x-user-id',
  'x-user',
  'x-roles',
  'x-admin',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  'x-http-method-override',
  'x-method-override',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-prefix',
  'x-real-ip',
  'x-client-verify',
  'x-ssl-client-verify',
  'x-skip-auth',
  'x-debug',
  'x-test',
  'x-api-key',
  'proxy-authorization',
  'www-authenticate',
  'x-amzn-oidc-data',
  'cf-access-authenticated-user-email',
  'via',
  'upgrade',
  'accept-version',
  'x-access-token',
  'x-authorization'
]
const values = [
  tokens.access_token,
  `Bearer ${tokens.access_token}`,
  tokens.user.id,
  'admin',
  'true',
  '1',
  '127.0.0.1',
  '/v1/me',
  'GET',
  'middleware:middleware:middleware:middleware:middleware'
]

t.test('CVE-2025-29927 and CVE-2024-47070: no header but Authorization opens anything', async (t) => {
  for (const name of internal) {
    for (const value of values) {
      for (const url of ['/v1/me', '/v1/admin/users']) {
        const response = await w.app.inject({ url, headers: { [name]: value } })
        // Fastify knows accept-version: a version that no route has is no route.
        if (response.statusCode !== 401 && !(name === 'accept-version' && response.statusCode === 404))
          t.fail(`${name}: ${value} gives ${response.statusCode} for ${url}`)
      }
    }
    const all = Object.fromEntries(internal.map((one) => [one, '1']))
    t.equal(
      (
        await w.app.inject({
          url: '/v1/admin/users',
          headers: { ...all, 'accept-version': '', authorization: `Bearer ${tokens.access_token}` }
        })
      ).statusCode,
      403,
      name
    )
  }
})

t.test('CVE-2026-21710: whatever headers come, nobody gets in, and nothing breaks', async (t) => {
  const names = fc.string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-_0123456789'),
    minLength: 1,
    maxLength: 20
  })
  const value = fc.oneof(
    fc.constantFrom(...values),
    fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 60 })
  )
  await fc.assert(
    fc.asyncProperty(fc.dictionary(names, value, { maxKeys: 8 }), async (headers) => {
      fc.pre(!('authorization' in headers) && !('accept-version' in headers))
      const response = await w.app.inject({ url: '/v1/me', headers })
      return response.statusCode === 401
    }),
    { numRuns: 300 }
  )
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype']) {
    const response = await raw('GET /v1/me', [`${name}: authorization`, `${name}: Bearer ${tokens.access_token}`])
    t.equal(response.status, 401, name)
  }
  t.equal((await w.app.inject('/livez')).statusCode, 200, 'the process lives')
})

t.test('CVE-2026-25748: a malformed Authorization header is refused, never passed over', async (t) => {
  const good = tokens.access_token
  for (const value of [
    'Bearer',
    'Bearer ',
    'bearer',
    `Basic ${btoa('grace:x')}`,
    good,
    `Token ${good}`,
    `JWT ${good}`,
    `DPoP ${good}`,
    `Bearer ${good} ${good}`,
    `Bearer ${good},Bearer ${good}`,
    `Bearer "${good}"`,
    `Bearer=${good}`,
    `Bearer\t${good}`,
    'Bearer null',
    'Bearer undefined',
    `Bearer ${'A'.repeat(12_000)}`,
    `Bearer ${good}\\`,
    `Bearer ${good}%20`,
    'Bearer {}',
    '\u00ff',
    'Negotiate x'
  ]) {
    for (const path of ['/v1/me', '/v1/sessions', '/v1/me/profile']) {
      const response = await raw(`GET ${path}`, [`authorization: ${value}`])
      t.equal(response.status, 401, `${value.slice(0, 12)}: ${path}`)
      // Whoever sends the scheme DPoP is told what is wrong in its words.
      const scheme = value.startsWith('DPoP') ? 'DPoP' : 'Bearer'
      t.match(response.head, new RegExp(`www-authenticate: .*${scheme} realm="keyturn"`, 'i'))
      t.notOk(response.head.includes(good) || response.body.includes(good), 'and is not repeated')
    }
  }
  const huge = await raw('GET /v1/me', [`authorization: Bearer ${'A'.repeat(40_000)}`])
  t.ok([400, 431].includes(huge.status), 'more than a request may have')
  t.equal((await raw('GET /v1/me', [`authorization: Bearer ${good}`])).status, 200)
})

t.test('RFC 6750 §2: a token in the address, or in a body, is refused', async (t) => {
  const query = `access_token=${tokens.access_token}`
  for (const headers of [{}, { authorization: `Bearer ${tokens.access_token}` }]) {
    const response = await w.app.inject({ url: `/v1/me?${query}`, headers })
    t.equal(response.statusCode, 400)
    t.notOk(response.body.includes(tokens.access_token))
  }
  const form = await raw('POST /v1/me/password', ['content-type: application/x-www-form-urlencoded'], query)
  t.equal(form.status, 401)
})

t.test('CVE-2026-25748: two Authorization headers are refused, whichever of them is good', async (t) => {
  const [good, ada] = [`Bearer ${tokens.access_token}`, `Bearer ${other.access_token}`]
  for (const [title, first, second] of [
    ['good and garbage', good, 'Bearer garbage'],
    ['garbage and good', 'Bearer garbage', good],
    ['good and another scheme', good, 'Basic eDp5'],
    ['two people', good, ada],
    ['the same twice', good, good]
  ] as const) {
    const response = await raw('GET /v1/me', [`authorization: ${first}`, `Authorization: ${second}`])
    t.ok([400, 401].includes(response.status), `${title}: ${response.status}`)
  }
})

t.test('CVE-2026-25748: a malformed, doubled or oversize cookie signs nobody in', async (t) => {
  const login = await w.post(
    '/v1/login',
    { username: 'grace', password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  const [cookie] = login.cookies as unknown as Array<{ name: string; value: string }>
  const { name, value } = cookie!
  const refresh = (header: string) => w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: header })
  for (const header of [
    '',
    ';',
    '=',
    ';;;=;',
    name,
    `${name}=`,
    `${name}`,
    `=${value}`,
    `x${name}=${value}`,
    `${name}x=${value}`,
    name.toLowerCase() === name ? 'a=b' : `${name.toLowerCase()}=${value}`,
    'keyturn-rt=x',
    `rt=${value}`,
    `__Host-rt=${value}`,
    `__Secure-${name}=${value}`,
    `a=${name}=${value}`
  ]) {
    t.equal((await refresh(header)).statusCode, 204, `no cookie of ours in ${JSON.stringify(header.slice(0, 20))}`)
  }
  for (const header of [
    `${name}=%`,
    `${name}=%00`,
    `${name}=%E0%A4%A`,
    `${name}=x`,
    `${name}=${value}x`,
    `${name}=${value.slice(0, -1)}`,
    `${name}="x"`,
    `${name}=${'A'.repeat(8_000)}`,
    `${name}=undefined`,
    `${name}=null`,
    `${name}={}`,
    `${name}=j:{}`,
    `${name}=s:${value}.x`,
    `${name}=${value.toUpperCase()}`,
    `${name}=${tokens.access_token}`,
    `${name}=${tokens.refresh_token}`
  ]) {
    const response = await refresh(header)
    t.equal(response.statusCode, 401, header.slice(0, 30))
    t.equal(response.headers['set-cookie'], undefined)
  }
  for (const header of [
    `${name}=${value}; ${name}=${value}`,
    `${name}=x; ${name}=${value}`,
    `${name}=${value};${name}=`,
    `${name}=; ${name}=${value}`,
    `a=b;${name}=${value};c=d; ${name}=x`
  ]) {
    t.equal((await refresh(header)).statusCode, 401, `two: ${header.replaceAll(value, 'good')}`)
  }
  const doubled = await raw(
    'POST /v1/refresh',
    [
      'content-type: application/json',
      'x-auth-request: 1',
      'sec-fetch-site: same-origin',
      `cookie: ${name}=x`,
      `cookie: ${name}=${value}`
    ],
    '{}'
  )
  t.equal(doubled.status, 401, 'two headers')
  t.equal((await refresh(`a=b; ${name}=${value}; c=d`)).statusCode, 200, 'the session is untouched')
})

t.test('a second refresh cookie is seen also where a space stands before its equals sign', async (t) => {
  const body = { username: 'grace', password: goodPassword, refresh_transport: 'cookie' }
  const login = await w.post('/v1/login', body, fromOwnPage)
  const [cookie] = login.cookies as unknown as Array<{ name: string; value: string }>
  const { name, value } = cookie!
  for (const jar of [`${name} =${value}; ${name}=x`, `${name}=${value}; ${name} =x`, `${name}\t=${value}; ${name}=x`]) {
    const response = await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: jar })
    t.equal(response.statusCode, 401, jar.replaceAll(value, 'good'))
  }
})

t.test('CVE-2024-31999: an old cookie is worth nothing after logout, nor after its end', async (t) => {
  const login = () =>
    w.post('/v1/login', { username: 'grace', password: goodPassword, refresh_transport: 'cookie' }, fromOwnPage)
  const send = async (url: string, from: Awaited<ReturnType<typeof login>>) => {
    const [cookie] = from.cookies as unknown as Array<{ name: string; value: string }>
    return await w.post(url, {}, { ...fromOwnPage, cookie: `${cookie!.name}=${cookie!.value}` })
  }
  const [one, two] = [await login(), await login()]
  t.equal((await send('/v1/logout', one)).statusCode, 204)
  t.match((await send('/v1/refresh', one)).json(), { code: 'session_revoked', status: 401 })
  w.wait(31 * 86_400_000)
  t.match((await send('/v1/refresh', two)).json(), { code: 'session_expired', status: 401 })
  w.wait(-31 * 86_400_000)
})

t.test('CVE-2020-8192: a body of nothing but mistakes gets a short answer, soon', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, n) => [`m${n}`, 0]))
  const before = performance.now()
  const response = await w.post('/v1/register', many)
  t.equal(response.statusCode, 400)
  t.ok(performance.now() - before < 1_000)
  t.ok(
    response.json().errors.length <= 20,
    `${response.json().errors.length} errors told, ${response.body.length} characters`
  )
})

t.test('every text in a body has a longest length', async (t) => {
  const document = (await w.app.openapi()) as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: object }> } }>>
    components: { schemas: Record<string, unknown> }
  }
  const look = (schema: unknown, path: string): void => {
    if (typeof schema !== 'object' || schema === null) return
    const node = schema as Record<string, unknown>
    if (typeof node.$ref === 'string') {
      look(document.components.schemas[node.$ref.split('/').at(-1)!], path)
      return
    }
    if (node.type === 'string' && !('enum' in node) && !('const' in node))
      t.ok(typeof node.maxLength === 'number', `${path} has a maxLength`)
    if (node.type === 'array') t.ok(typeof node.maxItems === 'number', `${path} has maxItems`)
    // A key may have members that are not known, which are ignored (RFC 7517 §4).
    const isKey = path.endsWith('/keys/items')
    if (node.type === 'object' && !isKey) t.equal(node.additionalProperties, false, `${path} is closed`)
    for (const [member, child] of Object.entries(node)) look(child, `${path}/${member}`)
  }
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { requestBody }] of Object.entries(operations)) {
      // OAuth's forms may carry more than is known (RFC 6749 §3.1).
      if (path.startsWith('/oauth/')) continue
      for (const { schema } of Object.values(requestBody?.content ?? {})) look(schema, `${method} ${path}`)
    }
  }
})
