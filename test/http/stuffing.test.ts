import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import type { AppOptions } from '../../src/app.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const minute = 60_000

const watching =
  (limit: number | null = 3) =>
  (options: AppOptions): AppOptions => ({
    ...options,
    trustedProxies: ['127.0.0.1'],
    authenticators: { order: ['bearer', 'basic'], custom: [] },
    flows: { ...options.flows, stuffing: { limit: limit === null ? null : { max: limit, window: minute } } }
  })
const watched = (t: Test, limit?: number | null) => world(t, watching(limit))

let people = 0
const stranger = () => `nobody-${people++}`

const login = (
  w: Pick<World, 'app'>,
  address: string,
  username = stranger(),
  password = 'wrong horse battery',
  cookie?: string
) =>
  w.app.inject({
    method: 'POST',
    url: '/v1/login',
    headers: { ...fromOwnPage, 'x-forwarded-for': address, ...(cookie === undefined ? {} : { cookie }) },
    payload: { username, password, ...(cookie === undefined ? {} : { refresh_transport: 'cookie' }) }
  })

const codeOf = (response: LightMyRequestResponse) => (response.statusCode === 200 ? 'good' : response.json().code)

/** Tries so many accounts, each from an address of its own in 203.0.113.0/24. */
async function stuff(w: Pick<World, 'app'>, accounts: number): Promise<void> {
  for (let n = 0; n < accounts; n++) {
    const code = codeOf(await login(w, `203.0.113.${n + 1}`))
    if (code !== 'invalid_credentials') throw new Error(`${code} after ${n}`)
  }
}

/** What the log tells of attacks. */
const seen = (w: World) =>
  w.logs
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ event }) => event === 'stuffing.seen')
    .map(({ range, failed, succeeded }) => ({ range, failed, succeeded }))

t.test('a range that tries many accounts is told of and held, whoever the next one is', async (t) => {
  const w = await watched(t)
  const username = await w.account()
  await stuff(w, 19)
  t.same(seen(w), [])
  await stuff(w, 1)
  t.same(seen(w), [{ range: '203.0.113.0/24', failed: 20, succeeded: 0 }])
  const line = w.logs.find((one) => one.includes('stuffing.seen'))
  t.notMatch(line, /nobody-|203\.0\.113\.[1-9]/, 'neither the accounts nor the addresses')

  for (let n = 0; n < 3; n++) t.equal(codeOf(await login(w, '203.0.113.77')), 'invalid_credentials', 'up to the limit')
  const [known, unknown] = [
    await login(w, '203.0.113.78', username, goodPassword),
    await login(w, '203.0.113.79', stranger(), goodPassword)
  ]
  t.match(known.json(), { status: 429, code: 'rate_limited' })
  const said = (response: LightMyRequestResponse) => ({ ...response.json(), instance: null, request_id: null })
  t.same(said(unknown), said(known), 'an account that is there is answered as one that is not')
  t.equal(unknown.headers['retry-after'], known.headers['retry-after'])
  t.equal(known.headers['retry-after'], '60')

  const basic = (name: string, address: string) =>
    w.app.inject({
      url: '/v1/me',
      headers: { authorization: `Basic ${btoa(`${name}:${goodPassword}`)}`, 'x-forwarded-for': address }
    })
  t.equal((await basic(username, '203.0.113.80')).statusCode, 429, 'also in a header')
  const form = { username, password: goodPassword }
  const django = (url: string) => w.post(url, form, { 'x-forwarded-for': '203.0.113.81' })
  for (const url of ['/api-token-auth/', '/api/token/']) t.equal((await django(url)).statusCode, 429, url)
  t.equal(codeOf(await login(w, '198.51.100.1', username, goodPassword)), 'good', 'and nobody elsewhere')

  w.wait(minute)
  t.equal(codeOf(await login(w, '203.0.113.78', username, goodPassword)), 'good', 'the next minute has its own')
  w.wait(59 * minute)
  for (let n = 0; n < 6; n++) t.equal(codeOf(await login(w, '203.0.113.78', username, goodPassword)), 'good', 'it ends')
})

t.test('no password is looked at for what is held', async (t) => {
  const w = await watched(t)
  await stuff(w, 23)
  const before = w.logs.filter((line) => line.includes('login.failed')).length
  for (let n = 0; n < 3; n++) t.equal(codeOf(await login(w, '203.0.113.1')), 'rate_limited')
  t.equal(w.logs.filter((line) => line.includes('login.failed')).length, before)
})

t.test('a device in which somebody has signed in to the account is not held with its range', async (t) => {
  const w = await watched(t)
  const [mine, another] = [await w.account(), await w.account()]
  const first = await login(w, '203.0.113.1', mine, goodPassword, '')
  const { name, value } = first.cookies.find((one) => one.name === '__Host-Http-device')!
  await stuff(w, 23)
  const cookie = `${name}=${value}`
  t.equal(codeOf(await login(w, '203.0.113.1', mine, goodPassword, cookie)), 'good')
  t.equal(codeOf(await login(w, '203.0.113.1', another, goodPassword, cookie)), 'rate_limited', 'to another it is none')
  t.equal(codeOf(await login(w, '203.0.113.1', mine, goodPassword, `${name}=garbage`)), 'rate_limited')
})

t.test('a big NAT, with many accounts of which a few fail, is never held', async (t) => {
  const w = await watched(t)
  for (let n = 0; n < 30; n++) {
    const username = await w.account()
    if (n % 2 === 0) await login(w, `203.0.113.${n}`, username)
    t.equal(codeOf(await login(w, `203.0.113.${n}`, username, goodPassword)), 'good')
  }
  for (let n = 0; n < 15; n++) t.equal(codeOf(await login(w, '203.0.113.99')), 'invalid_credentials')
  t.same(seen(w), [], 'thirty failed, and thirty came in')
})

t.test('one account that fails again and again is no attack on many', async (t) => {
  const w = await world(t, (options) => {
    const changed = watching()(options)
    return { ...changed, flows: { ...changed.flows, guessing: { free: 50, max: 100 } } }
  })
  const username = await w.account()
  for (let n = 0; n < 30; n++) t.equal(codeOf(await login(w, '203.0.113.1', username)), 'invalid_credentials')
  await stuff(w, 18)
  t.same(seen(w), [])
})

t.test('where it comes from everywhere all is told of, and each range needs less to be held', async (t) => {
  const w = await watched(t)
  for (let n = 0; n < 100; n++) await login(w, `10.0.${n}.1`)
  t.same(seen(w), [{ range: 'everywhere', failed: 100, succeeded: 0 }])
  t.equal(codeOf(await login(w, '10.0.7.1')), 'invalid_credentials')
  for (let n = 0; n < 3; n++) await login(w, '10.0.7.1')
  t.match(seen(w)[1], { range: '10.0.7.0/24', failed: 5 })
})

t.test('replicas see together what comes to each of them', async (t) => {
  const w = await watched(t)
  const other = await w.replica(watching())
  await stuff(w, 10)
  await w.app.rateLimits.share()
  await stuff({ app: other }, 1)
  await other.rateLimits.share()
  t.same(seen(w), [])
  await stuff({ app: other }, 9)
  t.match(seen(w), [{ range: '203.0.113.0/24', failed: 20 }])
  const rows = await w.app.db.selectFrom('rate_window').selectAll().execute()
  t.ok(rows.length < 10, 'no row for each account')
})

t.test('with the limit off it is told of alone, and where nobody looks not even that', async (t) => {
  const w = await watched(t, null)
  await stuff(w, 25)
  t.equal(seen(w).length, 1)
  const blind = await world(t, (options) => ({ ...options, trustedProxies: ['127.0.0.1'] }))
  await stuff(blind, 25)
  t.same(seen(blind), [])
})
