import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { countingLink } from '../support/query-count.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const name = '__Host-Http-session'
const hour = 3_600_000
const day = 24 * hour

interface Cookie {
  name: string
  value: string
  maxAge?: number
}

const cookieOf = (response: LightMyRequestResponse, which = name) =>
  (response.cookies as unknown as Cookie[]).find((cookie) => cookie.name === which)

/** A browser that signed in with a session: its jar, as one header. */
async function browser(w: World, username?: string, headers: Record<string, string> = fromOwnPage) {
  const account = username ?? (await w.account())
  const body = { username: account, password: goodPassword, refresh_transport: 'cookie', session: true }
  const response = await w.post('/v1/login', body, headers)
  if (response.statusCode !== 200) throw new Error(response.body)
  const [session, refresh] = [cookieOf(response)!, cookieOf(response, '__Host-Http-rt')!]
  return {
    username: account,
    response,
    value: session.value,
    session: `${name}=${session.value}`,
    jar: `${name}=${session.value}; __Host-Http-rt=${refresh.value}`,
    access: response.json().access_token as string,
    id: response.json().user.id as string
  }
}

/** A replica that is never sure to know of every revocation, so that each request is a use. */
const remembersNothing = async (w: World) => ({
  app: await w.replica((options) => ({ ...options, revocations: { ...options.revocations, pollInterval: 0.001 } }))
})

const get = (w: Pick<World, 'app'>, cookie: string, url = '/v1/me') => w.app.inject({ url, headers: { cookie } })

t.test('the cookie is one that no script, no other host and no other path can use', async (t) => {
  const w = await world(t)
  const { response } = await browser(w)
  const [line] = [response.headers['set-cookie']].flat().filter((text) => text!.startsWith(name))
  t.match(line, /^__Host-Http-session=kts_[\w-]{71}; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  t.notOk(response.body.includes('kts_'))
})

t.test('on http, where browsers take no prefix, it has another name', async (t) => {
  const w = await world(t, (options) => ({ ...options, issuer: 'http://localhost:3000' }))
  const body = { username: await w.account(), password: goodPassword, refresh_transport: 'cookie', session: true }
  const response = await w.post('/v1/login', body, fromOwnPage)
  const line = [response.headers['set-cookie']].flat().find((text) => text!.startsWith('keyturn-session'))
  t.match(line, /^keyturn-session=kts_[\w-]{71}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/)
})

t.test('nobody gets it who did not ask, and only with the cookie of the refresh token', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const body = { username, password: goodPassword }
  const plain = await w.post('/v1/login', { ...body, refresh_transport: 'cookie' }, fromOwnPage)
  t.equal(cookieOf(plain), undefined)
  const inBody = await w.post('/v1/login', { ...body, session: true }, fromOwnPage)
  t.match(inBody.json(), { code: 'validation_failed', errors: [{ pointer: '/session', code: 'needs_cookie' }] })
  const foreign = await w.post(
    '/v1/login',
    { ...body, refresh_transport: 'cookie', session: true },
    { 'content-type': 'application/json', origin: 'https://evil.example' }
  )
  t.match(foreign.json(), { code: 'csrf_failed' })
  t.equal(foreign.headers['set-cookie'], undefined)
})

t.test('a browser that signs in without it loses the one of before, which would speak for somebody else', async (t) => {
  const w = await world(t)
  const [one, username] = [await browser(w), await w.account()]
  const body = { username, password: goodPassword }
  const jar = { cookie: one.jar }
  const next = await w.post('/v1/login', { ...body, refresh_transport: 'cookie' }, { ...fromOwnPage, ...jar })
  t.match(cookieOf(next), { value: '', maxAge: 0 })
  const failed = await w.post(
    '/v1/login',
    { username, password: 'x', refresh_transport: 'cookie' },
    { ...fromOwnPage, ...jar }
  )
  t.equal(failed.headers['set-cookie'], undefined, 'but not by a sign-in that failed')
  const inBody = await w.post('/v1/login', body, { ...fromOwnPage, ...jar })
  t.equal(inBody.headers['set-cookie'], undefined, 'nor by one that is not the browser’s')
})

t.test('it speaks for its session, and every sign-in has a new one', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const other = await browser(w, one.username, { ...fromOwnPage, cookie: one.session })
  t.not(one.value, other.value, 'a value that was planted before the sign-in is worth nothing after it')
  t.match((await get(w, one.session)).json(), {
    id: one.id,
    authenticator: 'session',
    client_id: 'web',
    scope: '',
    auth_time: '2030-01-01T12:00:00.000Z',
    amr: ['pwd'],
    acr: 'aal1',
    expires_at: '2030-01-31T12:00:00.000Z'
  })
  const sessions = (await get(w, other.session, '/v1/sessions')).json().sessions as Array<{ current: boolean }>
  t.equal(sessions.length, 2)
  t.equal(sessions.filter(({ current }) => current).length, 1)
})

t.test('a refresh moves neither its value nor its end', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const refreshed = await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: one.jar })
  t.equal(refreshed.statusCode, 200)
  t.equal(cookieOf(refreshed), undefined)
  t.equal((await get(w, one.session)).statusCode, 200)
})

const json = { 'content-type': 'application/json', 'x-auth-request': '1' }
const proofs: Array<[string, Record<string, string>, boolean]> = [
  ['own page', { ...json, 'sec-fetch-site': 'same-origin' }, true],
  ['allowed origin on the same site', { ...json, 'sec-fetch-site': 'same-site', origin: 'https://app.test' }, true],
  ['own origin, old browser', { ...json, origin: 'https://auth.test' }, true],
  ['sibling subdomain', { ...json, 'sec-fetch-site': 'same-site', origin: 'https://evil.test' }, false],
  ['other site', { ...json, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, false],
  ['other site that says same-site', { ...json, 'sec-fetch-site': 'same-site' }, false],
  ['neither origin nor fetch metadata', json, false],
  ['navigation', { ...json, 'sec-fetch-site': 'none' }, false],
  ['no custom header', { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }, false],
  ['no content type', { 'x-auth-request': '1', 'sec-fetch-site': 'same-origin' }, false],
  ['a form', { ...json, 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }, false],
  ['nothing at all', {}, false]
]
t.test('whatever changes something asks for a page that may: every unsafe method', async (t) => {
  const w = await world(t)
  const { session, id } = await browser(w)
  const admin = await w.admin()
  await w.app.flows.setUserRoles(id, ['admin'])
  await w.app.revocations.read()
  const unsafe: Array<['POST' | 'PATCH' | 'PUT' | 'DELETE', string]> = [
    ['POST', '/v1/tokens'],
    ['POST', '/v1/me/password'],
    ['PATCH', '/v1/me'],
    ['DELETE', '/v1/me'],
    ['DELETE', '/v1/sessions/00000000-0000-4000-8000-000000000000'],
    ['DELETE', '/v1/tokens/00000000-0000-4000-8000-000000000000'],
    ['POST', `/v1/admin/users/${admin.user.id}/disable`],
    ['PUT', '/v1/admin/roles/editor'],
    ['DELETE', '/v1/admin/roles/editor']
  ]
  for (const [title, headers, isAllowed] of proofs) {
    for (const [method, url] of unsafe) {
      if (isAllowed && url.endsWith('/disable')) continue
      const response = await w.app.inject({ method, url, headers: { ...headers, cookie: session } })
      if (isAllowed) t.not(response.statusCode, 403, `${title}: ${method} ${url}`)
      else t.match(response.json(), { code: 'csrf_failed', status: 403 }, `${title}: ${method} ${url}`)
    }
    t.equal((await get(w, session)).statusCode, 200, 'reading asks for nothing')
  }
  const readers = await w.app.inject({ url: '/v1/me', headers: { cookie: session, origin: 'https://evil.example' } })
  t.equal(
    readers.headers['access-control-allow-origin'],
    undefined,
    'another site cannot read what it makes a browser ask'
  )
})

t.test('no route that is safe by its method changes anything', async (t) => {
  const w = await world(t)
  const routes = w.app.printRoutes({ commonPrefix: false, includeMeta: false })
  const { session, id } = await browser(w)
  await w.app.flows.setUserRoles(id, ['admin'])
  await w.app.revocations.read()
  t.match(routes, /me \(GET, HEAD, PATCH, DELETE\)/)
  const paths = Object.entries((await w.get('/openapi.json')).json().paths as Record<string, object>)
  const state = async () => {
    const tables = ['account', 'session', 'api_token', 'role', 'invitation', 'revocation', 'signing_key'] as const
    return JSON.stringify(
      await Promise.all(
        tables.map((table) =>
          w.app.db
            .selectFrom(table)
            .selectAll()
            .orderBy(
              table === 'role' ? 'name' : table === 'signing_key' ? 'kid' : table === 'invitation' ? 'digest' : 'id'
            )
            .execute()
        )
      )
    )
  }
  const before = await state()
  for (const [path, operations] of paths) {
    // The answer of a stream has no end.
    if (!('get' in operations) || path.endsWith('/stream')) continue
    const url = path.replace('{id}', id).replace(/\{\w+\}/g, 'x')
    for (const method of ['GET', 'HEAD'] as const) await w.app.inject({ method, url, headers: { cookie: session } })
  }
  t.equal(await state(), before)
})

t.test('it dies with its session, by whatever ends that', async (t) => {
  const w = await world(t)
  const { flows, revocations } = w.app
  const admin = await w.admin()
  const ends: Array<[string, (one: Awaited<ReturnType<typeof browser>>) => Promise<unknown>]> = [
    ['logout', (one) => w.post('/v1/logout', {}, { ...fromOwnPage, cookie: one.session })],
    ['logout by the refresh token', (one) => w.post('/v1/logout', {}, { ...fromOwnPage, cookie: one.jar })],
    ['logout by the access token', (one) => w.as(one.access, 'POST', '/v1/logout')],
    ['logout everywhere', (one) => w.post('/v1/logout/all', {}, { ...fromOwnPage, cookie: one.session })],
    ['an administrator', (one) => w.as(admin.access_token, 'DELETE', `/v1/admin/users/${one.id}/sessions`)],
    ['an account that is disabled', (one) => flows.disableUser(one.id)],
    ['an account that is deleted', (one) => flows.deleteAccount(one.id, goodPassword)],
    [
      'a password changed elsewhere',
      async (one) => {
        const other = await w.login(one.username)
        const passwords = { current_password: goodPassword, new_password: 'another horse battery' }
        return await w.as(other.access_token, 'POST', '/v1/me/password', passwords)
      }
    ]
  ]
  for (const [title, end] of ends) {
    const one = await browser(w)
    t.equal((await get(w, one.session)).statusCode, 200)
    await end(one)
    await revocations.read()
    for (let time = 0; time < 2; time++) {
      t.match((await get(w, one.session)).json(), { code: 'session_revoked', status: 401 }, title)
    }
  }
})

t.test('a password that is changed by the session itself leaves it alone', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const second = await browser(w, one.username)
  for (const { session } of [one, second]) t.equal((await get(w, session)).statusCode, 200)
  const body = { current_password: goodPassword, new_password: 'another horse battery' }
  t.equal((await w.post('/v1/me/password', body, { ...fromOwnPage, cookie: one.session })).statusCode, 204)
  await w.app.revocations.read()
  t.equal((await get(w, one.session)).statusCode, 200)
  t.equal((await get(w, second.session)).statusCode, 401)
})

t.test('roles and permissions are those of this moment', async (t) => {
  const w = await world(t)
  await w.role('editor', ['articles.change'])
  const one = await browser(w)
  t.match((await get(w, one.session)).json(), { roles: [], permissions: [] })
  await w.app.flows.setUserRoles(one.id, ['editor'])
  await w.app.revocations.read()
  t.match((await get(w, one.session)).json(), { roles: ['editor'], permissions: ['articles.change'] })
})

t.test('logout clears the cookie, and ends every session whose cookie it clears', async (t) => {
  const w = await world(t)
  const cleared = /^__Host-Http-session=; Max-Age=0; Path=\/; Expires=.*; HttpOnly; Secure; SameSite=Lax$/
  const clearing = (response: LightMyRequestResponse) =>
    [response.headers['set-cookie'] ?? []].flat().find((line) => line.startsWith(name))

  const one = await browser(w)
  t.match(clearing(await w.post('/v1/logout', {}, { ...fromOwnPage, cookie: one.jar })), cleared)
  const alone = await browser(w)
  t.match(clearing(await w.post('/v1/logout', {}, { ...fromOwnPage, cookie: alone.session })), cleared)
  const without = await w.post('/v1/logout', {}, { cookie: alone.session, 'content-type': 'application/json' })
  t.match(without.json(), { code: 'csrf_failed' })
  t.equal(without.headers['set-cookie'], undefined, 'another site clears nothing')

  // The person signed in anew without asking for a session: the old cookie names the session before.
  for (const url of ['/v1/logout', '/v1/logout/all']) {
    const old = await browser(w)
    const body = { username: old.username, password: goodPassword, refresh_transport: 'cookie' }
    const next = await w.post('/v1/login', body, { ...fromOwnPage, cookie: old.jar })
    const jar = `${old.session}; __Host-Http-rt=${cookieOf(next, '__Host-Http-rt')!.value}`
    t.match(clearing(await w.post(url, {}, { ...fromOwnPage, cookie: jar })), cleared)
    await w.app.revocations.read()
    t.match(
      (await get(w, old.session)).json(),
      { code: 'session_revoked' },
      `${url} ends the session of the cookie too`
    )
  }

  const forged = await w.post('/v1/logout', {}, { ...fromOwnPage, cookie: `${name}=kts_forged` })
  t.equal(forged.statusCode, 204)
})

t.test('use moves its idle end, and never past the absolute one', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const idle = async () => {
    const row = await w.app.db.selectFrom('session').select('idle_expires_at').executeTakeFirstOrThrow()
    return row.idle_expires_at.toISOString()
  }
  /** Nobody waits for the note that a session was used, so its reader does. */
  const becomes = async (expected: string) => {
    for (let tries = 0; tries < 500; tries++) if ((await idle()) === expected) return true
    return false
  }
  const forgetful = await remembersNothing(w)
  t.equal(await idle(), '2030-01-15T12:00:00.000Z')
  w.wait(6 * day)
  t.equal((await get(forgetful, one.session)).statusCode, 200)
  t.equal(await idle(), '2030-01-15T12:00:00.000Z', 'not at every use')
  w.wait(2 * day)
  t.equal((await get(forgetful, one.session)).statusCode, 200)
  t.ok(await becomes('2030-01-23T12:00:00.000Z'))
  w.wait(9 * day)
  t.equal((await get(forgetful, one.session)).statusCode, 200)
  t.ok(await becomes('2030-01-31T12:00:00.000Z'), 'the absolute end')
  w.wait(13 * day - 1)
  t.equal((await get(forgetful, one.session)).statusCode, 200)
  w.wait(1)
  t.match((await get(forgetful, one.session)).json(), { code: 'session_expired' })
})

t.test('who uses it every day is signed out at the absolute end, and not before', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const settled = async () => {
    const before = JSON.stringify(await w.app.db.selectFrom('session').selectAll().execute())
    for (let tries = 0; tries < 20; tries++) {
      if (JSON.stringify(await w.app.db.selectFrom('session').selectAll().execute()) !== before) return
    }
  }
  const forgetful = await remembersNothing(w)
  for (let days = 1; days < 30; days++) {
    w.wait(day)
    t.equal((await get(forgetful, one.session)).statusCode, 200, `day ${days}`)
    await settled()
  }
})

t.test('an idle session speaks for nobody', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  w.wait(14 * day)
  t.match((await get(w, one.session)).json(), { code: 'session_expired', status: 401 })
})

t.test('two of them are an error, and so are one and another credential', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const planted = await get(w, `${one.session}; ${name}=planted`)
  t.match(planted.json(), { code: 'request_malformed', status: 400 })
  const both = await w.app.inject({
    url: '/v1/me',
    headers: { cookie: one.session, authorization: `Bearer ${one.access}` }
  })
  t.match(both.json(), { code: 'request_malformed' })
  t.equal((await get(w, `${name}=`)).json().code, 'authentication_required', 'an empty one is none')
})

t.test('it costs one statement at its first use and none after, and garbage costs none', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  await app.revocations.read()
  const cost = async (cookie: string, status: number) => {
    const before = link.statements()
    t.equal((await get({ app }, cookie)).statusCode, status)
    return link.statements() - before
  }
  t.equal(await cost(one.session, 200), 1)
  for (let time = 0; time < 5; time++) t.equal(await cost(one.session, 200), 0)
  for (const garbage of ['x', 'kts_', `${one.value.slice(0, -1)}_`, `${one.value}A`, `ktr_${one.value.slice(4)}`]) {
    t.equal(await cost(`${name}=${garbage}`, 401), 0, garbage)
  }
})

t.test('a replica that does not know of revocations asks the database each time', async (t) => {
  const w = await world(t)
  const one = await browser(w)
  const forgetful = await remembersNothing(w)
  t.equal((await get(forgetful, one.session)).statusCode, 200)
  await w.app.db.updateTable('session').set({ ended_at: w.now(), ended_because: 'logout' }).execute()
  t.equal((await get(forgetful, one.session)).statusCode, 401)
})

t.test('who it speaks for is forgotten by the time of day too, as after the sleep of a machine', async (t) => {
  const w = await world(t)
  const { session } = await browser(w)
  await get(w, session)
  // As if it had been ended, and its revocation forgotten by everybody, in that sleep.
  await w.app.db.deleteFrom('session').execute()
  w.wait(29_000)
  t.equal((await get(w, session)).statusCode, 200, 'it is remembered')
  w.wait(2_000)
  t.equal((await get(w, session)).statusCode, 401)
})

t.test('a refused page is told which proof is missing, and nothing of what it sent', async (t) => {
  const w = await world(t)
  await w.account('ada')
  const body = { username: 'ada', password: goodPassword, refresh_transport: 'cookie' }
  const text = 'text/x-sent-by-evil.example'
  for (const [headers, detail] of [
    [
      { ...fromOwnPage, 'content-type': 'application/json', 'x-auth-request': undefined },
      /"X-Auth-Request: 1" is missing/
    ],
    [{ ...fromOwnPage, 'sec-fetch-site': 'evil-site' }, /not come from an origin that is allowed/],
    [
      { 'content-type': 'application/json', 'x-auth-request': '1' },
      /A client that is no browser names one in "Origin"/
    ],
    [{ ...fromOwnPage, 'sec-fetch-site': undefined, origin: 'https://evil.example' }, /AUTH_ALLOWED_ORIGINS/]
  ] as const) {
    const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
    const response = await w.post('/v1/login', body, sent as Record<string, string>)
    t.match(response.json(), { code: 'csrf_failed', status: 403, detail }, JSON.stringify(sent))
    t.notMatch(response.body, /evil/)
  }
  const { value, name } = (
    (await w.post('/v1/login', { ...body, session: true }, fromOwnPage)).cookies as unknown as Array<{
      name: string
      value: string
    }>
  ).find(({ name }) => name === '__Host-Http-session')!
  const headers = { ...fromOwnPage, cookie: `${name}=${value}`, 'content-type': text }
  const untyped = await w.app.inject({ method: 'DELETE', url: '/v1/me', headers, payload: 'x' })
  t.match(untyped.json(), { code: 'csrf_failed', detail: /send "Content-Type: application\/json"/ })
  t.notMatch(untyped.body, /evil/)
})
