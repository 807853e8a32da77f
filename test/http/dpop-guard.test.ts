import t from 'tap'
import { guard } from '../../src/index.js'
import { bindingLogin, type ClientKey, clientKey, garbageProofs, proofFor } from '../support/dpop.js'
import { workshop } from '../support/forge.js'
import { goodPassword, type World, world } from '../support/world.js'

const key = clientKey()
const other = clientKey()
const algs = 'algs="ES256 Ed25519 EdDSA RS256 PS256"'

/** Asks who the credential speaks for, by any scheme and with any proof. */
const me = (w: World, scheme: string, token: string, dpop?: string | string[], url = '/v1/me') =>
  w.app.inject({ url, headers: { authorization: `${scheme} ${token}`, ...(dpop === undefined ? {} : { dpop }) } })

const myProof = (w: World, accessToken: string, by: ClientKey = key, change: object = {}) =>
  proofFor(w, by, { method: 'GET', path: '/v1/me', accessToken }, change)

t.test('a token passes by its own scheme alone, and one that is bound with a proof by its key alone', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const bound = (await bindingLogin(w, key, username)).access_token
  const free = (await w.login(username)).access_token
  const cases: Array<[string, string, string | undefined, number, string?, string?]> = [
    ['DPoP', bound, myProof(w, bound), 200],
    ['dpop', bound, myProof(w, bound), 200],
    ['DPoP', bound, undefined, 401, 'dpop_proof_invalid', 'invalid_dpop_proof'],
    ['DPoP', bound, myProof(w, bound, other), 401, 'token_invalid', 'invalid_token'],
    ['DPoP', bound, myProof(w, free), 401, 'dpop_proof_invalid', 'invalid_dpop_proof'],
    ['DPoP', bound, myProof(w, bound, key, { ath: undefined }), 401, 'dpop_proof_invalid', 'invalid_dpop_proof'],
    ['Bearer', bound, undefined, 401, 'token_invalid', 'invalid_token'],
    ['Bearer', bound, myProof(w, bound), 401, 'token_invalid', 'invalid_token'],
    ['Bearer', free, undefined, 200],
    ['Bearer', free, myProof(w, free), 200],
    ['DPoP', free, myProof(w, free), 401, 'token_invalid', 'invalid_token'],
    ['DPoP', free, undefined, 401, 'token_invalid', 'invalid_token']
  ]
  for (const [scheme, token, dpop, status, code, error] of cases) {
    const title = `${scheme} ${token === bound ? 'bound' : 'free'} ${dpop === undefined ? 'without' : 'with'} ${code ?? ''}`
    const response = await me(w, scheme, token, dpop)
    t.equal(response.statusCode, status, title)
    if (code === undefined) {
      t.match(response.json(), { authenticator: 'bearer' }, title)
      t.equal(response.headers['www-authenticate'], undefined, title)
      continue
    }
    t.match(response.json(), { code, status: 401 }, title)
    const challenge = String(response.headers['www-authenticate'])
    const realm = scheme === 'DPoP' ? 'DPoP realm="keyturn"' : 'Bearer realm="keyturn"'
    t.match(challenge, `${realm}, error="${error}"`, title)
    t.equal(challenge.includes(algs), scheme === 'DPoP' || dpop !== undefined, title)
  }
})

t.test('whoever has not shown that they know DPoP is not told of it', async (t) => {
  const w = await world(t)
  const challenge = async (headers: Record<string, string>) =>
    (await w.app.inject({ url: '/v1/me', headers })).headers['www-authenticate']
  t.equal(await challenge({}), 'Token realm="keyturn", Bearer realm="keyturn"')
  t.equal(
    await challenge({ dpop: 'x' }),
    `Token realm="keyturn", Bearer realm="keyturn", DPoP realm="keyturn", ${algs}`,
    'a proof without a token'
  )
})

t.test('whatever is no proof for this request and this token is refused before the database is asked', async (t) => {
  const w = await world(t)
  const { access_token: accessToken } = await bindingLogin(w, key)
  await w.app.db.destroy()
  for (const [title, dpop] of garbageProofs(w, key, { method: 'GET', path: '/v1/me', accessToken })) {
    const response = await me(w, 'DPoP', accessToken, dpop)
    t.match(response.json(), { code: 'dpop_proof_invalid', status: 401 }, title)
    t.match(response.headers['www-authenticate'], /DPoP realm="keyturn", error="invalid_dpop_proof"/, title)
  }
  for (const token of ['', 'x', 'a.b.c', '"', 'a b']) {
    const response = await me(w, 'DPoP', token, myProof(w, token))
    t.match(response.json(), { code: 'token_invalid', status: 401 }, `token ${token}`)
  }
})

t.test('a proof is for one request: not for another path, another method, or the same once more', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const { access_token } = await bindingLogin(w, key)
  const dpop = myProof(w, access_token)
  t.equal((await me(w, 'DPoP', access_token, dpop, '/v1/sessions')).statusCode, 401)
  const headers = { authorization: `DPoP ${access_token}`, dpop }
  t.equal((await w.app.inject({ method: 'HEAD', url: '/v1/me', headers })).statusCode, 401)
  t.equal((await me(w, 'DPoP', access_token, dpop, '/v1/me?x=1')).statusCode, 200)
  for (const app of [w.app, replica]) {
    const again = await app.inject({ url: '/v1/me', headers })
    t.match(again.json(), { code: 'dpop_proof_invalid', status: 401 })
  }
})

t.test('of twenty requests with one proof at two replicas one gets through', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const { access_token } = await bindingLogin(w, key)
  await w.warm()
  const headers = { authorization: `DPoP ${access_token}`, dpop: myProof(w, access_token) }
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? w.app : replica).inject({ url: '/v1/me', headers }))
  )
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, ...Array.from({ length: 19 }, () => 401)])
})

t.test('a token that is over spends no proof', async (t) => {
  const w = await world(t)
  const { access_token, refresh_token } = await bindingLogin(w, key)
  await w.post('/v1/logout', { refresh_token })
  await w.app.revocations.read()
  const before = (await w.app.db.selectFrom('used_identifier').selectAll().execute()).length
  const response = await me(w, 'DPoP', access_token, myProof(w, access_token))
  t.match(response.json(), { code: 'token_revoked', status: 401 })
  t.match(response.headers['www-authenticate'], /DPoP realm="keyturn", error="invalid_token"/)
  t.equal((await w.app.db.selectFrom('used_identifier').selectAll().execute()).length, before)
})

t.test('a confirmation that is not a thumbprint makes no token that is good for anybody', async (t) => {
  const w = await world(t)
  const forger = await workshop(w)
  for (const cnf of [{}, null, { jkt: '' }, { jkt: 'x' }, { 'x5t#S256': key.jkt }, { jkt: key.jkt, more: 1 }]) {
    const token = forger.ours({ cnf })
    const title = JSON.stringify(cnf)
    t.match((await me(w, 'Bearer', token)).json(), { code: 'token_invalid' }, title)
    t.match((await me(w, 'DPoP', token, myProof(w, token))).json(), { code: 'token_invalid' }, title)
  }
})

t.test('where nonces are required, a guarded route asks for one in its challenge', async (t) => {
  const w = await world(t, (options) => ({ ...options, dpop: { nonce: 'required' } }))
  const username = await w.account()
  const login = async (nonce?: string) => {
    const dpop = proofFor(w, key, { path: '/v1/login', ...(nonce === undefined ? {} : { nonce }) })
    return await w.post('/v1/login', { username, password: goodPassword }, { dpop })
  }
  const nonce = (await login()).headers['dpop-nonce'] as string
  const { access_token } = (await login(nonce)).json()
  const sent = await me(w, 'DPoP', access_token, myProof(w, access_token))
  t.match(sent.json(), { code: 'dpop_nonce_required', status: 401 })
  t.match(sent.headers, { 'dpop-nonce': nonce, 'cache-control': 'no-store' })
  t.match(sent.headers['www-authenticate'], /DPoP realm="keyturn", error="use_dpop_nonce"/)
  t.equal((await me(w, 'DPoP', access_token, myProof(w, access_token, key, { nonce }))).statusCode, 200)
})

t.test('what a requirement asks for is told in the words of the scheme by which the request came', async (t) => {
  const w = await world(t)
  const { access_token: accessToken } = await bindingLogin(w, key)
  const dpop = proofFor(w, key, { method: 'GET', path: '/v1/admin/users', accessToken })
  const response = await me(w, 'DPoP', accessToken, dpop, '/v1/admin/users')
  t.match(response.json(), { code: 'permission_denied' })
  t.equal(response.headers['www-authenticate'], `DPoP realm="keyturn", error="insufficient_scope", ${algs}`)
})

t.test('a route of one’s own sees the key, and a route without access tokens knows no DPoP', async (t) => {
  const w = await world(t, undefined, async (app) => {
    await app.register(guard)
    app.get('/key', async ({ principal }) => ({ jkt: principal.jkt }))
    app.get('/token', { config: { authenticators: ['token'] } }, async () => ({}))
  })
  const username = await w.account()
  const { access_token: accessToken } = await bindingLogin(w, key, username)
  const ask = (path: string) => me(w, 'DPoP', accessToken, proofFor(w, key, { method: 'GET', path, accessToken }), path)
  t.same((await ask('/key')).json(), { jkt: key.jkt })
  t.same((await w.get('/key', (await w.login(username)).access_token)).json(), { jkt: null })
  t.match((await ask('/token')).json(), { code: 'authentication_required' })
})

const form = { 'content-type': 'application/x-www-form-urlencoded' }

t.test('introspection says what a token is bound to, and may itself be asked with a proof', async (t) => {
  const w = await world(t)
  await w.role('introspector', ['keyturn.introspect'])
  const asker = await w.app.flows.createAccount({ username: 'asker', password: goodPassword, roles: ['introspector'] })
  const { access_token: accessToken } = await bindingLogin(w, key, asker.username)
  const path = '/oauth/introspect'
  const ask = (token: string, dpop: string | undefined = proofFor(w, key, { path, accessToken })) =>
    w.app.inject({
      method: 'POST',
      url: path,
      headers: { ...form, authorization: `DPoP ${accessToken}`, ...(dpop === '' ? {} : { dpop }) },
      payload: new URLSearchParams({ token }).toString()
    })
  const answer = (await ask(accessToken)).json()
  t.match(answer, { active: true, token_type: 'DPoP', sub: asker.id })
  t.strictSame(answer.cnf, { jkt: key.jkt })
  const free = (await ask((await w.login(asker.username)).access_token)).json()
  t.match(free, { active: true, token_type: 'Bearer' })
  t.notOk('cnf' in free)
  const refused = await ask(accessToken, '')
  t.equal(refused.statusCode, 401)
  t.match(refused.json(), { error: 'invalid_dpop_proof', error_description: String })
})

t.test('at Django’s endpoints nothing is bound, and what is bound counts for nothing', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const dpop = proofFor(w, key, { path: '/api/token/' })
  const pair = (await w.post('/api/token/', { username, password: goodPassword }, { dpop })).json()
  t.notOk('cnf' in JSON.parse(atob(pair.access.split('.')[1]!)), 'a proof binds nothing there')
  t.equal((await w.post('/api/token/', { username, password: goodPassword }, { dpop: 'garbage' })).statusCode, 200)

  for (const rotate of [false, true]) {
    const app = await w.replica((options) => ({ ...options, drf: { ...options.drf!, rotate } }))
    const { access_token, refresh_token } = await bindingLogin(w, key, username)
    const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
    for (const url of ['/api/token/refresh/', '/auth/jwt/refresh/']) {
      const refused = await post(url, { refresh: refresh_token })
      t.equal(refused.statusCode, 401)
      t.match(refused.json(), { code: 'token_not_valid', detail: 'Token is invalid' }, `${url} ${rotate}`)
    }
    t.equal((await post('/api/token/verify/', { token: access_token })).statusCode, 401)
    for (const scheme of ['Bearer', 'DPoP']) {
      const headers = { authorization: `${scheme} ${access_token}` }
      t.equal((await app.inject({ url: '/auth/users/me/', headers })).statusCode, 401, scheme)
    }
    t.match(
      await w.app.db
        .selectFrom('session')
        .select(['generation', 'ended_because'])
        .where('dpop_jkt', 'is not', null)
        .execute(),
      [{ generation: '0', ended_because: null }],
      'and the session is as it was'
    )
    t.equal((await post('/api/token/blacklist/', { refresh: refresh_token })).statusCode, 200, 'but for leaving')
    await w.app.db.deleteFrom('session').execute()
  }
})
