import t, { type Test } from 'tap'
import * as rotations from '../../src/storage/rotations.js'
import { type BoundTokens, bindingLogin, clientKey, freshJti, proofFor, provenRefresh } from '../support/dpop.js'
import { countingLink } from '../support/query-count.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const key = clientKey()
const other = clientKey()
const hour = 3_600_000
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())

const rows = (w: World) => w.app.db.selectFrom('session').select(['generation', 'ended_because', 'dpop_jkt']).execute()
const spent = async (w: World) => (await w.app.db.selectFrom('used_identifier').selectAll().execute()).length

t.test('a sign-in with a proof binds the session to its key, and one without does not', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const bound = await bindingLogin(w, key, username)
  t.equal(bound.token_type, 'DPoP')
  t.strictSame(claimsOf(bound.access_token).cnf, { jkt: key.jkt })
  t.match(await rows(w), [{ dpop_jkt: key.jkt }])

  const free = (await w.login(username)) as BoundTokens
  t.equal(free.token_type, 'Bearer')
  t.notOk('cnf' in claimsOf(free.access_token))
})

t.test('a refresh of a bound session goes by its key, and the next tokens are bound as well', async (t) => {
  const w = await world(t)
  const first = await bindingLogin(w, key)
  const response = await provenRefresh(w, key, first.refresh_token)
  t.equal(response.statusCode, 200)
  const next: BoundTokens = response.json()
  t.equal(next.token_type, 'DPoP')
  t.strictSame(claimsOf(next.access_token).cnf, { jkt: key.jkt })
  t.equal((await provenRefresh(w, key, next.refresh_token)).statusCode, 200)
})

t.test('without the key a refresh token neither refreshes nor ends anything', async (t) => {
  const w = await world(t)
  const first = await bindingLogin(w, key)
  const refused = async (refreshToken: string, title: string) => {
    for (const by of [other, null]) {
      const response = await provenRefresh(w, by, refreshToken)
      t.match(response.json(), { code: 'dpop_key_required', status: 401 }, title)
      t.match(response.headers['www-authenticate'], /^DPoP realm="keyturn", algs="ES256 Ed25519 EdDSA RS256 PS256"$/)
    }
  }
  await refused(first.refresh_token, 'the current one')
  t.match(await rows(w), [{ generation: '0', ended_because: null }])

  const second: BoundTokens = (await provenRefresh(w, key, first.refresh_token)).json()
  const third: BoundTokens = (await provenRefresh(w, key, second.refresh_token)).json()
  await refused(third.refresh_token, 'the current one, later')
  await refused(second.refresh_token, 'the predecessor, which is good for a replay')
  await refused(first.refresh_token, 'one of long ago, which would end the session')
  t.match(await rows(w), [{ generation: '2', ended_because: null }])
  t.equal((await provenRefresh(w, key, third.refresh_token)).statusCode, 200, 'and its owner goes on')

  const stolen = await provenRefresh(w, key, first.refresh_token)
  t.match(stolen.json(), { code: 'refresh_reused' }, 'by the key itself it is what it always was')
  t.match(await rows(w), [{ ended_because: 'refresh_reused' }])
})

t.test('the statement that rotates asks for the key itself, alone and beside others', async (t) => {
  const w = await world(t)
  const keys = [key, other, clientKey()]
  const ids: string[] = []
  for (const one of keys) ids.push(claimsOf((await bindingLogin(w, one)).access_token).sid)
  ids.push(claimsOf((await w.login(await w.account())).access_token).sid)
  const asked = (at: number, jkt: string | null) => ({
    sessionId: ids[at]!,
    generation: 0,
    transport: 'body' as const,
    jkt,
    idleExpiresAt: new Date(w.now().getTime() + hour),
    now: w.now()
  })
  t.equal(await rotations.rotate(w.app.db, asked(0, other.jkt)), undefined)
  t.equal(await rotations.rotate(w.app.db, asked(0, null)), undefined)

  const rotated = await rotations.rotateMany(w.app.db, [
    asked(0, other.jkt),
    asked(1, other.jkt),
    asked(2, null),
    asked(3, key.jkt)
  ])
  t.same(rotated.map(({ session }) => session.id).sort(), [ids[1]!, ids[3]!].sort(), 'the proof of one is for no other')
  t.match(await rotations.rotate(w.app.db, asked(0, key.jkt)), { session: { generation: 1, jkt: key.jkt } })
})

t.test('a session that is not bound never becomes it: its proofs are looked at, and bind nothing', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  const response = await provenRefresh(w, key, first.refresh_token)
  t.match(response.json(), { token_type: 'Bearer' })
  t.notOk('cnf' in claimsOf(response.json().access_token))
  t.match(await rows(w), [{ dpop_jkt: null }])
  t.equal((await w.refresh(response.json().refresh_token)).statusCode, 200, 'also without one')

  const wrong = proofFor(w, key, { path: '/v1/login' })
  const refused = await w.post('/v1/refresh', { refresh_token: first.refresh_token }, { dpop: wrong })
  t.match(refused.json(), { code: 'dpop_proof_invalid', status: 400 })
})

t.test('a proof counts once, at a sign-in and at a refresh', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const username = await w.account()
  const dpop = proofFor(w, key, { path: '/v1/login' })
  const login = {
    method: 'POST',
    url: '/v1/login',
    payload: { username, password: goodPassword },
    headers: { dpop }
  } as const
  const first: BoundTokens = (await w.app.inject(login)).json()
  for (const app of [w.app, replica]) {
    t.match((await app.inject(login)).json(), { code: 'dpop_proof_invalid', status: 400 })
  }
  t.equal((await rows(w)).length, 1)

  const proof = proofFor(w, key, { path: '/v1/refresh' })
  const refresh = {
    method: 'POST',
    url: '/v1/refresh',
    payload: { refresh_token: first.refresh_token },
    headers: { dpop: proof }
  } as const
  t.equal((await w.app.inject(refresh)).statusCode, 200)
  t.match((await replica.inject(refresh)).json(), { code: 'dpop_proof_invalid', status: 400 })
  t.match(await rows(w), [{ generation: '1', ended_because: null }], 'and the session lives')

  const jti = freshJti()
  const change = { jti }
  for (const [by, title] of [
    [key, 'a fresh jti'],
    [other, 'the same jti by another key is another proof']
  ] as const) {
    const dpop = proofFor(w, by, { path: '/v1/login' }, change)
    t.equal((await w.post('/v1/login', { username, password: goodPassword }, { dpop })).statusCode, 200, title)
  }
  const again = proofFor(w, key, { path: '/v1/login' }, change)
  t.match((await w.post('/v1/login', { username, password: goodPassword }, { dpop: again })).json(), {
    code: 'dpop_proof_invalid'
  })
})

t.test('of twenty sign-ins with one proof at two replicas one begins a session', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const username = await w.account()
  await w.warm()
  const dpop = proofFor(w, key, { path: '/v1/login' })
  const payload = { username, password: goodPassword }
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      (n % 2 === 0 ? w.app : replica).inject({ method: 'POST', url: '/v1/login', payload, headers: { dpop } })
    )
  )
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, ...Array.from({ length: 19 }, () => 400)])
  t.equal((await rows(w)).length, 1)
})

t.test('an answer that was lost for hours costs a bound session nothing, unless strict is set', async (t) => {
  const w = await world(t)
  const strict = await w.replica((options) => ({
    ...options,
    flows: { ...options.flows, rotation: { ...options.flows.rotation, lostResponse: 'strict' } }
  }))
  const first = await bindingLogin(w, key)
  const lost: BoundTokens = (await provenRefresh(w, key, first.refresh_token)).json()
  w.wait(8 * hour)
  const again = await provenRefresh(w, key, first.refresh_token)
  t.equal(again.json().refresh_token, lost.refresh_token)
  t.ok(
    w.logs.some((line) => line.includes('refresh.replayed') && line.includes('"late":true')),
    'and it is recorded'
  )

  const dpop = proofFor(w, key, { path: '/v1/refresh' })
  const payload = { refresh_token: first.refresh_token }
  const refused = await strict.inject({ method: 'POST', url: '/v1/refresh', payload, headers: { dpop } })
  t.match(refused.json(), { code: 'refresh_reused' })
})

t.test('a wrong password spends no proof, and neither does a token that is not ours', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const dpop = proofFor(w, key, { path: '/v1/login' })
  t.match((await w.post('/v1/login', { username, password: 'wrong' }, { dpop })).json(), {
    code: 'invalid_credentials'
  })
  const refresh = await provenRefresh(w, key, 'ktr_garbage')
  t.match(refresh.json(), { code: 'token_invalid' })
  t.equal(await spent(w), 0)
  t.equal((await w.post('/v1/login', { username, password: goodPassword }, { dpop })).statusCode, 200)
  t.equal(await spent(w), 1)
})

async function browserLogin(t: Test, w: World) {
  const username = await w.account()
  const dpop = proofFor(w, key, { path: '/v1/login' })
  const body = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
  const login = await w.post('/v1/login', body, { ...fromOwnPage, dpop })
  t.equal(login.json().token_type, 'DPoP')
  const cookies = login.cookies as unknown as Array<{ name: string; value: string }>
  const cookie = (name: string) => `${name}=${cookies.find((one) => one.name === name)!.value}`
  return { refresh: cookie('__Host-Http-rt'), session: cookie('__Host-Http-session') }
}

t.test('in a browser the cookie and the key are both asked for; the session cookie needs no proof', async (t) => {
  const w = await world(t)
  const jar = await browserLogin(t, w)
  const refresh = (headers: object) => w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: jar.refresh, ...headers })
  t.match((await refresh({})).json(), { code: 'dpop_key_required' })
  const next = await refresh({ dpop: proofFor(w, key, { path: '/v1/refresh' }) })
  t.match(next.json(), { token_type: 'DPoP' })
  const me = await w.app.inject({ url: '/v1/me', headers: { cookie: jar.session } })
  t.match(me.json(), { authenticator: 'session' })
  const beside = await w.app.inject({ url: '/v1/me', headers: { cookie: jar.session, dpop: 'garbage' } })
  t.equal(beside.statusCode, 200, 'a proof without an access token is for nobody')
})

t.test('whoever leaves needs no key', async (t) => {
  const w = await world(t)
  for (const scheme of ['DPoP', 'Bearer', 'dpop']) {
    const { access_token, refresh_token } = await bindingLogin(w, key)
    const left = await w.post('/v1/logout', {}, { authorization: `${scheme} ${access_token}` })
    t.equal(left.statusCode, 204)
    t.match((await provenRefresh(w, key, refresh_token)).json(), { code: 'session_revoked' }, scheme)
  }
  const { refresh_token } = await bindingLogin(w, key)
  t.equal((await w.post('/v1/logout', { refresh_token })).statusCode, 204)
  t.match((await provenRefresh(w, key, refresh_token)).json(), { code: 'session_revoked' })
})

t.test('a refresh with a proof is two statements', async (t) => {
  const w = await world(t)
  const link = await countingLink(t, w.url)
  const counted = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url, poolSize: 1 },
    audit: { ...options.audit, retention: null }
  }))
  const refresh = async (refresh_token: string): Promise<BoundTokens> => {
    const headers = { dpop: proofFor(w, key, { path: '/v1/refresh' }) }
    return (await counted.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token }, headers })).json()
  }
  const first = await refresh((await bindingLogin(w, key)).refresh_token)
  const before = link.statements()
  t.match(await refresh(first.refresh_token), { token_type: 'DPoP' })
  t.equal(link.statements() - before, 2)
})

t.test('what a client may do is in the metadata', async (t) => {
  const w = await world(t)
  const { dpop_signing_alg_values_supported: algorithms } = (
    await w.get('/.well-known/oauth-authorization-server')
  ).json()
  t.same(algorithms, ['ES256', 'Ed25519', 'EdDSA', 'RS256', 'PS256'])
  for (const algorithm of algorithms) {
    const one = clientKey(algorithm)
    const { access_token } = await bindingLogin(w, one)
    t.strictSame(claimsOf(access_token).cnf, { jkt: one.jkt }, algorithm)
  }
})
