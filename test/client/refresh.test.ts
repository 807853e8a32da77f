import t from 'tap'
import { backoff } from '../../packages/client/src/clock.js'
import { AuthUnreachableError } from '../../packages/client/src/index.js'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

const minute = 60_000

async function signedIn(t: Parameters<typeof browserWorld>[0]) {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const tab = browser.tab()
  await tab.client.login({ username: await w.account(), password: goodPassword })
  return { w, browser, tab }
}

t.test('whoever asks while a refresh is under way gets the same one', async (t) => {
  const { w, tab } = await signedIn(t)
  const tokens = await Promise.all(Array.from({ length: 20 }, () => tab.client.getAccessToken({ forceRefresh: true })))
  t.equal(new Set(tokens).size, 1)
  t.equal(w.front.count('/v1/refresh'), 1)
  w.front.break({ kind: 'answer', status: 503 })
  await Promise.allSettled(Array.from({ length: 20 }, () => tab.client.getAccessToken({ forceRefresh: true })))
  t.equal(w.front.count('/v1/refresh'), 2, 'also of one that fails')
})

t.test('a response that was lost costs one more request, and nobody notices', async (t) => {
  const { w, tab } = await signedIn(t)
  for (let round = 0; round < 5; round++) {
    w.front.once('/v1/refresh', { kind: 'lost' })
    t.ok(await tab.client.getAccessToken({ forceRefresh: true }))
  }
  t.equal(w.front.count('/v1/refresh'), 10)
  t.equal(tab.signOuts(), 0)
  t.equal(tab.client.state.status, 'authenticated')
})

t.test('the next token is asked for after four fifths of the life, give or take a tenth', async (t) => {
  const { w, tab } = await signedIn(t)
  tab.clock.pass(0.7 * 10 * minute * 0.95)
  t.equal(w.front.count('/v1/refresh'), 0)
  tab.clock.pass(2.5 * minute)
  t.ok(await until(() => tab.events.some(({ type }) => type === 'refreshed')))
  t.equal(w.front.count('/v1/refresh'), 1)
  t.match(
    tab.events.find(({ type }) => type === 'refreshed'),
    { by: 'this_tab' }
  )
})

t.test('a refresh in one tab is one for all, and each knows the token’s age', async (t) => {
  const { w, browser, tab } = await signedIn(t)
  const others = [browser.tab(), browser.tab()]
  for (const { client } of others) await client.ready()
  const before = w.front.count('/v1/refresh')
  const token = await tab.client.getAccessToken({ forceRefresh: true })
  for (const { client } of others) t.ok(await until(async () => (await client.getAccessToken()) === token))
  t.equal(w.front.count('/v1/refresh'), before + 1)
  t.ok(others.every(({ events }) => events.some((event) => event.type === 'refreshed' && event.by === 'other_tab')))
  // The wall clock, which the tabs share, says how old it is.
  const [late] = others
  late!.clock.sleep(11 * minute)
  t.not(await late!.client.getAccessToken(), token)
})

t.test('a token ends by whichever clock went further, and a clock that is set costs nobody the session', async (t) => {
  const { w, tab } = await signedIn(t)
  const { client, clock } = tab
  let last = await client.getAccessToken()
  const next = async (what: string, isNew: boolean) => {
    const token = await client.getAccessToken()
    t.equal(token !== last, isNew, what)
    t.equal((await w.get('/v1/me', token!)).statusCode, 200)
    last = token
  }
  await next('it is good', false)
  clock.sleep(60 * minute)
  await next('the machine slept for an hour: the monotonic clock stood still', true)
  clock.set(-60 * minute)
  await next('the clock is put back an hour', false)
  clock.pass(11 * minute)
  await next('and the time that passes counts all the same', true)
  clock.set(60 * minute)
  await next('the clock is put forward an hour: one refresh too many', true)
  await next('and one alone', false)
  t.equal(tab.signOuts(), 0)
})

t.test('a clock that is wrong is told, and changes nothing else', async (t) => {
  const w = await browserWorld(t)
  const tab = new FakeBrowser(w, t).tab()
  tab.clock.set(-60 * minute)
  await tab.client.login({ username: await w.account(), password: goodPassword })
  const told = tab.events.flatMap((event) => (event.type === 'clock_skew' ? [event.skewMs] : []))
  t.equal(told.length, 1)
  t.ok(Math.abs(told[0]! - 60 * minute) < 5_000)
  await tab.client.getAccessToken({ forceRefresh: true })
  t.equal(w.front.count('/v1/refresh'), 1)
  t.match(tab.client.state, { status: 'authenticated' })
})

t.test('whoever gives up waiting gives up alone', async (t) => {
  const { w, tab } = await signedIn(t)
  const held = w.front.hold('/v1/refresh')
  const hurry = new AbortController()
  const patient = tab.client.getAccessToken({ forceRefresh: true })
  const hurried = tab.client.getAccessToken({ forceRefresh: true, signal: hurry.signal })
  await held.arrived
  hurry.abort(new Error('no time'))
  await t.rejects(hurried, { message: 'no time' })
  held.release()
  t.ok(await patient)
})

t.test('whoever holds the lock, or refuses it, keeps no refresh waiting', async (t) => {
  const { w, tab } = await signedIn(t)
  const held = w.front.hold('/v1/login')
  const signingIn = tab.client.login({ username: await w.account(), password: goodPassword })
  await held.arrived
  const refreshing = tab.client.getAccessToken({ forceRefresh: true })
  await new Promise((resolve) => setImmediate(resolve))
  tab.clock.pass(2_900)
  t.equal(w.front.count('/v1/refresh'), 0)
  tab.clock.pass(100)
  await new Promise((resolve) => setImmediate(resolve))
  // The time in which it would hear of a token that another tab got.
  tab.clock.pass(100)
  t.ok(await refreshing)
  t.match(tab.logs, [{ code: 'lock_passed' }])
  held.release()
  t.match(await signingIn, { ok: true })

  // As in a frame without an origin.
  const former = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  const locks = { request: () => Promise.reject(new DOMException('denied', 'SecurityError')) }
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true })
  t.teardown(() => {
    Reflect.deleteProperty(globalThis, 'navigator')
    if (former) Object.defineProperty(globalThis, 'navigator', former)
  })
  const framed = new FakeBrowser(w, t).tab()
  t.match(await framed.client.login({ username: await w.account(), password: goodPassword }), { ok: true })
  const next = framed.client.getAccessToken({ forceRefresh: true })
  await new Promise((resolve) => setImmediate(resolve))
  framed.clock.pass(100)
  t.ok(await next)
})

t.test('a token that must be good for longer than tokens live is the newest there is', async (t) => {
  const { w, tab } = await signedIn(t)
  t.ok(await tab.client.getAccessToken({ minValidityMs: 60 * minute }))
  t.equal(w.front.count('/v1/refresh'), 1)
})

t.test('a refresh token that nobody holds ends the session; a lost race does not', async (t) => {
  const { w, browser, tab } = await signedIn(t)
  const stale = new Map(browser.cookies)
  await tab.client.getAccessToken({ forceRefresh: true })
  for (const [name, value] of stale) browser.cookies.set(name, value)
  t.ok(await tab.client.getAccessToken({ forceRefresh: true }), 'the one before, as after a lost race')
  await tab.client.getAccessToken({ forceRefresh: true })
  for (const [name, value] of stale) browser.cookies.set(name, value)
  t.equal(await tab.client.getAccessToken({ forceRefresh: true }), null, 'one of long ago')
  t.match(tab.client.state, { status: 'anonymous', reason: 'reuse_detected' })
  browser.cookies.clear()
  const fresh = browser.tab()
  await fresh.client.login({ username: await w.account(), password: goodPassword })
  browser.cookies.clear()
  t.equal(await fresh.client.getAccessToken({ forceRefresh: true }), null, 'no cookie any more')
  t.match(fresh.client.state, { status: 'anonymous', reason: 'expired' })
})

t.test('with the service away a good token goes on being used, and then the session is unreachable', async (t) => {
  const { w, tab } = await signedIn(t)
  const { client, clock } = tab
  const token = await client.getAccessToken()
  w.front.break({ kind: 'answer', status: 503, headers: { 'retry-after': '20' } })
  clock.pass(9.2 * minute)
  t.ok(await until(() => tab.logs.some(({ code }) => code === 'refresh_failed')))
  t.equal(client.state.status, 'authenticated')
  t.equal(await client.getAccessToken(), token)
  clock.pass(minute)
  t.ok(await until(() => client.state.status === 'unreachable'))
  t.match(client.state, { user: { username: /./ }, session: { amr: ['pwd'] } })
  t.ok(await until(() => tab.logs.filter(({ code }) => code === 'refresh_failed').length === 2))
  const asked = w.front.count('/v1/refresh')
  await t.rejects(client.getAccessToken(), AuthUnreachableError)
  await t.rejects(client.getAccessToken({ forceRefresh: true }), AuthUnreachableError)
  t.equal(w.front.count('/v1/refresh'), asked, 'the service asked for patience')
  w.front.mend()
  clock.pass(21_000)
  t.ok(await until(() => client.state.status === 'authenticated'))
  t.equal(tab.signOuts(), 0)
})

t.test('a page that is loaded while the service is away comes to its session when it is back', async (t) => {
  const { w, browser } = await signedIn(t)
  w.front.break({ kind: 'unheard' })
  const late = browser.tab()
  t.match(await late.client.ready(), { status: 'unreachable', user: null, session: null })
  await t.rejects(late.client.getAccessToken(), AuthUnreachableError)
  w.front.mend()
  late.clock.pass(2_000)
  t.ok(await until(() => late.client.state.status === 'authenticated'))
  t.match(late.events.at(-1), { type: 'signed_in', via: 'restore' })
})

t.test('chance keeps tabs that began together apart: the next token, and what is tried again', async (t) => {
  const { random } = Math
  t.teardown(() => Object.assign(Math, { random }))
  for (const [chance, early, late, wait] of [
    [0, 6.7, 7.3, 1_000],
    [0.999, 8.2, 8.9, 500.5]
  ] as const) {
    Math.random = () => chance
    const { w, browser, tab } = await signedIn(t)
    tab.clock.pass(early * minute)
    t.equal(w.front.count('/v1/refresh'), 0, `${chance}: not yet`)
    tab.clock.pass((late - early) * minute)
    t.ok(await until(() => tab.events.some(({ type }) => type === 'refreshed')), `${chance}: by now`)
    w.front.break({ kind: 'answer', status: 503 })
    const other = browser.tab()
    const state = await other.client.ready()
    t.equal(state.status === 'unreachable' && state.retryAt - other.clock.wall(), wait)
    await tab.client.logout()
    tab.clock.pass(wait - 1)
    t.equal(w.front.count('/v1/logout'), 1)
    tab.clock.pass(1)
    t.ok(await until(() => w.front.count('/v1/logout') === 2))
  }
})

t.test('the waits after failures double up to a minute, and what the service asks for counts up to five', async (t) => {
  const waits = (random: number) => [1, 2, 3, 6, 7, 60].map((failures) => backoff(failures, undefined, random))
  t.same(waits(0), [1_000, 2_000, 4_000, 32_000, 60_000, 60_000])
  t.same(waits(1), [500, 1_000, 2_000, 16_000, 30_000, 30_000], 'less up to a half by chance')
  t.equal(backoff(1, 0, 0), 0)
  t.equal(backoff(9, 7, 0.5), 7_500)
  t.equal(backoff(1, 86_400, 0), 300_000, 'a wrong header keeps nobody away for a day')
})
