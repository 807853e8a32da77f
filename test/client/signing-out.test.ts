import t from 'tap'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { moment } from '../support/moment.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

/** localStorage for the file's tests, which run one after the other. */
const stored = new Map<string, string>()
Object.assign(globalThis, {
  localStorage: {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key)
  }
})

async function signedIn(t: Parameters<typeof browserWorld>[0]) {
  stored.clear()
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const tab = browser.tab()
  const username = await w.account()
  await tab.client.login({ username, password: goodPassword })
  return { w, browser, tab, username }
}

t.test('a sign-out holds at once, and a refresh that is under way does not undo it', async (t) => {
  const { w, browser, tab } = await signedIn(t)
  const token = (await tab.client.getAccessToken())!
  const held = w.front.hold('/v1/refresh')
  const refreshing = tab.client.getAccessToken({ forceRefresh: true })
  await held.arrived
  const leaving = tab.client.logout()
  t.match(tab.client.state, { status: 'anonymous', reason: 'user' }, 'before anything was sent')
  held.release()
  t.equal(await refreshing, null)
  t.same(await leaving, { serverConfirmed: true })
  t.match(tab.client.state, { status: 'anonymous', reason: 'user' })
  t.equal(browser.hasRefreshToken, false, 'the answer came first, and left no cookie behind')
  t.ok(await until(async () => (await w.get('/v1/me', token)).statusCode === 401))
  t.equal(tab.signOuts(), 1)
})

t.test('a refresh that never ends keeps no sign-out from being sent', async (t) => {
  const { w, tab } = await signedIn(t)
  const held = w.front.hold('/v1/refresh')
  const refreshing = tab.client.getAccessToken({ forceRefresh: true })
  await held.arrived
  const leaving = tab.client.logout()
  t.equal(w.front.count('/v1/logout'), 0)
  tab.clock.pass(3_000)
  t.same(await leaving, { serverConfirmed: true })
  held.release()
  t.equal(await refreshing, null)
})

t.test('a page that waits for its turn asks for nothing any more once somebody signs out in it', async (t) => {
  const { w, browser } = await signedIn(t)
  const turn = moment()
  const locks = {
    // Another tab has it until its turn comes.
    request: async (_name: string, { ifAvailable }: LockOptions, run: (lock: unknown) => unknown) => {
      if (ifAvailable) return run(null)
      await turn.there
      return run({})
    }
  }
  const former = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true })
  t.teardown(() => {
    Reflect.deleteProperty(globalThis, 'navigator')
    if (former) Object.defineProperty(globalThis, 'navigator', former)
  })
  const { client, clock } = browser.tab()
  const restoring = client.ready()
  const leaving = client.logout()
  turn.come()
  await new Promise((resolve) => setImmediate(resolve))
  // The time in which it would hear of a token that another tab got.
  clock.pass(100)
  t.same(await leaving, { serverConfirmed: true })
  await restoring
  t.equal(w.front.count('/v1/refresh'), 0, 'its answer would bring a cookie back')
  t.equal(browser.hasRefreshToken, false)
})

t.test('a sign-out without network is sent when there is one, also by the page that is loaded next', async (t) => {
  const { w, browser, tab } = await signedIn(t)
  const token = (await tab.client.getAccessToken())!
  w.front.break({ kind: 'unheard' })
  t.same(await tab.client.logout(), { serverConfirmed: false })
  t.match(tab.client.state, { status: 'anonymous', reason: 'user' })
  const unconfirmed = tab.events.find((event) => event.type === 'signout_unconfirmed')
  t.ok(unconfirmed)
  t.equal(await unconfirmed!.retry(), false)
  tab.client.dispose()
  t.equal((await w.get('/v1/me', token)).statusCode, 200, 'the service does not know')

  const next = browser.tab()
  t.match(await next.client.ready(), { status: 'anonymous', reason: 'user' }, 'still offline, and no way back in')
  w.front.mend()
  const refreshes = w.front.count('/v1/refresh')
  const last = browser.tab()
  t.match(await last.client.ready(), { status: 'anonymous', reason: 'user' })
  t.ok(await until(() => stored.size === 0))
  t.equal(w.front.count('/v1/refresh'), refreshes, 'nobody asked for tokens meanwhile')
  t.ok(await until(async () => (await w.get('/v1/me', token)).statusCode === 401))
  t.equal(browser.hasRefreshToken, false)
})

t.test('a page of a captive network confirms no sign-out', async (t) => {
  const { w, tab } = await signedIn(t)
  const token = (await tab.client.getAccessToken())!
  w.front.break({ kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome' })
  t.same(await tab.client.logout(), { serverConfirmed: false })
  w.front.mend()
  tab.clock.pass(1_000)
  t.ok(await until(async () => (await w.get('/v1/me', token)).statusCode === 401))
})

t.test('a sign-out is tried again by itself, with patience', async (t) => {
  const { w, tab } = await signedIn(t)
  w.front.break({ kind: 'answer', status: 503, headers: { 'retry-after': '30' } })
  t.same(await tab.client.logout({ everywhere: true }), { serverConfirmed: false })
  tab.clock.pass(29_000)
  t.equal(w.front.count('/v1/logout/all'), 1)
  w.front.mend()
  tab.clock.pass(3_000)
  t.ok(await until(() => stored.size === 0))
  t.equal(w.front.count('/v1/logout/all'), 2)
})

t.test(
  'a sign-out that waits ends the former session before the next one begins, and never the next one',
  async (t) => {
    const { w, browser, tab, username } = await signedIn(t)
    const token = (await tab.client.getAccessToken())!
    w.front.once('/v1/logout', { kind: 'unheard' })
    await tab.client.logout()
    t.match(await tab.client.login({ username, password: goodPassword }), { ok: true })
    t.ok(await until(async () => (await w.get('/v1/me', token)).statusCode === 401))
    tab.clock.pass(60_000)
    t.ok(await tab.client.getAccessToken({ forceRefresh: true }))

    // The cookie of the former session is overwritten before the service could be told: its access token ends it.
    const second = (await tab.client.getAccessToken())!
    w.front.once('/v1/logout', { kind: 'unheard' })
    w.front.once('/v1/logout', { kind: 'unheard' })
    await tab.client.logout()
    t.match(await tab.client.login({ username, password: goodPassword }), { ok: true })
    t.ok(await until(async () => (await w.get('/v1/me', second)).statusCode === 401))
    tab.clock.pass(60_000)
    t.ok(await tab.client.getAccessToken({ forceRefresh: true }))
    t.ok(await browser.tab().client.getAccessToken())
  }
)

t.test('whoever signs out while a sign-in is under way is signed out, and no session is left behind', async (t) => {
  const { w, browser, tab, username } = await signedIn(t)
  await tab.client.logout()
  const held = w.front.hold('/v1/login')
  const login = tab.client.login({ username, password: goodPassword })
  await held.arrived
  await tab.client.logout()
  held.release()
  t.match(await login, { ok: false, problem: { code: 'superseded' } })
  t.match(tab.client.state, { status: 'anonymous', reason: 'user' })
  t.ok(await until(() => !browser.hasRefreshToken))
  const { sessions } = (await w.get('/v1/sessions', (await w.login(username)).access_token)).json()
  t.equal(sessions.length, 1, 'only the one that asks')
})

t.test('a late word of another tab brings nobody back in', async (t) => {
  const { browser, tab } = await signedIn(t)
  const other = browser.tab()
  await other.client.ready()
  const late = browser.messages.findLast((message) => (message as { kind: string }).kind === 'tokens')
  const messages: Array<(message: unknown) => void> = []
  const subscribe = (listener: (message: unknown) => void) => {
    messages.push(listener)
    return () => {}
  }
  const eager = browser.tab({ tabSync: { post() {}, subscribe } })
  await eager.client.ready()
  await eager.client.logout()
  for (const hear of messages) hear(late)
  t.match(eager.client.state, { status: 'anonymous', reason: 'user' })
  t.equal(await eager.client.getAccessToken(), null)
  for (const garbage of [null, 1, 'tokens', {}, [], { kind: 'tokens' }, { kind: 'other' }]) {
    for (const hear of messages) hear(garbage)
  }
  t.equal(eager.client.state.status, 'anonymous')
  t.equal(tab.client.state.status, 'authenticated', 'which hears nothing of it in this test')
})

t.test('a sign-out in another tab beats a refresh of this one', async (t) => {
  const { w, browser, tab } = await signedIn(t)
  const other = browser.tab()
  await other.client.ready()
  const held = w.front.hold('/v1/refresh')
  const refreshing = other.client.getAccessToken({ forceRefresh: true })
  await held.arrived
  await tab.client.logout()
  t.ok(await until(() => other.client.state.status === 'anonymous'))
  held.release()
  t.equal(await refreshing, null)
  t.match(other.client.state, { status: 'anonymous', reason: 'other_tab' })

  // Loaded while the session was alive, and answered after it was over.
  await tab.client.login({ username: await w.account(), password: goodPassword })
  const slow = w.front.hold('/v1/refresh')
  const loading = browser.tab()
  const ready = loading.client.ready()
  await slow.arrived
  await tab.client.logout()
  await new Promise((resolve) => setImmediate(resolve))
  slow.release()
  t.match(await ready, { status: 'anonymous', reason: 'other_tab' })
})

t.test('without storage, too, a sign-out that waits does not end the session of whoever signs in next', async (t) => {
  const { w, browser, tab, username } = await signedIn(t)
  const storage = globalThis.localStorage
  Reflect.deleteProperty(globalThis, 'localStorage')
  t.teardown(() => Object.assign(globalThis, { localStorage: storage }))
  const other = browser.tab()
  await other.client.ready()
  w.front.once('/v1/logout', { kind: 'unheard' })
  t.same(await tab.client.logout(), { serverConfirmed: false })
  t.ok(await until(() => other.client.state.status === 'anonymous'))
  await other.client.login({ username, password: goodPassword })
  t.ok(await until(() => tab.client.state.status === 'authenticated'))
  tab.clock.pass(60_000)
  t.ok(await tab.client.getAccessToken({ forceRefresh: true }))
  t.equal(w.front.count('/v1/logout'), 1)
})
