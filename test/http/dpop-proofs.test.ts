import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { bindingLogin, clientKey, garbageProofs, proofFor, provenRefresh } from '../support/dpop.js'
import { listening } from '../support/raw-http.js'
import { goodPassword, issuer, type World, world } from '../support/world.js'

const key = clientKey()

const spent = async (w: World) => (await w.app.db.selectFrom('used_identifier').selectAll().execute()).length

t.test('whatever is no proof for this request is refused before the database is asked', async (t) => {
  const w = await world(t)
  const { refresh_token } = await bindingLogin(w, key)
  await w.app.db.destroy()
  const bodies: Record<string, object> = {
    '/v1/login': { username: 'ada', password: goodPassword },
    '/v1/refresh': { refresh_token }
  }
  for (const [url, payload] of Object.entries(bodies)) {
    for (const [title, dpop] of garbageProofs(w, key, { path: url })) {
      const headers = { dpop } as Record<string, string>
      const response = await w.app.inject({ method: 'POST', url, payload, headers })
      t.equal(response.statusCode, 400, `${url}: ${title}`)
      t.match(response.json(), { code: 'dpop_proof_invalid', detail: String }, `${url}: ${title}`)
      t.equal(response.headers['cache-control'], 'no-store')
    }
  }
})

t.test('an answer to a proof tells the time by which proofs are judged', async (t) => {
  const w = await world(t)
  const dpop = proofFor(w, key, { path: '/v1/login' }, { iat: 1 })
  const response = await w.post('/v1/login', { username: 'ada', password: goodPassword }, { dpop })
  t.match(response.json(), { code: 'dpop_proof_invalid' })
  t.equal(response.headers.date, 'Tue, 01 Jan 2030 12:00:00 GMT')
})

t.test('what is in a proof is not repeated', async (t) => {
  const w = await world(t)
  const dpop = proofFor(w, key, { path: '/v1/login' }, { htu: 'https://marker.test/', jti: 'marker-marker-marker' })
  const response = await w.post('/v1/login', { username: 'ada', password: goodPassword }, { dpop })
  t.equal(response.statusCode, 400)
  t.notMatch(response.body, /marker/)
  t.notOk(w.logs.some((line) => line.includes('marker')))
})

t.test('the address is the configured one, whatever a request says of itself', async (t) => {
  const w = await world(t)
  const raw = await listening(w.app)
  const username = await w.account()
  const body = JSON.stringify({ username, password: goodPassword })
  const login = async (htu: string, line = 'POST /v1/login', headers: string[] = []) => {
    const dpop = proofFor(w, key, { path: '/v1/login' }, { htu })
    return (await raw(line, ['content-type: application/json', `dpop: ${dpop}`, ...headers], body)).status
  }
  const lies = ['x-forwarded-host: evil.test', 'x-forwarded-proto: http', 'forwarded: host=evil.test;proto=http']
  t.equal(await login(`${issuer}/v1/login`, 'POST /v1/login', lies), 200)
  t.equal(await login(`${issuer}/v1/login`, 'POST /v1/login?x=1'), 200, 'a query is no part of it')
  for (const htu of ['https://evil.test/v1/login', 'http://evil.test/v1/login', 'http://auth.test/v1/login']) {
    t.equal(await login(htu, 'POST /v1/login', lies), 400, htu)
  }
  // A request line with a whole address: joined to ours it would be one of a host whose name begins like ours.
  const whole = 'POST http://evil.test/v1/login'
  for (const htu of [`${issuer}http://evil.test/v1/login`, `${issuer}/v1/login`, 'http://evil.test/v1/login']) {
    t.equal(await login(htu, whole), 400, `${whole}: ${htu}`)
  }
})

t.test('behind a proxy that takes a path off, the path is a part of the address', async (t) => {
  const w = await world(t, (options) => ({ ...options, issuer: 'https://example.test/auth' }))
  const username = await w.account()
  const login = async (htu: string) => {
    const dpop = proofFor(w, key, { path: '' }, { htu })
    return (await w.post('/v1/login', { username, password: goodPassword }, { dpop })).statusCode
  }
  t.equal(await login('https://example.test/auth/v1/login'), 200)
  t.equal(await login('https://example.test/v1/login'), 400)
})

t.test('where nonces are required, a client is handed one, and its proofs then count', async (t) => {
  const w = await world(t, (options) => ({ ...options, dpop: { nonce: 'required' } }))
  const replica = await w.replica((options) => ({ ...options, dpop: { nonce: 'required' } }))
  const username = await w.account()
  const login = (nonce?: string, app = w.app) => {
    const dpop = proofFor(w, key, { path: '/v1/login', ...(nonce === undefined ? {} : { nonce }) })
    const payload = { username, password: goodPassword }
    return app.inject({ method: 'POST', url: '/v1/login', payload, headers: { dpop } })
  }
  const nonceOf = (response: LightMyRequestResponse) => response.headers['dpop-nonce'] as string

  const sent = await login()
  t.match(sent.json(), { code: 'dpop_nonce_required', status: 400 })
  t.match(sent.headers, { 'cache-control': 'no-store', 'dpop-nonce': /^[A-Za-z0-9_-]{43}$/ })
  const done = await login(nonceOf(sent), replica)
  t.equal(done.statusCode, 200, 'at another replica as well')
  t.equal(nonceOf(done), nonceOf(sent), 'an answer to a proof carries the next')
  t.equal(await spent(w), 1, 'and the proof without one was not spent')

  w.wait(60_000)
  t.equal((await login(nonceOf(sent))).statusCode, 200, 'the one before the current one counts')
  t.not(nonceOf(await login(nonceOf(sent))), nonceOf(sent), 'and brings the current one')
  w.wait(60_000)
  const stale = await login(nonceOf(sent))
  t.match(stale.json(), { code: 'dpop_nonce_required' })
  t.equal((await login(nonceOf(stale))).statusCode, 200)
  for (const forged of ['', 'x', 'A'.repeat(43)]) {
    t.match((await login(forged)).json(), { code: 'dpop_nonce_required' }, forged)
  }

  const { refresh_token } = done.json()
  const refresh = await provenRefresh(w, key, refresh_token)
  t.match(refresh.json(), { code: 'dpop_nonce_required', status: 400 })
  const dpop = proofFor(w, key, { path: '/v1/refresh', nonce: nonceOf(refresh) })
  t.equal((await w.post('/v1/refresh', { refresh_token }, { dpop })).statusCode, 200)

  t.equal((await w.post('/v1/login', { username, password: goodPassword })).headers['dpop-nonce'], undefined)
  const cached = await w.app.inject({ url: '/.well-known/jwks.json', headers: { dpop: 'x' } })
  t.equal(cached.headers['dpop-nonce'], undefined, 'never on what a cache may keep')
})

t.test('a client that has to be sent for a nonce has not tried a password', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    dpop: { nonce: 'required' },
    rateLimits: { ...options.rateLimits, signIn: { max: 1, window: 60_000 } }
  }))
  const username = await w.account()
  const login = (nonce: object) => {
    const dpop = proofFor(w, key, { path: '/v1/login', ...nonce })
    return w.post('/v1/login', { username, password: goodPassword }, { dpop })
  }
  const sent = await login({})
  t.equal((await login({ nonce: sent.headers['dpop-nonce'] as string })).statusCode, 200)
})

t.test('without nonces none is asked for and none is given', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const dpop = proofFor(w, key, { path: '/v1/login', nonce: 'of another server' })
  const response = await w.post('/v1/login', { username, password: goodPassword }, { dpop })
  t.equal(response.statusCode, 200)
  t.equal(response.headers['dpop-nonce'], undefined)
})

t.test('a page of an allowed origin may send proofs, and reads the nonce and the time', async (t) => {
  const w = await world(t)
  const preflight = await w.app.inject({
    method: 'OPTIONS',
    url: '/v1/login',
    headers: {
      origin: 'https://app.test',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,dpop'
    }
  })
  t.match(preflight.headers['access-control-allow-headers'], /\bdpop\b/)
  const answer = await w.app.inject({ url: '/livez', headers: { origin: 'https://app.test' } })
  t.match(answer.headers['access-control-expose-headers'], /\bdate\b.*\bdpop-nonce\b/)
})

t.test('the nonces of another master key are not ours', async (t) => {
  const w = await world(t, (options) => ({ ...options, dpop: { nonce: 'required' } }))
  const stranger = await world(t, (options) => ({
    ...options,
    dpop: { nonce: 'required' },
    masterKey: Buffer.alloc(32, 'another master key')
  }))
  const ask = (one: World, nonce: object = {}) => {
    const dpop = proofFor(w, key, { path: '/v1/login', ...nonce })
    return one.post('/v1/login', { username: 'nobody', password: goodPassword }, { dpop })
  }
  const theirs = (await ask(stranger)).headers['dpop-nonce'] as string
  t.match((await ask(w, { nonce: theirs })).json(), { code: 'dpop_nonce_required' })
  t.match((await ask(stranger, { nonce: theirs })).json(), { code: 'invalid_credentials' })
})
