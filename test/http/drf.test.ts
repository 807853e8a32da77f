import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { apiTokenDigest } from '../../src/domain/api-token.js'
import { Refusal } from '../../src/domain/refusal.js'
import { allow } from '../../src/domain/requirement.js'
import { drf } from '../../src/plugins/drf.js'
import { guard } from '../../src/plugins/guard.js'
import { addEndpoint } from '../../src/routes/drf/endpoint.js'
import { workshop } from '../support/forge.js'
import { goodPassword, type World, world } from '../support/world.js'

/** What the real packages of Django REST Framework answered; see test/vectors/drf/README.md. */
interface Row {
  name: string
  request: { method: string; path: string; type: string | null; body: unknown; headers: Record<string, string> }
  response: { status: number; headers: Record<string, string>; body: string }
}

const rows: Row[] = JSON.parse(readFileSync(new URL('../vectors/drf/wire.json', import.meta.url), 'utf8'))

/** Where this service answers otherwise on purpose. Each is in docs/django.md with its reason. */
const differences: Array<{ rows: RegExp; status: number; body: string | RegExp; because: string }> = [
  {
    rows: /^djoser me put$/,
    status: 400,
    body: '{"current_password":["This field is required."]}',
    because: 'a new email address asks for the password: it is where a lost one would be sent'
  },
  {
    rows: /^djoser me put empty$/,
    status: 200,
    body: '{"email":"ada@example.com","id":1,"username":"ada"}',
    because: 'the row before it changed nothing'
  },
  {
    rows: /^djoser create weak$/,
    status: 400,
    body: '{"password":["This password is too short. It must contain at least 8 characters.","This password is entirely numeric."]}',
    because: 'the lists of known passwords have none that are too short anyway'
  },
  {
    rows: /^djoser set_password weak$/,
    status: 400,
    body: '{"new_password":["This password is too short. It must contain at least 8 characters.","This password is entirely numeric."]}',
    because: 'the same'
  },
  {
    rows: /^\/auth\/users\/ number$/,
    status: 400,
    body: '{"password":["This password is too short. It must contain at least 8 characters.","This password is entirely numeric."]}',
    because: 'the same, and one violation is told at a time'
  },
  {
    rows: /^\/auth\/users\/ float$/,
    status: 400,
    body: '{"password":["This password is too short. It must contain at least 8 characters."]}',
    because: 'one violation is told at a time'
  },
  {
    rows: /^\/auth\/users\/ nul$/,
    status: 400,
    body: '{"username":["Null characters are not allowed."],"password":["Null characters are not allowed."]}',
    because: 'a username with a NUL is refused before its letters are looked at'
  },
  {
    rows: /^\/(api-token-auth|auth\/token\/login)\/ bad (token )?authorization$/,
    status: 200,
    body: /^\{"(auth_)?token":"<40 hex>"\}$/,
    because: 'whoever signs in is not asked for a token: an old one in a header must not keep anybody out'
  },
  {
    rows: /^knox login options$/,
    status: 200,
    body: /^\{"name":"Login"/,
    because: 'the view of the recording has a name of its own'
  },
  {
    rows: /^djoser me options$/,
    status: 200,
    body: /^\{"name":"User Me"/,
    because: 'djoser fails with an error 500 there'
  },
  {
    rows: /no slash$|^unknown path$/,
    status: 404,
    body: /"code":"not_found"/,
    because: 'Django answers with a page of HTML'
  }
]

const ada = { username: 'ada', password: goodPassword }

/** The views that the recording protects, with routes that the service does not have itself. */
async function views(app: FastifyInstance): Promise<void> {
  await app.register(async (scope) => {
    await scope.register(drf)
    await scope.register(guard)
    for (const [name, authenticators, requirement] of [
      ['jwt', ['drf-bearer'], allow.authenticated()],
      ['jwt-admin', ['drf-bearer'], allow.admin()],
      ['token', ['drf-token'], allow.authenticated()],
      ['jwt-token', ['drf-bearer', 'drf-token'], allow.authenticated()],
      ['token-jwt', ['drf-token', 'drf-bearer'], allow.authenticated()],
      ['session', ['drf-session', 'drf-token'], allow.authenticated()],
      ['basic', ['drf-basic'], allow.authenticated()]
    ] as const) {
      addEndpoint(scope, {
        url: `/${name}/`,
        name: 'Protected',
        access: { requirement, authenticators },
        methods: {
          async GET({ principal }) {
            const { username } = await app.flows.readProfile(principal.accountId)
            return { status: 200, body: { username } }
          }
        }
      })
    }
    const limit = app.createRateLimit({ max: 1, timeWindow: 60_000 })
    addEndpoint(scope, {
      url: '/throttled/',
      name: 'Throttled',
      access: { requirement: allow.allowAny(), authenticators: [] },
      methods: {
        async GET(request) {
          const outcome = await limit(request)
          if (!outcome.isAllowed && outcome.isExceeded) {
            throw new Refusal('rate_limited', { retryAfter: outcome.ttlInSeconds })
          }
          return { status: 200, body: {} }
        }
      }
    })
  })
}

const django = (rotate: boolean) => (t: Test) =>
  world(
    t,
    (options) => ({
      ...options,
      drf: { ...options.drf!, rotate },
      flows: {
        ...options.flows,
        passwordPolicy: { ...options.flows.passwordPolicy, minLength: 8 }
      }
    }),
    views
  )

/** Accounts as they come from Django, and the tokens that the rows name. */
async function prepare(
  w: World
): Promise<{ values: Map<string, string>; before: Record<string, () => Promise<void>> }> {
  const accounts: Record<string, string> = {}
  for (const [at, username] of ['ada', 'gone'].entries()) {
    const email = `${username}@example.com`
    const account = await w.app.flows.createAccount({ username, email, password: goodPassword })
    accounts[username] = account.id
    await w.app.db
      .updateTable('account')
      .set({ external_id: `django:${at + 1}` })
      .where('id', '=', account.id)
      .execute()
  }
  const pair = async (username = 'ada') =>
    (await w.app.inject({ method: 'POST', url: '/api/token/', payload: { ...ada, username } })).json() as {
      refresh: string
      access: string
    }
  const gone = await pair('gone')
  const goneKey = (await w.app.flows.obtainAuthtoken(accounts.gone!)).key
  await w.app.flows.disableUser(accounts.gone!)

  const expired = await pair()
  w.wait(31 * 86_400_000)
  const shop = await workshop(w)
  const now = Math.floor(w.now().getTime() / 1000)
  const nobody = await w.login(await w.account())
  await w.app.db.deleteFrom('account').where('id', '=', nobody.user.id).execute()

  const [first, other, second] = [await pair(), await pair(), await pair()]
  const knox = async () => {
    const authorization = `Basic ${btoa(`ada:${goodPassword}`)}`
    return (await w.app.inject({ method: 'POST', url: '/api/auth/login/', headers: { authorization } })).json().token
  }
  const values = new Map<string, string>([
    ['first refresh', first.refresh],
    // Of another session: that of the first ends when its refresh token comes back.
    ['first access', other.access],
    ['second refresh', second.refresh],
    ['second access', second.access],
    ['expired refresh', expired.refresh],
    ['inactive refresh', gone.refresh],
    ['expired access', shop.ours({ iat: now - 7200, exp: now - 3600 })],
    ['access without user', shop.ours({ sub: undefined })],
    ['access of nobody', nobody.access_token],
    ['access of inactive', shop.ours({ iat: now, exp: now + 600, sid: sessionOf(gone.access), sub: accounts.gone })],
    ['token', (await w.app.flows.obtainAuthtoken(accounts.ada!)).key],
    ['token of inactive', goneKey],
    ['knox', await knox()],
    ['second knox', await knox()]
  ])
  async function refresh(...names: string[]): Promise<void> {
    const fresh = await pair()
    for (const name of names) {
      values.set(`${name} access`, fresh.access)
      values.set(`${name} refresh`, fresh.refresh)
    }
  }
  await refresh('third', 'fourth', 'fifth')
  return {
    values,
    before: {
      // Within the replay window it would get its successor again.
      'refresh used': async () => w.wait(31_000),
      // A change of password ends all sessions here.
      'djoser logout get': () => refresh('fourth', 'fifth')
    }
  }
}

const sessionOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).sid

function fill(value: unknown, values: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return value.replace(/\{([a-z ]+)\}/g, (text, name) => values.get(name) ?? text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fill(item, values)]))
}

/** A multipart body as clients write it. */
function multipart(fields: object): { payload: string; type: string } {
  const boundary = 'a-boundary'
  const parts = Object.entries(fields).map(
    ([name, value]) => `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  )
  return { payload: `${parts.join('')}--${boundary}--\r\n`, type: `multipart/form-data; boundary=${boundary}` }
}

async function send(w: World, { method, path, type, body, headers }: Row['request']) {
  const isMultipart = type?.startsWith('multipart/') && typeof body === 'object'
  const form = isMultipart ? multipart(body as object) : undefined
  const payload = form?.payload ?? (typeof body === 'string' ? body : body === null ? undefined : JSON.stringify(body))
  const contentType = form?.type ?? (type || undefined)
  return await w.app.inject({
    method: method as 'GET',
    url: path,
    headers: { ...headers, ...(contentType === undefined ? {} : { 'content-type': contentType }) },
    ...(payload === undefined ? {} : { payload })
  })
}

/** Values that differ each time, as the recording has them. */
function neutral(body: string): string {
  return body
    .replace(/eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+|ktr_[\w-]{76}/g, '<jwt>')
    .replace(/\b(?!0{40})[0-9a-f]{64}\b/g, '<64 hex>')
    .replace(/\b(?!0{40})[0-9a-f]{40}\b/g, '<40 hex>')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/g, '<time>')
    .replace(/"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"/g, '<id>')
}
/** An account that was made here has a UUID where Django counts. */
const withoutIds = (body: string) => body.replace(/"id":\d+/, (text) => (/"id":[12]\b/.test(text) ? text : '"id":<id>'))

t.test('every request to the real packages is answered as they answered', async (t) => {
  const w = await django(true)(t)
  const { values, before } = await prepare(w)
  for (const row of rows) {
    await before[row.name]?.()
    const request = { ...row.request, headers: fill(row.request.headers, values) as Record<string, string> }
    // A body that is broken on purpose may look like a name.
    const response = await send(w, { ...request, body: fill(row.request.body, values) })
    const difference = differences.find(({ rows }) => rows.test(row.name))
    const expected = difference ?? {
      status: row.response.status,
      body: withoutIds(neutral(String(fill(row.response.body, values))))
    }
    const title = `${row.name}${difference === undefined ? '' : ` (${difference.because})`}`
    t.equal(response.statusCode, expected.status, title)
    if (response.statusCode === 500) t.fail(w.logs.filter((line) => line.includes('unexpected')).at(-1) ?? '')
    const body = neutral(response.body)
    if (typeof expected.body === 'string') t.equal(body, row.request.method === 'HEAD' ? '' : expected.body, title)
    else t.match(body, expected.body, title)
    if (difference !== undefined) continue
    const { headers } = row.response
    t.equal(response.headers['www-authenticate'], headers['WWW-Authenticate'], `${title}: challenge`)
    t.equal(response.headers.allow, headers.Allow, `${title}: Allow`)
    t.equal(response.headers['retry-after'], headers['Retry-After'], `${title}: Retry-After`)
    if (body !== '') t.equal(response.headers['content-type'], headers['Content-Type'], `${title}: type`)
    t.equal(response.headers['cache-control'], 'no-store', `${title}: for nobody's cache`)
  }
  for (const { rows: pattern } of differences)
    t.ok(
      rows.some(({ name }) => pattern.test(name)),
      `${pattern} is a row`
    )
})

t.test('without rotation a refresh token stays good, as clients of simplejwt expect', async (t) => {
  const w = await django(false)(t)
  await w.app.flows.createAccount(ada)
  const post = (url: string, payload: object) => w.app.inject({ method: 'POST', url, payload })
  const { refresh } = (await post('/api/token/', ada)).json()
  for (let n = 0; n < 3; n++) {
    const again = await post('/api/token/refresh/', { refresh })
    t.equal(again.statusCode, 200)
    t.same(Object.keys(again.json()), ['access'])
    t.equal((await w.get('/v1/me', again.json().access)).statusCode, 200)
    // Each use moves the idle end: a client that comes back every ten days stays signed in.
    w.wait(9 * 86_400_000)
  }
  t.equal((await post('/api/token/blacklist/', { refresh })).statusCode, 200)
  t.same((await post('/api/token/refresh/', { refresh })).json(), {
    detail: 'Token is blacklisted',
    code: 'token_not_valid'
  })
})

t.test('a change of password, and the end of a session, are told in simplejwt’s words', async (t) => {
  const w = await django(false)(t)
  const { id } = await w.app.flows.createAccount(ada)
  const post = (url: string, payload: object) => w.app.inject({ method: 'POST', url, payload })
  const pair = async () => (await post('/api/token/', ada)).json() as { refresh: string; access: string }
  const protectedView = (access: string) =>
    w.app.inject({ url: '/jwt/', headers: { authorization: `Bearer ${access}` } })

  const changed = await pair()
  await w.app.flows.changePassword({ accountId: id, sessionId: null }, goodPassword, 'another fine secret')
  await w.app.flows.changePassword({ accountId: id, sessionId: null }, 'another fine secret', goodPassword)
  const over = await post('/api/token/refresh/', { refresh: changed.refresh })
  t.equal(over.statusCode, 401)
  t.equal(over.headers['www-authenticate'], 'Bearer realm="api"')
  t.same(over.json(), { detail: "The user's password has been changed." })
  t.same((await protectedView(changed.access)).json(), {
    detail: "The user's password has been changed.",
    code: 'password_changed'
  })

  const ended = await pair()
  t.equal((await protectedView(ended.access)).statusCode, 200)
  await w.app.flows.endUserSessions(id)
  const refused = await protectedView(ended.access)
  t.equal(refused.statusCode, 401)
  t.match(refused.json(), { messages: [{ message: 'Token is blacklisted' }] })
  for (const token of [ended.access, ended.refresh]) {
    const verified = await post('/api/token/verify/', { token })
    t.equal(verified.statusCode, 400, 'what is over is not valid, whatever simplejwt is configured to say')
    t.same(verified.json(), { non_field_errors: ['Token is blacklisted'] })
  }
})

t.test('a stolen refresh token that comes back late ends the session', async (t) => {
  const w = await django(true)(t)
  await w.app.flows.createAccount(ada)
  const refresh = async (token: string) =>
    await w.app.inject({ method: 'POST', url: '/api/token/refresh/', payload: { refresh: token } })
  const { refresh: stolen } = (await w.app.inject({ method: 'POST', url: '/api/token/', payload: ada })).json()
  const { refresh: owned } = (await refresh(stolen)).json()
  t.equal((await refresh(stolen)).json().refresh, owned, 'at once it gets the same successor: tabs race')
  w.wait(31_000)
  t.equal((await refresh(stolen)).statusCode, 401)
  t.equal((await refresh(owned)).statusCode, 401)
})

t.test('the registration of the tutorials', async (t) => {
  const w = await django(false)(t)
  const register = (payload: object) => w.app.inject({ method: 'POST', url: '/api/register/', payload })
  const made = await register(ada)
  t.equal(made.statusCode, 201)
  t.equal(made.body, '{"message":"User registered successfully"}')
  const again = await register({ ...ada, username: 'ADA' })
  t.equal(again.statusCode, 400)
  t.equal(again.body, '{"error":"Username already exists"}')
  t.equal((await register({})).body, '{"username":["This field is required."],"password":["This field is required."]}')
  const login = await w.app.inject({ method: 'POST', url: '/api-token-auth/', payload: ada })
  t.match(login.json(), { token: /^[0-9a-f]{40}$/ })
  const { id } = (await w.login('ada')).user
  const digests = await w.app.db.selectFrom('api_token').select('digest').where('account_id', '=', id).execute()
  t.same(digests, [{ digest: apiTokenDigest(login.json().token) }], 'of the key a digest is kept')
})

t.test('one switch turns all of it off', async (t) => {
  const w = await world(t, (options) => ({ ...options, drf: null }))
  for (const path of ['/api-token-auth/', '/api/token/', '/auth/users/', '/api/auth/login/', '/api/register/']) {
    t.equal((await w.post(path, {})).statusCode, 404, path)
  }
})

t.test('Django’s session authentication in front makes a 401 a 403, and asks for more than a cookie', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    drf: { ...options.drf!, authenticators: ['session', 'token'] }
  }))
  await w.app.flows.createAccount(ada)
  t.equal((await w.get('/auth/users/me/')).statusCode, 403)
  const login = await w.post(
    '/v1/login',
    { ...ada, refresh_transport: 'cookie', session: true },
    { 'content-type': 'application/json', 'x-auth-request': '1', 'sec-fetch-site': 'same-origin' }
  )
  const jar = (login.cookies as unknown as Array<{ name: string; value: string }>)
    .map(({ name, value }) => `${name}=${value}`)
    .join('; ')
  t.equal((await w.app.inject({ url: '/auth/users/me/', headers: { cookie: jar } })).json().username, 'ada')
  const forged = await w.app.inject({
    method: 'POST',
    url: '/auth/token/logout/',
    headers: { cookie: jar, origin: 'https://evil.example' }
  })
  t.equal(forged.statusCode, 403)
  t.equal(forged.body, '{"detail":"CSRF Failed: CSRF cookie not set."}')
  t.equal(forged.headers.allow, 'POST, OPTIONS')
})

t.test('an account that was deleted, and knox’s limit', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    drf: { ...options.drf!, knox: { lifetime: 3_600_000, limit: 2 } }
  }))
  const { id } = await w.app.flows.createAccount(ada)
  const { refresh } = (await w.post('/api/token/', ada)).json()

  const authorization = `Basic ${btoa(`ada:${goodPassword}`)}`
  const login = () => w.app.inject({ method: 'POST', url: '/api/auth/login/', headers: { authorization } })
  const made = (await login()).json()
  t.equal(Date.parse(made.expiry) - w.now().getTime(), 3_600_000)
  t.equal((await login()).statusCode, 200)
  const third = await login()
  t.equal(third.statusCode, 403)
  t.equal(third.body, '{"error":"Maximum amount of tokens allowed per user exceeded."}')
  t.equal(third.headers.allow, 'POST, OPTIONS')
  w.wait(3_600_000)
  t.equal((await login()).statusCode, 200, 'those that have expired do not count')
  const me = await w.app.inject({ url: '/auth/users/me/', headers: { authorization: `Token ${made.token}` } })
  t.same(me.json(), { detail: 'Invalid token.' })

  await w.app.flows.deleteAccount(id, goodPassword)
  const gone = await w.post('/api/token/refresh/', { refresh })
  t.equal(gone.statusCode, 401)
  t.equal(gone.headers['www-authenticate'], 'Bearer realm="api"')
  t.same(gone.json(), { detail: 'No active account found for the given token.' })
})

t.test('what is not served is not there: tokens that slide, mail, social sign-in, dj-rest-auth', async (t) => {
  const w = await world(t)
  for (const path of [
    ...['/api/token/sliding/', '/api/token/sliding/refresh/', '/dj-rest-auth/login/', '/auth/o/google/'],
    ...['activation', 'resend_activation', 'reset_password', 'reset_password_confirm', 'reset_username'].map(
      (name) => `/auth/users/${name}/`
    )
  ]) {
    t.equal((await w.post(path, {})).statusCode, 404, path)
  }
})

t.test('a new password ends the keys that the old one was good for, but for the one in use', async (t) => {
  const w = await django(false)(t)
  const { id } = await w.app.flows.createAccount(ada)
  const basic = { authorization: `Basic ${btoa(`ada:${goodPassword}`)}` }
  const knox = async () =>
    (await w.app.inject({ method: 'POST', url: '/api/auth/login/', headers: basic })).json().token as string
  const { token } = (await w.post('/api-token-auth/', ada)).json()
  const [stolen, used] = [await knox(), await knox()]
  const personal = (await w.app.flows.createApiToken(id, { name: 'script' })).key
  const asks = async (key: string) => {
    const headers = { authorization: `Token ${key}` }
    const answers = [
      await w.app.inject({ url: '/auth/users/me/', headers }),
      await w.app.inject({ url: '/v1/me', headers })
    ]
    return answers.map(({ statusCode }) => statusCode)
  }
  for (const key of [token, stolen, used, personal]) t.same(await asks(key), [200, 200])

  const change = { current_password: goodPassword, new_password: 'another fine secret' }
  const headers = { authorization: `Token ${used}` }
  const changed = await w.app.inject({ method: 'POST', url: '/auth/users/set_password/', headers, payload: change })
  t.equal(changed.statusCode, 204)
  await w.app.revocations.read()
  for (const key of [token, stolen]) t.same(await asks(key), [401, 401])
  for (const key of [used, personal]) t.same(await asks(key), [200, 200])
  const again = await w.post('/api-token-auth/', { ...ada, password: 'another fine secret' })
  t.not(again.json().token, token, 'and the old key is not told again')
})

t.test('a key makes itself no successor by way of knox', async (t) => {
  const w = await django(false)(t)
  await w.app.flows.createAccount(ada)
  const { token } = (await w.post('/api-token-auth/', ada)).json()
  const headers = { authorization: `Token ${token}` }
  t.equal((await w.app.inject({ method: 'POST', url: '/api/auth/login/', headers })).statusCode, 401)
})

t.test('a password is no longer than a sign-in reads, and guesses with a stolen key are counted', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    rateLimits: { ...options.rateLimits, signIn: { max: 3, window: 60_000 } }
  }))
  await w.app.flows.createAccount(ada)
  const long = await w.post('/api/register/', { username: 'long', password: 'x'.repeat(1025) })
  t.equal(long.body, '{"password":["Ensure this field has no more than 1024 characters."]}')

  const { token } = (await w.post('/api-token-auth/', ada)).json()
  const guess = (current_password: string) =>
    w.app.inject({
      method: 'DELETE',
      url: '/auth/users/me/',
      headers: { authorization: `Token ${token}` },
      payload: { current_password }
    })
  t.equal((await guess('one')).statusCode, 400)
  t.equal((await guess('two')).statusCode, 400)
  t.equal((await guess(goodPassword)).statusCode, 429, 'also the right one')
})

t.test('bodies that are damaged, too large or of no length are the client’s fault', async (t) => {
  const w = await django(false)(t)
  const send = (type: string, payload: string | Buffer, more: Record<string, string> = {}) =>
    w.app.inject({ method: 'POST', url: '/api/token/', headers: { 'content-type': type, ...more }, payload })
  const part = (value: string) => `--b\r\ncontent-disposition: form-data; name="username"\r\n\r\n${value}\r\n`
  for (const [type, payload] of [
    ['multipart/form-data', part('ada')],
    ['multipart/form-data; boundary=b', '--b\r\ncontent-disposition: form-da'],
    ['multipart/form-data; boundary=b', part('ada')],
    ['multipart/form-data; boundary=b', 'garbage'],
    [`multipart/form-data; boundary=${'b'.repeat(200)}`, part('ada')]
  ] as const) {
    const response = await send(type, payload)
    t.equal(response.statusCode, 400, response.body)
    t.match(response.headers['content-type'], /^application\/json$/)
  }
  t.equal((await send('multipart/form-data; boundary=b', `${part('x'.repeat(20_000))}--b--`)).statusCode, 413)
  t.equal((await send('application/json', JSON.stringify({ username: 'x'.repeat(20_000) }))).statusCode, 413)
  t.equal((await send('text/plain', '')).statusCode, 400, 'nothing is read as nothing, whatever it is called')
  const twice = await send(
    'APPLICATION/JSON',
    JSON.stringify({ username: ['x', 'ada'], password: ['y', goodPassword] })
  )
  t.same(twice.json(), { username: ['Not a valid string.'], password: ['Not a valid string.'] })
})

t.test('a foreign header keeps nobody from registering', async (t) => {
  const w = await django(false)(t)
  for (const [at, authorization] of ['Basic abc', 'Digest x', 'bearer x', 'Bearer x'].entries()) {
    const registered = await w.app.inject({
      method: 'POST',
      url: '/api/register/',
      headers: { authorization },
      payload: { username: `user${at}`, password: goodPassword }
    })
    t.equal(registered.statusCode, 201, authorization)
  }
})

t.test(
  'the claim user_id is the number that an account had in Django, as a text, and no other account has it',
  async (t) => {
    const w = await django(true)(t)
    const { id } = await w.app.flows.createAccount(ada)
    await w.app.flows.createAccount({ username: 'grace', password: goodPassword })
    await w.app.db.updateTable('account').set({ external_id: 'django:42' }).where('id', '=', id).execute()
    const claims = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
    const pair = async (username: string) => (await w.post('/api/token/', { ...ada, username })).json()
    const mine = await pair('ada')
    t.equal(claims(mine.access).user_id, '42')
    t.equal(claims(mine.access).sub, id)
    const refreshed = (await w.post('/api/token/refresh/', { refresh: mine.refresh })).json()
    t.equal(claims(refreshed.access).user_id, '42', 'also after a refresh')
    t.equal(claims((await w.login('ada')).access_token).user_id, '42', 'whatever the door')
    t.notOk('user_id' in claims((await pair('grace')).access))
  }
)
