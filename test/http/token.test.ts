import { createRemoteJWKSet, jwtVerify } from 'jose'
import t from 'tap'
import { clientWithKey, clientWithSecret, type Proof, postForm } from '../support/clients.js'
import { bindingLogin, clientKey, proofFor } from '../support/dpop.js'
import { goodPassword, issuer, type Tokens, type World, world } from '../support/world.js'

const token = (
  w: World,
  fields: Record<string, string>,
  proof: Proof = { fields: { client_id: 'web' }, headers: {} }
) => postForm(w.app, '/oauth/token', { ...fields, ...proof.fields }, proof.headers)
const refresh = (w: World, text: string, more: Record<string, string> = {}, proof?: Proof) =>
  token(w, { grant_type: 'refresh_token', refresh_token: text, ...more }, proof)
const itself = (w: World, proof: Proof, more: Record<string, string> = {}) =>
  token(w, { grant_type: 'client_credentials', ...more }, proof)

const claimsOf = (text: string) => JSON.parse(Buffer.from(text.split('.')[1]!, 'base64url').toString())

/** Lets a session belong to another client, and have scopes. */
async function assign(w: World, tokens: Tokens, change: { client_id?: string; scope?: string }) {
  await w.app.db.updateTable('session').set(change).where('id', '=', claimsOf(tokens.access_token).sid).execute()
}

t.test('a refresh token is traded for the next tokens, in the words of RFC 6749 §5.1', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  w.wait(60_000)
  const response = await refresh(w, ada.refresh_token)
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  const answer = response.json()
  t.same(Object.keys(answer).sort(), [
    'access_token',
    'authorization_expires_in',
    'expires_in',
    'refresh_token',
    'refresh_token_timeout',
    'token_type'
  ])
  t.match(answer, {
    token_type: 'Bearer',
    refresh_token_timeout: 14 * 86_400,
    authorization_expires_in: 30 * 86_400 - 60
  })
  t.not(answer.refresh_token, ada.refresh_token)
  const { sid, auth_time: time } = claimsOf(ada.access_token)
  t.match(claimsOf(answer.access_token), { sid, auth_time: time, client_id: 'web' })
  t.same((await refresh(w, ada.refresh_token)).json().refresh_token, answer.refresh_token, 'safe to repeat')
  t.equal((await w.refresh(answer.refresh_token)).statusCode, 200, 'the same tokens as of /v1/refresh')
})

t.test('a token that comes back late ends its session, though the answer is an error', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { refresh_token: second } = (await refresh(w, ada.refresh_token)).json()
  const { refresh_token: third } = (await refresh(w, second)).json()
  t.match((await refresh(w, ada.refresh_token)).json(), { error: 'invalid_grant' })
  t.match((await refresh(w, third)).json(), { error: 'invalid_grant' })
  const session = await w.app.db.selectFrom('session').select('ended_because').executeTakeFirstOrThrow()
  t.equal(session.ended_because, 'refresh_reused')
})

t.test('whatever is wrong with a refresh token, it is an invalid grant with the same words', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  const fresh = async () => await w.login(await w.account())
  const [ada, ended, disabled, cookie, idle] = [
    await fresh(),
    await fresh(),
    await fresh(),
    await w.account(),
    await fresh()
  ]
  await flows.logout(ended.refresh_token)
  await flows.disableUser(disabled.user.id)
  const login = await w.post(
    '/v1/login',
    { username: cookie, password: goodPassword, refresh_transport: 'cookie' },
    { 'content-type': 'application/json', 'x-auth-request': '1', origin: 'https://app.test' }
  )
  const [inCookie] = login.cookies as unknown as Array<{ value: string }>
  const { refresh_token: text } = ada
  const tokens: Array<[string, string]> = [
    ['ended', ended.refresh_token],
    ['disabled', disabled.refresh_token],
    ['taken out of a cookie', inCookie!.value],
    ['an access token', ada.access_token.slice(0, 512)],
    ['garbage', 'x'],
    ['another script', 'жетон'],
    ['a NUL', 'a\0b']
  ]
  // CVE-2026-27840: at every length.
  for (let length = 1; length < text.length; length++) tokens.push([`cut after ${length}`, text.slice(0, length)])
  for (const more of ['A', '=', ' ', '\n']) tokens.push([`with ${JSON.stringify(more)}`, text + more])
  const bodies = new Set<string>()
  for (const [title, one] of tokens) {
    const response = await refresh(w, one)
    t.equal(response.statusCode, 400, title)
    t.notOk(response.headers['www-authenticate'], title)
    bodies.add(response.body)
  }
  w.wait(14 * 86_400_000)
  bodies.add((await refresh(w, idle.refresh_token)).body)
  t.same(
    [...bodies].map((body) => JSON.parse(body).error),
    ['invalid_grant']
  )
  const rows: Array<[string, Record<string, string>]> = [
    ['none', { grant_type: 'refresh_token' }],
    ['an empty one', { grant_type: 'refresh_token', refresh_token: '' }],
    ['a long one', { grant_type: 'refresh_token', refresh_token: 'x'.repeat(513) }]
  ]
  for (const [title, fields] of rows) {
    const response = await token(w, fields)
    t.equal(response.statusCode, 400, title)
    t.match(response.json(), { error: 'invalid_request', error_description: /refresh_token/ }, title)
  }
})

t.test('CVE-2026-53512: a refresh token is good for its own client alone, and that one proves itself', async (t) => {
  const w = await world(t)
  const [owner, other, key] = [await clientWithSecret(w), await clientWithSecret(w), await clientWithKey(w)]
  const ada = await w.login(await w.account())
  await assign(w, ada, { client_id: owner.id })
  const wrongSecret = { fields: { client_id: owner.id, client_secret: other.secret }, headers: {} }
  t.equal((await refresh(w, ada.refresh_token, {}, wrongSecret)).statusCode, 401)
  const none = { fields: { client_id: owner.id }, headers: {} }
  t.match((await refresh(w, ada.refresh_token, {}, none)).json(), { error: 'invalid_client' })
  for (const proof of [other.basic, key.proof(), undefined]) {
    t.match((await refresh(w, ada.refresh_token, {}, proof)).json(), { error: 'invalid_grant' })
  }
  const first = await refresh(w, ada.refresh_token, {}, owner.basic)
  t.equal(first.statusCode, 200, 'and nobody else has used it up')
  t.equal(claimsOf(first.json().access_token).client_id, owner.id)

  const { refresh_token: second } = (await refresh(w, first.json().refresh_token, {}, owner.post)).json()
  t.match((await refresh(w, ada.refresh_token, {}, other.basic)).json(), { error: 'invalid_grant' })
  t.equal((await refresh(w, second, {}, owner.basic)).statusCode, 200, 'what another client replays ends nothing')
})

t.test('a scope may be narrowed for one access token, and never widened', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  await assign(w, ada, { scope: 'profile read write' })
  const first = (await refresh(w, ada.refresh_token, { scope: 'write read' })).json()
  t.equal(first.scope, 'read write')
  t.equal(claimsOf(first.access_token).scope, 'read write')
  for (const scope of ['admin', 'read admin', 'READ', 'read  write', ' read', 'read\twrite', '"']) {
    t.match((await refresh(w, first.refresh_token, { scope })).json(), { error: 'invalid_scope' }, scope)
  }
  const { generation } = await w.app.db.selectFrom('session').select('generation').executeTakeFirstOrThrow()
  t.equal(generation, '1', 'what is refused rotates nothing')
  t.match((await refresh(w, ada.refresh_token, { scope: 'admin' })).json(), { error: 'invalid_scope' }, 'in a replay')
  const second = (await refresh(w, first.refresh_token)).json()
  t.equal(second.scope, 'profile read write', 'the session keeps what it has, and its token was not used up')

  const grace = await w.login(await w.account())
  t.match(
    (await refresh(w, grace.refresh_token, { scope: 'orders' })).json(),
    { error: 'invalid_scope' },
    'none granted'
  )
  t.equal((await refresh(w, grace.refresh_token)).statusCode, 200)
})

t.test('many who refresh at once, some for another client, share nothing but the statement', async (t) => {
  const w = await world(t)
  const owner = await clientWithSecret(w)
  const people = await Promise.all(Array.from({ length: 12 }, async () => await w.login(await w.account())))
  await assign(w, people[3]!, { client_id: owner.id })
  await assign(w, people[5]!, { scope: 'a b' })
  await w.warm()
  const answers = await Promise.all(
    people.map(({ refresh_token: text }, at) =>
      refresh(w, text, at === 5 ? { scope: 'b' } : at === 7 ? { scope: 'x' } : {})
    )
  )
  const expected = people.map((_, at) => (at === 3 ? 'invalid_grant' : at === 7 ? 'invalid_scope' : 'Bearer'))
  t.same(
    answers.map((one) => one.json().error ?? one.json().token_type),
    expected
  )
  t.equal(claimsOf(answers[5]!.json().access_token).scope, 'b')
})

t.test('a service gets an access token for itself, and no refresh token', async (t) => {
  const w = await world(t)
  await w.role('editor', ['articles.change'])
  const client = await clientWithSecret(w, { roles: ['editor'], permissions: ['x'], scopes: ['read', 'write'] })
  const response = await itself(w, client.basic)
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  const answer = response.json()
  t.same(Object.keys(answer).sort(), ['access_token', 'expires_in', 'scope', 'token_type'])
  t.match(answer, { token_type: 'Bearer', scope: 'read write' })
  const [header] = answer.access_token.split('.')
  t.match(JSON.parse(Buffer.from(header, 'base64url').toString()), { typ: 'at+jwt' })
  const { exp, iat, jti, rev, ...rest } = claimsOf(answer.access_token)
  t.same(rest, {
    iss: issuer,
    sub: client.accountId,
    aud: 'api',
    client_id: client.id,
    scope: 'read write',
    roles: ['editor'],
    permissions: ['articles.change', 'x'],
    token_type: 'access'
  })
  t.equal(exp - iat, answer.expires_in)
  t.ok(jti && Number.isInteger(rev))

  const me = await w.get('/v1/me', (await itself(w, (await clientWithKey(w)).proof())).json().access_token)
  t.match(me.json(), {
    authenticator: 'bearer',
    session_id: null,
    client_id: /^ktc_/,
    auth_time: null,
    amr: [],
    acr: null
  })
  t.equal(me.json().scope, '')
})

t.test('a service asks for scopes that it was given', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { scopes: ['read', 'write'] })
  t.equal((await itself(w, client.basic, { scope: 'read' })).json().scope, 'read')
  t.equal((await itself(w, client.basic, { scope: '' })).json().scope, 'read write')
  for (const scope of ['admin', 'read admin', 'read  write', 'READ', 'x'.repeat(3000)]) {
    const response = await itself(w, client.basic, { scope })
    t.equal(response.statusCode, 400)
    t.match(response.json(), { error: 'invalid_scope' }, scope)
  }
  t.match((await itself(w, client.basic, { scope: 'x'.repeat(4001) })).json(), { error: 'invalid_request' })
  const unlimited = await clientWithSecret(w)
  t.match((await itself(w, unlimited.basic, { scope: 'read' })).json(), { error: 'invalid_scope' }, 'none given')
  t.notOk('scope' in (await itself(w, unlimited.basic)).json())
  t.match((await itself(w, client.basic, { audience: 'other', resource: 'https://other.test' })).json(), {
    token_type: 'Bearer'
  })
})

t.test('the tokens of a service are for its audience', async (t) => {
  const w = await world(t, (options) => ({ ...options, audience: ['api', 'files', 'mail'] }))
  const client = await clientWithSecret(w, { audience: ['files', 'mail'] })
  const { access_token: text } = (await itself(w, client.basic)).json()
  t.same(claimsOf(text).aud, ['files', 'mail'])
  t.same(claimsOf((await itself(w, (await clientWithSecret(w)).basic)).json().access_token).aud, [
    'api',
    'files',
    'mail'
  ])
  const later = await w.replica((options) => ({ ...options, audience: ['api', 'mail'] }))
  const fields = { grant_type: 'client_credentials' }
  const one = await postForm(later, '/oauth/token', fields, client.basic.headers)
  t.equal(claimsOf(one.json().access_token).aud, 'mail', 'what the setting has lost is not told any more')
  const last = await w.replica((options) => ({ ...options, audience: ['api'] }))
  const none = await postForm(last, '/oauth/token', fields, client.basic.headers)
  t.match(none.json(), { error: 'unauthorized_client' }, 'and never becomes all of them')
})

t.test('there is no grant for passwords, nor any other (RFC 9700 §2.4)', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const username = await w.account()
  const proofs = [{ fields: {}, headers: {} }, client.basic, client.post, { fields: { client_id: 'web' }, headers: {} }]
  for (const proof of proofs) {
    for (const grant of [
      'password',
      'authorization_code',
      'implicit',
      'Refresh_token',
      'constructor',
      'x'.repeat(500)
    ]) {
      const response = await token(w, { grant_type: grant, username, password: goodPassword }, proof)
      t.equal(response.statusCode, 400)
      t.match(response.json(), { error: 'unsupported_grant_type' }, grant)
    }
  }
  t.match((await token(w, {}, client.basic)).json(), { error: 'invalid_request', error_description: /grant_type/ })
})

t.test('a token of a service is judged offline by others', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const { access_token: text } = (await itself(w, client.basic)).json()
  await w.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = w.app.server.address() as { port: number }
  const keys = createRemoteJWKSet(new URL(`http://127.0.0.1:${port}/.well-known/jwks.json`))
  const currentDate = w.now()
  const { payload } = await jwtVerify(text, keys, { issuer, audience: 'api', typ: 'at+jwt', currentDate })
  t.equal(payload.client_id, client.id)
})

t.test('what ends a client ends its tokens', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  await w.role('editor')
  const ends: Array<[string, (client: { id: string; accountId: string }) => Promise<unknown>]> = [
    ['disabled', ({ id }) => flows.updateClient(id, { disabled: true })],
    ['its account disabled', ({ accountId }) => flows.disableUser(accountId)],
    ['removed', ({ id }) => flows.deleteClient(id)],
    ['another secret', ({ id }) => flows.rotateClientSecret(id)],
    ['other scopes', ({ id }) => flows.updateClient(id, { scopes: ['x'] })],
    ['another audience', ({ id }) => flows.updateClient(id, { audience: ['api'] })],
    ['other roles', ({ accountId }) => flows.setUserRoles(accountId, [])],
    ['other permissions', ({ accountId }) => flows.setUserPermissions(accountId, ['x'])],
    ['a role that means something else', () => flows.putRole({ name: 'editor', permissions: ['y'] })]
  ]
  for (const [title, end] of ends) {
    const client = await clientWithSecret(w, { roles: ['editor'] })
    const { access_token: text } = (await itself(w, client.basic)).json()
    const made = await flows.createApiToken(client.accountId, { name: 'x' })
    t.equal((await w.get('/v1/me', text)).statusCode, 200)
    await end(client)
    await w.app.revocations.read()
    t.match((await w.get('/v1/me', text)).json(), { code: 'token_revoked' }, title)
    if (title === 'disabled' || title === 'removed') {
      const { statusCode } = await w.app.inject({ url: '/v1/me', headers: { authorization: `Token ${made.key}` } })
      t.equal(statusCode, 401, `${title}: its API tokens too`)
    }
  }
  const renamed = await clientWithSecret(w)
  const { access_token: text } = (await itself(w, renamed.basic)).json()
  await flows.updateClient(renamed.id, { name: 'another' })
  await w.app.revocations.read()
  t.equal((await w.get('/v1/me', text)).statusCode, 200, 'another name ends nothing')
})

t.test('a token of a service reads what its account may, and does not change who the service is', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { roles: ['admin'] })
  const { access_token: text } = (await itself(w, client.basic)).json()
  t.equal((await w.as(text, 'GET', '/v1/admin/users')).statusCode, 200)
  t.same((await w.as(text, 'GET', '/v1/sessions')).json(), { sessions: [] })
  const refused: Array<['POST' | 'PATCH' | 'DELETE', string, object?]> = [
    ['POST', '/v1/tokens', { name: 'x' }],
    ['POST', `/v1/admin/users/${client.accountId}/tokens`, { name: 'x' }],
    ['POST', '/v1/admin/clients', { name: 'x' }],
    ['POST', `/v1/admin/clients/${client.id}/secret`],
    ['PATCH', `/v1/admin/clients/${client.id}`, { scopes: [] }],
    ['PATCH', '/v1/me', { username: 'other' }],
    ['DELETE', '/v1/me', { current_password: goodPassword }],
    ['POST', '/v1/me/password', { current_password: 'x', new_password: goodPassword }]
  ]
  for (const [method, url, body] of refused) {
    t.match((await w.as(text, method, url, body)).json(), { code: 'permission_denied' }, `${method} ${url}`)
  }
  for (const url of ['/v1/logout', '/v1/logout/all']) {
    t.equal((await w.as(text, 'POST', url)).statusCode, 204, url)
  }
  t.equal((await w.get('/v1/me', text)).statusCode, 200, 'there was no session to leave')

  const login = await w.post('/v1/login', { username: client.id, password: goodPassword })
  t.match(login.json(), { code: 'invalid_credentials' }, 'nobody signs in as a service')
})

t.test('Django’s endpoints know the token of a service, and no user behind it', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const { access_token: text } = (await itself(w, client.basic)).json()
  t.equal((await w.post('/api/token/verify/', { token: text })).statusCode, 200)
  const me = await w.get('/auth/users/me/', text)
  t.equal(me.statusCode, 401)
  t.match(me.json(), { code: 'user_not_found' })
  await w.app.flows.updateClient(client.id, { disabled: true })
  t.not((await w.post('/api/token/verify/', { token: text })).statusCode, 200)
})

t.test(
  'a session that is bound to a key refreshes with a proof, and a service may bind its token (RFC 9449 §5)',
  async (t) => {
    const w = await world(t)
    const key = clientKey()
    const ada = await bindingLogin(w, key)
    const dpop = (by = key) => ({ dpop: proofFor(w, by, { path: '/oauth/token' }) })
    const web = (headers: Record<string, string>): Proof => ({ fields: { client_id: 'web' }, headers })
    for (const headers of [{}, dpop(clientKey())]) {
      t.match((await refresh(w, ada.refresh_token, {}, web(headers))).json(), { error: 'invalid_grant' })
    }
    const proof = dpop()
    t.match((await refresh(w, ada.refresh_token, {}, web(proof))).json(), {
      token_type: 'DPoP',
      refresh_token: /^ktr_/
    })
    t.match(
      (await refresh(w, ada.refresh_token, {}, web(proof))).json(),
      { error: 'invalid_dpop_proof' },
      'used before'
    )
    t.match((await refresh(w, ada.refresh_token, {}, web({ dpop: 'x' }))).json(), { error: 'invalid_dpop_proof' })

    const client = await clientWithSecret(w)
    const answer = (await itself(w, { ...client.basic, headers: { ...client.basic.headers, ...dpop() } })).json()
    t.equal(answer.token_type, 'DPoP')
    t.same(claimsOf(answer.access_token).cnf, { jkt: key.jkt })
    t.equal((await w.get('/v1/me', answer.access_token)).statusCode, 401, 'worth nothing without the key')
  }
)
