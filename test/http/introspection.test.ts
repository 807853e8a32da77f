import { createLocalJWKSet, jwtVerify } from 'jose'
import { sql } from 'kysely'
import t from 'tap'
import { clientWithKey, clientWithSecret, type Proof, postForm } from '../support/clients.js'
import { encode, forge, workshop } from '../support/forge.js'
import { countingLink } from '../support/query-count.js'
import { goodPassword, issuer, type World, world } from '../support/world.js'

const form = 'application/x-www-form-urlencoded'

/** A service that may ask, by its API token. */
async function asker(w: World) {
  await w.role('introspector', ['keyturn.introspect'])
  const account = await w.app.flows.createAccount({ username: 'service', roles: ['introspector'] })
  const { key } = await w.app.flows.createApiToken(account.id, { name: 'service', scopes: ['introspect'] })
  const send = (body: string, headers: Record<string, string> = {}) =>
    w.app.inject({
      method: 'POST',
      url: '/oauth/introspect',
      headers: { 'content-type': form, authorization: `Token ${key}`, ...headers },
      payload: body
    })
  const ask = async (token: string) => {
    const response = await send(new URLSearchParams({ token }).toString())
    if (response.statusCode !== 200) throw new Error(response.body)
    return response.json()
  }
  return { account, key, send, ask }
}

t.test('an access token is told as it is (RFC 7662 §2.2)', async (t) => {
  const w = await world(t)
  const { ask, send } = await asker(w)
  const ada = await w.login(await w.account('ada'))
  const claims = JSON.parse(atob(ada.access_token.split('.')[1]!))
  const answer = await ask(ada.access_token)
  t.same(answer, {
    active: true,
    sub: ada.user.id,
    username: 'ada',
    token_type: 'Bearer',
    scope: '',
    client_id: 'web',
    iss: issuer,
    aud: 'api',
    jti: claims.jti,
    sid: claims.sid,
    exp: claims.exp,
    iat: claims.iat,
    auth_time: claims.auth_time,
    amr: ['pwd'],
    acr: 'aal1',
    roles: [],
    permissions: []
  })
  const hinted = await send(
    new URLSearchParams({ token: ada.access_token, token_type_hint: 'refresh_token', more: 'x' }).toString()
  )
  t.match(hinted.json(), { active: true }, 'a wrong hint and parameters that nobody knows change nothing')
  t.equal(hinted.headers['cache-control'], 'no-store')
  t.match(hinted.headers['content-type'], /^application\/json/)
})

t.test('an API token is told as it is', async (t) => {
  const w = await world(t)
  const { ask } = await asker(w)
  await w.role('editor', ['articles.change'])
  const ada = await w.app.flows.createAccount({ username: 'ada', roles: ['editor'] })
  const { key, token } = await w.app.flows.createApiToken(ada.id, { name: 'x', scopes: ['b', 'a'], lifetime: 60_000 })
  t.same(await ask(key), {
    active: true,
    sub: ada.id,
    username: 'ada',
    token_type: 'Token',
    scope: 'a b',
    jti: token.id,
    exp: Date.parse('2030-01-01T12:01:00Z') / 1000,
    iat: Date.parse('2030-01-01T12:00:00Z') / 1000,
    roles: ['editor'],
    permissions: ['articles.change']
  })
  const { key: endless } = await w.app.flows.createApiToken(ada.id, { name: 'x' })
  t.notOk('exp' in (await ask(endless)))
  t.match(await ask((await w.app.flows.obtainAuthtoken(ada.id)).key), { active: true, scope: '' })
})

t.test('of everything else nothing is told but that it is not active', async (t) => {
  const w = await world(t)
  const { ask, key } = await asker(w)
  const forger = await workshop(w)
  const ada = await w.login(await w.account())
  const login = await w.post(
    '/v1/login',
    { username: ada.user.username, password: goodPassword, refresh_transport: 'cookie', session: true },
    { 'content-type': 'application/json', 'x-auth-request': '1', origin: 'https://app.test' }
  )
  const cookies = login.cookies as unknown as Array<{ value: string }>
  const now = w.now().getTime() / 1000
  const tokens: Record<string, string> = {
    'a refresh token': ada.refresh_token,
    'a refresh token of a cookie': cookies[0]!.value,
    'a session cookie': cookies[1]!.value,
    'a password': goodPassword,
    garbage: 'x',
    'a NUL': 'a\0b',
    'another script': 'жетон',
    'a very long text': 'x'.repeat(8192),
    'three dots': '...',
    'a changed access token': `${ada.access_token.slice(0, -8)}AAAAAAAA`,
    'an expired access token': forger.ours({ exp: now - 6 }),
    'one of another audience': forger.ours({ aud: 'other' }),
    'one of another issuer': forger.ours({ iss: 'https://evil.test' }),
    'one of another type': forger.ours({}, { typ: 'JWT' }),
    'one of a session that is none': forger.ours({ sid: '00000000-0000-4000-8000-000000000000' }),
    'one of a session that cannot be': forger.ours({ sid: "x' or 1=1" }),
    'one without a signature': `${encode({ ...forger.header, alg: 'none' })}.${encode(forger.claims)}.`,
    'one by another key': forge('HS256', 'secret', { ...forger.header, alg: 'HS256' }, forger.claims),
    'an unknown key of 40 digits': '0'.repeat(40),
    'an unknown key of 64 digits': '0'.repeat(64),
    'a key with a wrong checksum': `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`,
    'a key with its scheme': `Token ${key}`,
    'a digest': '00'.repeat(32)
  }
  for (const [title, token] of Object.entries(tokens)) t.same(await ask(token), { active: false }, title)
})

t.test('what is over is not active at once, whatever this replica has read', async (t) => {
  const w = await world(t)
  const { ask } = await asker(w)
  const { flows } = w.app
  // No replica hears of anything: only what is asked of the database counts.
  await sql`alter table revocation disable trigger revocation_notify`.execute(w.app.db)
  type Person = { id: string; token: string; refresh: string; key: string; keyId: string }
  const ends: Array<[string, (who: Person) => Promise<unknown>, boolean, boolean]> = [
    ['logout', (who) => flows.logout(who.refresh), false, true],
    ['logout everywhere', (who) => flows.logoutAllByRefreshToken(who.refresh), false, true],
    ['an administrator', (who) => flows.endUserSessions(who.id), false, true],
    ['disabled', (who) => flows.disableUser(who.id), false, false],
    ['deleted', (who) => flows.deleteAccount(who.id, goodPassword), false, false],
    ['other roles', (who) => flows.setUserRoles(who.id, []), false, true],
    ['other permissions', (who) => flows.setUserPermissions(who.id, ['x']), false, true],
    ['a role that means something else', () => flows.putRole({ name: 'editor', permissions: ['y'] }), false, true],
    ['a role that is gone', () => flows.deleteRole('editor'), false, true],
    ['the key removed', (who) => flows.deleteApiToken(who.id, who.keyId), true, false]
  ]
  for (const [title, end, tokenLives, keyLives] of ends) {
    await w.role('editor')
    const account = await flows.createAccount({ username: unused(), password: goodPassword, roles: ['editor'] })
    const tokens = await w.login(account.username)
    const made = await flows.createApiToken(account.id, { name: 'x' })
    t.match([await ask(tokens.access_token), await ask(made.key)], [{ active: true }, { active: true }])
    await end({
      id: account.id,
      token: tokens.access_token,
      refresh: tokens.refresh_token,
      key: made.key,
      keyId: made.token.id
    })
    const [token, key] = [await ask(tokens.access_token), await ask(made.key)]
    t.equal(token.active, tokenLives, `${title}: access token`)
    t.equal(key.active, keyLives, `${title}: API token`)
    if (!tokenLives) t.same(token, { active: false })
    if (!keyLives) t.same(key, { active: false })
  }
})

let people = 0
const unused = () => `person-${people++}`

t.test('a key and a session that expire are not active from that instant', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    flows: { ...options.flows, lifetimes: { ...options.flows.lifetimes, refreshIdle: 60_000 } }
  }))
  const { ask, account } = await asker(w)
  const { key } = await w.app.flows.createApiToken(account.id, { name: 'x', lifetime: 60_000 })
  const ada = await w.login(await w.account())
  w.wait(59_999)
  t.match([await ask(key), await ask(ada.access_token)], [{ active: true }, { active: true }])
  w.wait(1)
  t.same(
    [await ask(key), await ask(ada.access_token)],
    [{ active: false }, { active: false }],
    'idle sessions are over'
  )
})

t.test('who may not ask learns nothing, in the words of OAuth', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    authenticators: { order: ['session', 'token', 'bearer', 'basic'], custom: [] }
  }))
  const { send, key, account } = await asker(w)
  const member = await w.login(await w.account())
  const admin = await w.admin()
  const keyOf = async (id: string, scopes: string[]) =>
    `Token ${(await w.app.flows.createApiToken(id, { name: 'x', scopes })).key}`
  const token = new URLSearchParams({ token: member.access_token }).toString()
  const invalid = 'Bearer realm="keyturn", error="invalid_token", error_description="The token is not valid"'
  const scope = 'Bearer realm="keyturn", error="insufficient_scope"'
  const unknown = 'Token realm="keyturn", Bearer realm="keyturn", Basic realm="keyturn"'
  const rows: Array<[string, string, number, string, string | undefined]> = [
    ['nobody', '', 401, 'invalid_client', unknown],
    ['a member', `Bearer ${member.access_token}`, 403, 'insufficient_scope', scope],
    ['an administrator without the permission', `Bearer ${admin.access_token}`, 403, 'insufficient_scope', scope],
    ['garbage', 'Bearer x', 401, 'invalid_token', `Token realm="keyturn", ${invalid}, Basic realm="keyturn"`],
    ['a wrong key', `Token ${'0'.repeat(40)}`, 401, 'invalid_token', unknown],
    ['a password', `Basic ${btoa(`${admin.user.username}:${goodPassword}`)}`, 401, 'invalid_client', unknown],
    [
      'a key of another scope',
      await keyOf(account.id, ['other']),
      403,
      'insufficient_scope',
      `${scope}, scope="introspect"`
    ],
    ['the scope without the permission', await keyOf(member.user.id, ['introspect']), 403, 'insufficient_scope', scope]
  ]
  for (const [title, authorization, status, error, challenge] of rows) {
    const response = await w.app.inject({
      method: 'POST',
      url: '/oauth/introspect',
      headers: { 'content-type': form, ...(authorization === '' ? {} : { authorization }) },
      payload: token
    })
    t.equal(response.statusCode, status, title)
    t.equal(response.json().error, error, title)
    t.same(Object.keys(response.json()), ['error', 'error_description'], title)
    t.equal(response.headers['www-authenticate'], challenge, title)
    t.match(response.headers['content-type'], /^application\/json/)
    t.equal(response.headers['cache-control'], 'no-store')
  }
  t.equal((await send(token, { authorization: await keyOf(account.id, []) })).statusCode, 200, 'a key without limits')
  const service = await w.app.flows.mintToken(account.id, 60_000)
  t.equal((await send(token, { authorization: `Bearer ${service.accessToken}` })).statusCode, 200, 'an access token')

  await w.app.flows.putRole({ name: 'introspector', permissions: [] })
  await w.app.revocations.read()
  t.equal((await send(token, { authorization: `Token ${key}` })).statusCode, 403, 'once the permission is taken')
})

t.test('a request that cannot be read says what to do', async (t) => {
  const w = await world(t)
  const { send } = await asker(w)
  const rows: Array<[string, string, string | undefined, number, RegExp]> = [
    ['no token', '', undefined, 400, /token/],
    ['another parameter', 'tokem=x', undefined, 400, /token/],
    ['an empty token', 'token=', undefined, 400, /token/],
    ['a token that is too long', `token=${'x'.repeat(8193)}`, undefined, 400, /token/],
    ['the token twice', 'token=a&token=b', undefined, 400, /twice/],
    ['a hint twice', 'token=a&token_type_hint=b&token_type_hint=c', undefined, 400, /twice/],
    ['JSON', '{"token":"x"}', 'application/json', 415, /application\/x-www-form-urlencoded/],
    ['a text', 'token=x', 'text/plain', 415, /application\/x-www-form-urlencoded/],
    ['too much', `token=x&more=${'x'.repeat(17_000)}`, undefined, 413, /16 KiB/]
  ]
  for (const [title, body, type, status, description] of rows) {
    const response = await send(body, type === undefined ? {} : { 'content-type': type })
    t.equal(response.statusCode, status, title)
    t.match(response.json(), { error: 'invalid_request', error_description: description }, title)
    // RFC 6749 §5.2: no quotes and no backslashes.
    t.match(response.json().error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/, title)
  }
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const response = await send(`${name}=x&token=y`)
    t.same(response.json(), { active: false }, name)
  }
  const query = await w.app.inject({
    method: 'POST',
    url: '/oauth/introspect?access_token=x',
    headers: { 'content-type': form },
    payload: 'token=x'
  })
  t.match(query.json(), { error: 'invalid_request' })
})

t.test('a question costs one statement for a key, two for an access token, and none for garbage', async (t) => {
  const w = await world(t)
  const { key } = await asker(w)
  const ada = await w.login(await w.account())
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  const cost = async (token: string) => {
    const before = link.statements()
    const response = await app.inject({
      method: 'POST',
      url: '/oauth/introspect',
      headers: { 'content-type': form, authorization: `Token ${key}` },
      payload: new URLSearchParams({ token }).toString()
    })
    t.equal(response.statusCode, 200)
    return link.statements() - before
  }
  await w.app.db.updateTable('api_token').set({ last_used_at: w.now() }).execute()
  await cost('x')
  t.equal(await cost('x'), 0)
  t.equal(await cost(ada.refresh_token), 0)
  t.equal(await cost(key), 1)
  t.equal(await cost(ada.access_token), 2)
})

t.test('a client asks in its own name, where its account may', async (t) => {
  const w = await world(t)
  const [asking, keyed, other] = [
    await clientWithSecret(w, { permissions: ['keyturn.introspect'], scopes: ['orders'] }),
    await clientWithKey(w, { permissions: ['keyturn.introspect'] }),
    await clientWithSecret(w)
  ]
  const ada = await w.login(await w.account())
  const ask = (proof: Proof, token = ada.access_token) =>
    postForm(w.app, '/oauth/introspect', { token, ...proof.fields }, proof.headers)
  for (const proof of [asking.basic, asking.post, keyed.proof()]) {
    t.match((await ask(proof)).json(), { active: true, sub: ada.user.id, client_id: 'web' })
  }
  const refused = await ask(other.basic)
  t.equal(refused.statusCode, 403)
  t.match(refused.json(), { error: 'insufficient_scope' })
  await w.app.flows.setUserPermissions(asking.accountId, [])
  t.equal((await ask(asking.basic)).statusCode, 403, 'once the permission is taken')
})

t.test('the token of a service is told as it is, until it is over', async (t) => {
  const w = await world(t)
  const { ask } = await asker(w)
  const { flows } = w.app
  const client = await clientWithSecret(w, { scopes: ['orders'], permissions: ['x'] })
  const got = async () =>
    (await postForm(w.app, '/oauth/token', { grant_type: 'client_credentials' }, client.basic.headers)).json()
      .access_token
  const token = await got()
  const claims = JSON.parse(atob(token.split('.')[1]!))
  t.same(await ask(token), {
    active: true,
    sub: client.accountId,
    username: client.id,
    token_type: 'Bearer',
    scope: 'orders',
    client_id: client.id,
    iss: issuer,
    aud: 'api',
    jti: claims.jti,
    exp: claims.exp,
    iat: claims.iat,
    roles: [],
    permissions: ['x']
  })
  const single = await got()
  await postForm(w.app, '/oauth/revoke', { token: single }, client.basic.headers)
  t.same(await ask(single), { active: false }, 'revoked by its client')
  t.match(await ask(token), { active: true })
  await sql`alter table revocation disable trigger revocation_notify`.execute(w.app.db)
  await flows.updateClient(client.id, { disabled: true })
  t.same(await ask(token), { active: false })
  await flows.updateClient(client.id, { disabled: false })
  t.same(await ask(token), { active: false }, 'what was issued before stays over')
  const next = await got()
  t.match(await ask(next), { active: true })
  // As if the entry that tells of it were lost: the client itself is asked, not its revocation alone.
  await sql`update client set disabled_at = now() where id = ${client.id}`.execute(w.app.db)
  t.same(await ask(next), { active: false })
})

t.test('CVE-2026-37979: a client is told of tokens for its own audience alone', async (t) => {
  const w = await world(t, (options) => ({ ...options, audience: ['api', 'files', 'mail'] }))
  const permissions = ['keyturn.introspect']
  const files = await clientWithSecret(w, { permissions, audience: ['files'] })
  const everything = await clientWithSecret(w, { permissions })
  const mailer = await clientWithSecret(w, { audience: ['mail'] })
  const filer = await clientWithSecret(w, { audience: ['mail', 'files'] })
  const got = async (proof: Proof) =>
    (await postForm(w.app, '/oauth/token', { grant_type: 'client_credentials' }, proof.headers)).json().access_token
  const [mail, both] = [await got(mailer.basic), await got(filer.basic)]
  const ada = await w.login(await w.account())
  const key = `Token ${(await w.app.flows.createApiToken(files.accountId, { name: 'x' })).key}`
  const bearer = `Bearer ${await got(files.basic)}`
  const ask = async (token: string, headers: Record<string, string>) =>
    (await postForm(w.app, '/oauth/introspect', { token }, headers)).json()
  for (const headers of [files.basic.headers, { authorization: key }, { authorization: bearer }]) {
    t.same(await ask(mail, headers), { active: false })
    t.match(await ask(both, headers), { active: true, aud: ['files', 'mail'] })
    t.match(await ask(ada.access_token, headers), { active: true })
  }
  for (const token of [mail, both]) t.match(await ask(token, everything.basic.headers), { active: true })
  const made = await w.app.flows.createApiToken(ada.user.id, { name: 'x' })
  t.match(await ask(made.key, files.basic.headers), { active: true }, 'an API token is for every service')
})

t.test('an answer is signed for whoever wants it so (RFC 9701)', async (t) => {
  const w = await world(t)
  const { account, send } = await asker(w)
  const client = await clientWithSecret(w, { permissions: ['keyturn.introspect'] })
  const ada = await w.login(await w.account())
  const accept = 'application/token-introspection+jwt'
  const body = new URLSearchParams({ token: ada.access_token }).toString()
  const jwks = createLocalJWKSet({ keys: w.app.keys.published().map(({ publicJwk }) => publicJwk) } as never)
  const verify = (jwt: string, audience: string) =>
    jwtVerify(jwt, jwks, { issuer, audience, typ: 'token-introspection+jwt', currentDate: w.now() })

  const plain = (await send(body)).json()
  const response = await send(body, { accept })
  t.equal(response.statusCode, 200)
  t.match(response.headers['content-type'], /^application\/token-introspection\+jwt/)
  t.equal(response.headers['cache-control'], 'no-store')
  const { payload } = await verify(response.body, account.id)
  t.same(payload, {
    iss: issuer,
    aud: account.id,
    iat: w.now().getTime() / 1000,
    token_introspection: plain
  })
  const byClient = await postForm(w.app, '/oauth/introspect', body, { accept, ...client.basic.headers })
  t.match((await verify(byClient.body, client.id)).payload, { token_introspection: { active: true } })
  const inactive = await send('token=x', { accept })
  t.same((await verify(inactive.body, account.id)).payload.token_introspection, { active: false })

  const verdict = await w.app.accessTokens.judge(response.body)
  t.match(verdict, { ok: false, because: 'type_wrong' }, 'it is no access token')
  t.equal((await w.get('/v1/me', response.body)).statusCode, 401)
  t.same((await send(new URLSearchParams({ token: response.body }).toString())).json(), { active: false })

  for (const [header, type] of [
    [`text/html, ${accept};q=0.9`, accept],
    [accept.toUpperCase(), accept],
    [`${accept};q=0`, 'application/json'],
    [`${accept};q=0.000, */*`, 'application/json'],
    ['*/*', 'application/json'],
    ['application/jwt', 'application/json']
  ] as const) {
    const answer = await send(body, { accept: header })
    t.equal(String(answer.headers['content-type']).split(';')[0], type, header)
  }
  t.equal((await send('', { accept })).statusCode, 400, 'errors are as always')
})
