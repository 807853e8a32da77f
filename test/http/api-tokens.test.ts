import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { countingLink } from '../support/query-count.js'
import { goodPassword, issuer, type Tokens, type World, world } from '../support/world.js'

interface Made {
  key: string
  token: { id: string; name: string; scopes: string[]; expires_at: string | null; last_used_at: string | null }
}

/** Sends a request with an API token. */
const by = (
  w: Pick<World, 'app'>,
  key: string,
  url = '/v1/me',
  method: 'GET' | 'POST' | 'DELETE' = 'GET',
  body?: object
) =>
  w.app.inject({
    method,
    url,
    headers: { authorization: `Token ${key}` },
    ...(body === undefined ? {} : { payload: body })
  })

async function make(w: World, who: Tokens, input: object = {}): Promise<Made> {
  const response = await w.as(who.access_token, 'POST', '/v1/tokens', { name: 'script', ...input })
  if (response.statusCode !== 201) throw new Error(response.body)
  return response.json()
}

const list = async (w: World, who: Tokens) =>
  (await w.as(who.access_token, 'GET', '/v1/tokens')).json().tokens as Made['token'][]

t.test('an owner makes a key, sees it once, and uses it', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const response = await w.as(ada.access_token, 'POST', '/v1/tokens', { name: 'backup' })
  t.equal(response.statusCode, 201)
  t.equal(response.headers['cache-control'], 'no-store')
  const { key, token } = response.json() as Made
  t.match(key, /^ktt_[0-9A-Za-z]{36}$/)
  t.match(token, { name: 'backup', kind: 'personal', hint: key.slice(-4), scopes: [], expires_at: null })

  t.match((await by(w, key)).json(), {
    id: ada.user.id,
    authenticator: 'token',
    session_id: null,
    client_id: null,
    scope: '',
    auth_time: null,
    amr: [],
    acr: null,
    expires_at: null
  })
  const listed = await w.as(ada.access_token, 'GET', '/v1/tokens')
  t.match(listed.json(), { tokens: [{ id: token.id, hint: key.slice(-4) }] })
  t.notOk(listed.body.includes(key.slice(0, -4)), 'the key is never shown again')
})

t.test('at rest and in the log there is a digest and nothing of the key', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  await by(w, key)
  await by(w, `${key.slice(0, -1)}!`)
  const row = await w.app.db.selectFrom('api_token').selectAll().executeTakeFirstOrThrow()
  t.same(row.digest, createHash('sha256').update(key).digest())
  const random = key.slice(4, -6)
  t.notOk(JSON.stringify(row).includes(random))
  t.notOk(w.logs.join('').includes(random))
})

t.test('a key of 64 digits is made by the flow that knox’s clients use', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await w.app.flows.createApiToken(ada.user.id, { name: 'phone', kind: 'knox' })
  t.match(key, /^[0-9a-f]{64}$/)
  t.equal((await by(w, key)).statusCode, 200)
})

t.test('the authtoken of an account is one, and the same each time, also for two who ask at once', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  await w.warm()
  const made = await Promise.all(Array.from({ length: 8 }, () => w.app.flows.obtainAuthtoken(ada.user.id)))
  t.equal(new Set(made.map(({ key }) => key)).size, 1)
  t.match(made[0]!.key, /^[0-9a-f]{40}$/)
  t.equal((await by(w, made[0]!.key)).statusCode, 200)

  t.equal(await w.app.flows.deleteApiTokens(ada.user.id, 'authtoken'), 1)
  await w.app.revocations.read()
  t.match((await by(w, made[0]!.key)).json(), { code: 'token_invalid' })
  const next = await w.app.flows.obtainAuthtoken(ada.user.id)
  t.not(next.key, made[0]!.key, 'a key that was removed never comes back')
  const { digest } = await w.app.db.selectFrom('api_token').select('digest').executeTakeFirstOrThrow()
  t.same(digest, createHash('sha256').update(next.key).digest())
})

t.test('where it is set, every new account gets an authtoken with its registration', async (t) => {
  const w = await world(t, (options) => ({ ...options, flows: { ...options.flows, tokenOnRegister: true } }))
  const response = await w.post('/v1/register', { username: 'ada', password: goodPassword })
  const { api_token: key, user } = response.json()
  t.match(key, /^[0-9a-f]{40}$/)
  t.match((await by(w, key)).json(), { id: user.id })
  t.equal((await w.app.flows.obtainAuthtoken(user.id)).key, key)

  const { token: invitation } = await w.app.flows.invite({ roles: [], lifetime: 60_000 })
  const invited = await w.post('/v1/register', { username: 'bob', password: goodPassword, invitation })
  t.match(invited.json(), { api_token: /^[0-9a-f]{40}$/ })

  const taken = await w.post('/v1/register', { username: 'ada', password: goodPassword })
  t.equal(taken.statusCode, 409)
  t.equal((await w.app.db.selectFrom('api_token').select('id').execute()).length, 2)
  const plain = await (await world(t)).post('/v1/register', { username: 'ada', password: goodPassword })
  t.notOk('api_token' in plain.json())
})

t.test('no API token makes or removes one, nor anything else that is not a sign-in of this moment', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    authenticators: { order: ['session', 'token', 'bearer', 'basic'], custom: [] }
  }))
  const admin = await w.admin()
  const keys = [await make(w, admin), await make(w, admin, { scopes: ['admin'] })]
  const basic = `Basic ${Buffer.from(`${admin.user.username}:${goodPassword}`).toString('base64')}`
  const others = [...keys.map(({ key }) => `Token ${key}`), basic]
  const own = `/v1/admin/users/${admin.user.id}/tokens`
  for (const authorization of others) {
    const send = (method: 'POST' | 'DELETE', url: string) =>
      w.app.inject({
        method,
        url,
        headers: { authorization },
        ...(method === 'POST' ? { payload: { name: 'successor' } } : {})
      })
    for (const [method, url] of [
      ['POST', '/v1/tokens'],
      ['POST', own],
      ['DELETE', `/v1/tokens/${keys[0]!.token.id}`]
    ] as const) {
      const response = await send(method, url)
      t.equal(response.statusCode, 401, `${authorization.slice(0, 5)} ${method} ${url}`)
      t.match(response.json(), { code: 'authentication_required' })
    }
  }
  t.equal((await list(w, admin)).length, 2)

  // The session is over, and this replica has not heard of it.
  const gone = await w.login(admin.user.username)
  await w.app.db
    .updateTable('session')
    .set({ ended_at: w.now(), ended_because: 'logout' })
    .where('id', '=', JSON.parse(atob(gone.access_token.split('.')[1]!)).sid)
    .execute()
  for (const url of ['/v1/tokens', own]) {
    const response = await w.as(gone.access_token, 'POST', url, { name: 'successor' })
    t.match(response.json(), { code: 'token_revoked', status: 401 })
  }
})

t.test('a key is limited to its scopes, sorted and each once', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const { key, token } = await make(w, admin, { scopes: ['read', 'articles', 'read'] })
  t.same(token.scopes, ['articles', 'read'])
  t.match((await by(w, key)).json(), { code: 'insufficient_scope', status: 403 })
  t.match(
    (await by(w, key)).headers['www-authenticate'],
    'Bearer realm="keyturn", error="insufficient_scope", scope="profile"'
  )
  for (const url of ['/v1/sessions', '/v1/tokens', '/v1/admin/users']) {
    t.equal((await by(w, key, url)).statusCode, 403, url)
  }
  const profile = await make(w, admin, { scopes: ['profile'] })
  t.match((await by(w, profile.key)).json(), { scope: 'profile' })
  t.equal((await by(w, profile.key, '/v1/me/profile')).statusCode, 200)
  t.equal((await by(w, profile.key, '/v1/admin/users')).statusCode, 403)
  t.equal((await by(w, profile.key, '/v1/sessions')).statusCode, 403)
  const administering = await make(w, admin, { scopes: ['admin'] })
  t.equal((await by(w, administering.key, '/v1/admin/users')).statusCode, 200)
  const member = await make(w, await w.login(await w.account()), { scopes: ['admin'] })
  t.match((await by(w, member.key, '/v1/admin/users')).json(), { code: 'permission_denied' }, 'a scope gives no role')

  for (const [input, pointer] of [
    [{ scopes: ['a b'] }, '/scopes/0'],
    [{ scopes: ['a"b'] }, '/scopes/0'],
    [{ name: 'a\u0000b' }, '/name'],
    [{ name: '' }, '/name'],
    [{ scopes: Array.from({ length: 51 }, (_, n) => `s${n}`) }, '/scopes'],
    [{ expires_in: 59 }, '/expires_in'],
    [{ kind: 'authtoken' }, '/kind']
  ] as const) {
    const response = await w.as(admin.access_token, 'POST', '/v1/tokens', { name: 'x', ...input })
    t.match(response.json(), { code: 'validation_failed', errors: [{ pointer }] })
  }
})

t.test('a key expires on the instant, also where it is remembered', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key, token } = await make(w, ada, { expires_in: 60 })
  t.equal(token.expires_at, '2030-01-01T12:01:00.000Z')
  w.wait(59_999)
  t.match((await by(w, key)).json(), { expires_at: token.expires_at })
  w.wait(1)
  for (let time = 0; time < 2; time++) t.match((await by(w, key)).json(), { code: 'token_expired', status: 401 })
})

t.test('its owner sees when a key was used last, to the minute', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  t.equal((await list(w, ada))[0]!.last_used_at, null)
  const lastUsed = async (expected: string) => {
    // Nobody waits for the note, so its reader does.
    for (let tries = 0; tries < 500; tries++) {
      const [token] = await list(w, ada)
      if (token!.last_used_at === expected) return true
    }
    return false
  }
  await by(w, key)
  t.ok(await lastUsed('2030-01-01T12:00:00.000Z'))
})

t.test('another’s key is as unknown as none, for the owner and below the wrong user', async (t) => {
  const w = await world(t)
  const [ada, bob, admin] = [await w.login(await w.account()), await w.login(await w.account()), await w.admin()]
  const { token, key } = await make(w, ada)
  const remove = async (who: Tokens, url: string) => (await w.as(who.access_token, 'DELETE', url)).statusCode
  t.equal(await remove(bob, `/v1/tokens/${token.id}`), 404)
  t.equal(await remove(admin, `/v1/tokens/${token.id}`), 404)
  t.equal(await remove(admin, `/v1/admin/users/${bob.user.id}/tokens/${token.id}`), 404)
  t.equal(await remove(admin, `/v1/admin/users/not-an-id/tokens/${token.id}`), 404)
  t.equal(await remove(ada, '/v1/tokens/not-an-id'), 404)
  t.equal(await remove(bob, `/v1/admin/users/${ada.user.id}/tokens/${token.id}`), 403)
  t.same(await list(w, bob), [])
  t.equal((await by(w, key)).statusCode, 200)
  t.equal(await remove(ada, `/v1/tokens/${token.id}`), 204)
  t.equal(await remove(ada, `/v1/tokens/${token.id}`), 404)
})

t.test('an administrator makes, lists and removes the keys of others', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const { account } = { account: await w.app.flows.createAccount({ username: 'service' }) }
  const url = `/v1/admin/users/${account.id}/tokens`
  const made = await w.as(admin.access_token, 'POST', url, { name: 'service', scopes: ['profile'], expires_in: 3600 })
  t.equal(made.statusCode, 201)
  const { key, token } = made.json() as Made
  t.match((await by(w, key)).json(), { id: account.id, scope: 'profile' })
  t.match((await w.as(admin.access_token, 'GET', url)).json(), { tokens: [{ id: token.id }] })
  t.equal((await w.as(admin.access_token, 'DELETE', `${url}/${token.id}`)).statusCode, 204)
  await w.app.revocations.read()
  t.match((await by(w, key)).json(), { code: 'token_invalid' })
  for (const id of ['not-an-id', '00000000-0000-4000-8000-000000000000']) {
    t.equal((await w.as(admin.access_token, 'GET', `/v1/admin/users/${id}/tokens`)).statusCode, 404)
    const none = await w.as(admin.access_token, 'POST', `/v1/admin/users/${id}/tokens`, { name: 'x' })
    t.equal(none.statusCode, 404)
  }
})

t.test('an account has at most a hundred keys that are alive, also where they are made at once', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  await w.warm()
  for (let n = 0; n < 9; n++) {
    await Promise.all(Array.from({ length: 10 }, () => make(w, ada, n === 0 ? { expires_in: 60 } : {})))
  }
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => w.as(ada.access_token, 'POST', '/v1/tokens', { name: 'more' }))
  )
  const refused = answers.filter(({ statusCode }) => statusCode === 409)
  t.equal(refused.length, 10)
  t.match(refused[0]!.json(), { code: 'limit_reached' })
  t.equal((await list(w, ada)).length, 100)
  const bob = await w.login(await w.account())
  t.ok(await make(w, bob), 'each account has its own hundred')
  w.wait(60_000)
  t.ok(await make(w, ada), 'what has expired does not count')
})

t.test('a key that was removed is refused on every replica once that has read of it', async (t) => {
  const w = await world(t)
  const other = { app: await w.replica() }
  const ada = await w.login(await w.account())
  const [{ key, token }, kept] = [await make(w, ada), await make(w, ada)]
  for (const app of [w, other]) t.equal((await by(app, key)).statusCode, 200)
  t.equal((await w.as(ada.access_token, 'DELETE', `/v1/tokens/${token.id}`)).statusCode, 204)
  await Promise.all([w.app.revocations.read(), other.app.revocations.read()])
  for (const app of [w, other]) {
    t.match((await by(app, key)).json(), { code: 'token_invalid', status: 401 })
    t.equal((await by(app, kept.key)).statusCode, 200)
  }
})

t.test('a key costs one read at its first use and none after, and garbage costs none', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  // Used a moment ago, so that nothing has to be noted.
  await w.app.db.updateTable('api_token').set({ last_used_at: w.now() }).execute()
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  await app.revocations.read()
  const cost = async (authorization: string, status: number, url = '/v1/me') => {
    const before = link.statements()
    const response = await app.inject({ url, headers: { authorization } })
    t.equal(response.statusCode, status, authorization.slice(0, 20))
    return link.statements() - before
  }
  t.equal(await cost(`Token ${key}`, 200), 1)
  for (let time = 0; time < 5; time++) t.equal(await cost(`token  ${key}`, 200), 0)
  const last = key.at(-1) === '0' ? '1' : '0'
  for (const garbage of [key.slice(0, -1) + last, '', 'x', 'ktt_', 'A'.repeat(40), 'a'.repeat(41), key.toLowerCase()]) {
    t.equal(await cost(`Token ${garbage}`, 401), 0, garbage)
    t.equal(await cost(`Bearer ${garbage}`, 401), 0, garbage)
    t.equal(await cost(`Basic ${garbage}`, 401), 0, garbage)
    t.equal(await cost(`Unknown ${garbage}`, 401), 0, garbage)
  }
  t.equal(await cost(`Bearer ${ada.access_token}`, 200), 0, 'an access token costs none at all')
  t.equal(await cost(`Token ${'0'.repeat(40)}`, 401), 1, 'only what could be a key is looked up')
})

t.test('of keys without number ten thousand are remembered, and the oldest is forgotten first', async (t) => {
  const w = await world(t)
  const { user } = await w.login(await w.account())
  const keys = Array.from({ length: 10_001 }, (_, n) => n.toString(16).padStart(40, '0'))
  const digests = keys.map((key) => createHash('sha256').update(key).digest())
  await sql`
    insert into api_token (id, digest, account_id, kind, name, hint, created_at, last_used_at)
    select gen_random_uuid(), digest, ${user.id}, 'personal', 'x', '0000', ${w.now()}, ${w.now()}
    from unnest(${digests}::bytea[]) as digest`.execute(w.app.db)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  await app.revocations.read()
  const token = app.authenticators.byName('token')
  const use = async (key: string) => {
    const before = link.statements()
    await token.authenticate({} as FastifyRequest, { scheme: 'token', credentials: key, text: '' })
    return link.statements() - before
  }
  await use(keys[0]!)
  for (let at = 1; at < keys.length; at += 100) await Promise.all(keys.slice(at, at + 100).map(use))
  t.equal(await use(keys[10_000]!), 0)
  t.equal(await use(keys[5_000]!), 0)
  t.equal(await use(keys[0]!), 1)
})

t.test('what a key speaks for dies with every kind of revocation, and comes back as it is', async (t) => {
  const w = await world(t)
  await w.role('editor', ['articles.change'])
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  const { flows, revocations } = w.app
  const me = async () => (await by(w, key)).json()
  t.match(await me(), { roles: [], permissions: [] })
  const changes: Array<[string, () => Promise<unknown>, object]> = [
    [
      'roles',
      () => flows.setUserRoles(ada.user.id, ['editor']),
      { roles: ['editor'], permissions: ['articles.change'] }
    ],
    [
      'what a role means',
      () => flows.putRole({ name: 'editor', permissions: [] }),
      { roles: ['editor'], permissions: [] }
    ],
    ['permissions', () => flows.setUserPermissions(ada.user.id, ['own']), { roles: ['editor'], permissions: ['own'] }],
    ['a role that is gone', () => flows.deleteRole('editor'), { roles: [], permissions: ['own'] }],
    ['an account that is disabled', () => flows.disableUser(ada.user.id), { code: 'account_disabled' }],
    ['and enabled again', () => flows.enableUser(ada.user.id), { id: ada.user.id, permissions: ['own'] }]
  ]
  for (const [title, change, expected] of changes) {
    await change()
    await revocations.read()
    t.match(await me(), expected, title)
    t.match(await me(), expected, `${title}, again`)
  }
  await flows.deleteAccount(ada.user.id, goodPassword)
  await revocations.read()
  t.match(await me(), { code: 'token_invalid', status: 401 }, 'an account that is deleted')
})

t.test('a replica that does not know of revocations asks the database each time', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  const { key: other, token } = await make(w, ada)
  await w.app.db.updateTable('api_token').set({ last_used_at: w.now() }).execute()
  const link = await countingLink(t, w.url)
  // Current for three thousandths of a millisecond after each read: never, when anybody asks.
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null },
    revocations: { ...options.revocations, pollInterval: 0.001 }
  }))
  t.notOk(app.revocations.isCurrent())
  for (let time = 0; time < 3; time++) {
    t.equal((await by({ app }, key)).statusCode, 200)
    t.equal((await by({ app }, other)).statusCode, 200)
  }
  await w.as(ada.access_token, 'DELETE', `/v1/tokens/${token.id}`)
  t.equal((await by({ app }, other)).statusCode, 401, 'without any read of what was revoked')
  t.equal((await by({ app }, key)).statusCode, 200)
})

t.test('an API token is no access token: nothing of it is signed, and the issuer is not named', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { key } = await make(w, ada)
  const asBearer = await w.get('/v1/me', key)
  t.match(asBearer.json(), { code: 'token_invalid', type: `${issuer}/problems/token_invalid` })
  const asToken = await w.app.inject({ url: '/v1/me', headers: { authorization: `Token ${ada.access_token}` } })
  t.match(asToken.json(), { code: 'token_invalid' })
})
