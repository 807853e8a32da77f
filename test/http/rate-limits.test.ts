import t from 'tap'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const limited = (t: Parameters<typeof world>[0], signIn: number | null, register: number | null) =>
  world(t, (options) => ({
    ...options,
    trustedProxies: ['127.0.0.1'],
    authenticators: { order: ['token', 'bearer', 'basic'], custom: [] },
    rateLimits: {
      ...options.rateLimits,
      signIn: signIn === null ? null : { max: signIn, window: 60_000 },
      register: register === null ? null : { max: register, window: 60_000 }
    }
  }))

const from = (address: string) => ({ 'x-forwarded-for': address })
const login = (w: World, username: string, password: string, address = '203.0.113.1', more: object = {}) =>
  w.post('/v1/login', { username, password, ...more }, { ...fromOwnPage, ...from(address) })
const basic = (w: World, name: string, password: string, address = '203.0.113.1') =>
  w.app.inject({ url: '/v1/me', headers: { authorization: `Basic ${btoa(`${name}:${password}`)}`, ...from(address) } })

t.test('an address that tries too often is told when to come back, also with the right password', async (t) => {
  const w = await limited(t, 3, null)
  const username = await w.account()
  for (let n = 0; n < 3; n++) t.equal((await login(w, username, 'wrong horse battery')).statusCode, 401)
  const refused = await login(w, username, goodPassword)
  t.match(refused.json(), { code: 'rate_limited', status: 429 })
  const retryAfter = Number(refused.headers['retry-after'])
  t.ok(Number.isInteger(retryAfter) && retryAfter > 0 && retryAfter <= 60, `${retryAfter}`)
  t.equal((await login(w, username, goodPassword, '203.0.113.2')).statusCode, 200, 'another address is another count')
  t.equal((await login(w, 'another', goodPassword)).statusCode, 429, 'another name is not')
})

t.test('whoever signs in without a hitch is counted as well, and by every transport', async (t) => {
  const w = await limited(t, 2, null)
  const username = await w.account()
  t.equal((await login(w, username, goodPassword)).statusCode, 200)
  t.equal((await login(w, username, goodPassword, undefined, { refresh_transport: 'cookie' })).statusCode, 200)
  t.equal((await login(w, username, goodPassword)).statusCode, 429)
})

t.test('passwords in a header are counted with those in a body', async (t) => {
  const w = await limited(t, 3, null)
  const username = await w.account()
  t.equal((await basic(w, username, 'wrong')).statusCode, 401)
  t.equal((await basic(w, username, goodPassword)).statusCode, 200)
  t.equal((await login(w, username, 'wrong')).statusCode, 401)
  for (const response of [await basic(w, username, goodPassword), await login(w, username, goodPassword)]) {
    t.match(response.json(), { code: 'rate_limited' })
    t.ok(response.headers['retry-after'])
  }
})

t.test('a count costs no password hash: what is over it is refused before', async (t) => {
  const w = await limited(t, 1, null)
  const username = await w.account()
  await login(w, username, 'wrong')
  const before = w.logs.filter((line) => line.includes('login.failed')).length
  for (let n = 0; n < 5; n++) await login(w, username, 'wrong')
  t.equal(w.logs.filter((line) => line.includes('login.failed')).length, before)
})

t.test('registrations have a count of their own', async (t) => {
  const w = await limited(t, 1, 2)
  const register = (username: string, address = '203.0.113.1') =>
    w.post('/v1/register', { username, password: goodPassword }, from(address))
  t.equal((await register('ada')).statusCode, 201)
  t.equal((await register('ada')).statusCode, 409, 'an attempt is an attempt')
  t.match((await register('bob')).json(), { code: 'rate_limited', status: 429 })
  t.equal((await register('bob', '203.0.113.2')).statusCode, 201)
  t.equal((await login(w, 'ada', goodPassword)).statusCode, 200, 'and sign-ins have another')
  t.equal((await login(w, 'ada', goodPassword)).statusCode, 429)
})

t.test('what asks for no password is not counted', async (t) => {
  const w = await limited(t, 1, 1)
  const username = (await w.app.flows.createAccount({ username: 'ada', password: goodPassword })).username
  const tokens = (await login(w, username, goodPassword)).json()
  for (let n = 0; n < 3; n++) {
    t.equal((await w.get('/v1/me', tokens.access_token)).statusCode, 200)
    t.equal((await w.get('/v1/me', 'garbage')).statusCode, 401)
  }
  t.equal((await w.refresh(tokens.refresh_token)).statusCode, 200)
  t.equal((await w.post('/v1/logout', { refresh_token: tokens.refresh_token })).statusCode, 204)
})

t.test('where it is off nobody is counted', async (t) => {
  const w = await limited(t, null, null)
  const username = await w.account()
  for (let n = 0; n < 30; n++) t.equal((await login(w, username, goodPassword)).statusCode, 200)
})

t.test('an address counts in all its spellings, and a forged one never', async (t) => {
  const w = await limited(t, 2, null)
  for (const address of ['203.0.113.9', '198.51.100.1, 203.0.113.9']) {
    t.equal((await login(w, 'nobody', 'wrong', address)).statusCode, 401)
  }
  for (const address of ['203.0.113.9', '::ffff:203.0.113.9', '192.0.2.1, 203.0.113.9']) {
    t.equal((await login(w, 'nobody', 'wrong', address)).statusCode, 429, address)
  }
})

t.test('an IPv6 network counts as one: its holder has 2^64 addresses', async (t) => {
  const w = await limited(t, 2, null)
  for (const address of ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2']) {
    t.equal((await login(w, 'nobody', 'wrong', address)).statusCode, 401)
  }
  t.equal((await login(w, 'nobody', 'wrong', '2001:db8:1:2:abcd::3')).statusCode, 429)
  t.equal((await login(w, 'nobody', 'wrong', '2001:db8:1:3::1')).statusCode, 401)
})
