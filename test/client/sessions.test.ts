import t from 'tap'
import { accountOf } from '../../packages/client/src/account.js'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('a page restores its session from the cookie, and a page without one is anonymous', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const username = await w.account()
  const first = browser.tab()
  t.same(await first.client.ready(), { status: 'anonymous', reason: 'never_signed_in' })
  t.equal(await first.client.getAccessToken(), null)
  t.same(first.logs, [], 'which is nothing to log')
  const signedIn = await first.client.login({ username, password: goodPassword })
  t.match(signedIn, { ok: true, data: { username, roles: [] } })

  const second = browser.tab()
  const state = await second.client.ready()
  t.match(state, { status: 'authenticated', user: { username }, session: { amr: ['pwd'] } })
  t.equal(second.client.ready(), second.client.ready(), 'one promise')
  t.equal(second.client.state, state, 'and one state')
  const token = await second.client.getAccessToken()
  t.equal((await w.get('/v1/me', token!)).statusCode, 200)
})

t.test('a refused sign-in is a value with the code of its problem, and changes nothing', async (t) => {
  const w = await browserWorld(t)
  const { client, events } = new FakeBrowser(w, t).tab()
  await client.ready()
  const before = events.length
  const username = await w.account()
  t.match(await client.login({ username, password: 'wrong' }), {
    ok: false,
    problem: { code: 'invalid_credentials', status: 401 }
  })
  t.match(await client.login({ username: '', password: '' }), { ok: false, problem: { code: 'validation_failed' } })
  t.match(await accountOf(client).reauthenticate({ password: goodPassword }), {
    ok: false,
    problem: { code: 'not_signed_in' }
  })
  w.front.once('/v1/login', { kind: 'answer', status: 502, body: '<html>Bad Gateway</html>' })
  t.match(await client.login({ username, password: goodPassword }), { problem: { code: 'bad_response', status: 502 } })
  w.front.once('/v1/login', { kind: 'unheard' })
  t.match(await client.login({ username, password: goodPassword }), { problem: { code: 'network_error' } })
  const signal = AbortSignal.abort()
  t.match(await client.login({ username, password: goodPassword, signal }), { problem: { code: 'aborted' } })
  t.equal(events.length, before)
})

t.test('a request that is not answered in time ends as a timeout', async (t) => {
  const w = await browserWorld(t)
  const { client, clock } = new FakeBrowser(w, t).tab({ requestTimeoutMs: 5_000 })
  await client.ready()
  const held = w.front.hold('/v1/login')
  const login = client.login({ username: await w.account(), password: goodPassword })
  await held.arrived
  clock.pass(5_000)
  t.match(await login, { ok: false, problem: { code: 'timeout' } })
  held.release()
})

t.test('tabs hear of a sign-in and of a sign-out in another one', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const [one, two] = [browser.tab(), browser.tab()]
  await Promise.all([one.client.ready(), two.client.ready()])
  await one.client.login({ username: await w.account(), password: goodPassword })
  t.ok(await until(() => two.client.state.status === 'authenticated'))
  t.match(
    two.events.find(({ type }) => type === 'signed_in'),
    { via: 'other_tab' }
  )
  t.equal(await two.client.getAccessToken(), await one.client.getAccessToken(), 'they share the access token')
  t.equal(w.front.count('/v1/refresh'), 2, 'and each asked once, when it was loaded')

  t.same(await two.client.logout(), { serverConfirmed: true })
  t.ok(await until(() => one.client.state.status === 'anonymous'))
  t.match(one.client.state, { reason: 'other_tab' })
  t.match(two.client.state, { reason: 'user' })
  t.equal(browser.cookies.size, 0)
})

t.test('a state and its user stay the same objects over refreshes; roles that change are told', async (t) => {
  const w = await browserWorld(t)
  const { client, events } = new FakeBrowser(w, t).tab()
  const username = await w.account()
  await client.login({ username, password: goodPassword })
  const before = client.state
  await client.getAccessToken({ forceRefresh: true })
  t.equal(client.state, before)
  t.equal(events.filter(({ type }) => type === 'refreshed').length, 1)

  await w.role('editor', ['articles.write'])
  const { id } = await w.app.flows.findUser(username)
  await w.app.flows.setUserRoles(id, ['editor'])
  await client.getAccessToken({ forceRefresh: true })
  t.match(client.state, { user: { roles: ['editor'], permissions: ['articles.write'] } })
  t.match(events.at(-1), { type: 'refreshed' })
  t.match(events.at(-2), { type: 'state', previous: { user: { roles: [] } } })
})

t.test('signing in again takes the place of the former session, which ends', async (t) => {
  const w = await browserWorld(t)
  const { client, signOuts } = new FakeBrowser(w, t).tab()
  const username = await w.account()
  await client.login({ username, password: goodPassword })
  const account = accountOf(client)
  t.match(await account.reauthenticate({ password: goodPassword }), { ok: true })
  const isAlone = async () => {
    const devices = await account.sessions()
    return devices.ok && devices.data.length === 1 && devices.data[0]!.current
  }
  t.ok(await until(isAlone))
  t.equal(client.state.status, 'authenticated')
  t.equal(signOuts(), 1, 'the former one is told as over')
})

t.test('the account: register, profile, devices, a new password', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const { client } = browser.tab()
  await client.ready()
  const account = accountOf(client)
  t.match(await account.profile(), { ok: false, problem: { code: 'not_signed_in' } })
  t.match(await account.register({ username: 'ada', password: 'short' }), { problem: { code: 'validation_failed' } })
  t.match(await account.register({ username: 'ada', password: goodPassword }), { ok: true, data: { username: 'ada' } })
  t.equal(client.state.status, 'anonymous', 'that is no sign-in')
  await client.login({ username: 'ada', password: goodPassword })
  const other = await w.login('ada')
  t.match(await account.profile(), { ok: true, data: { username: 'ada' } })
  const devices = await account.sessions()
  t.ok(devices.ok)
  if (!devices.ok) return
  t.equal(devices.data.length, 2)
  const foreign = devices.data.find(({ current }) => !current)!
  t.match(await account.revokeSession(foreign.id), { ok: true })
  t.match(await account.revokeSession(foreign.id), { problem: { code: 'not_found' } })
  t.equal((await w.refresh(other.refresh_token)).statusCode, 401)
  t.match(await account.changePassword({ current: 'wrong', next: `${goodPassword} 2` }), {
    problem: { code: 'password_incorrect' }
  })
  t.match(await account.changePassword({ current: goodPassword, next: `${goodPassword} 2` }), { ok: true })
  t.equal(await client.getAccessToken({ forceRefresh: true }).then(Boolean), true, 'the session goes on')
  w.front.once('/v1/sessions', { kind: 'answer', status: 200, body: '<html>Welcome</html>' })
  t.match(await account.sessions(), { problem: { code: 'bad_response' } })
})

t.test('a client that was let go keeps the session, and begins again with ready()', async (t) => {
  const w = await browserWorld(t)
  const { client, events, signOuts } = new FakeBrowser(w, t).tab()
  await client.login({ username: await w.account(), password: goodPassword })
  for (let mount = 0; mount < 3; mount++) {
    await client.ready()
    client.dispose()
  }
  t.equal(client.state.status, 'authenticated')
  t.equal(await client.getAccessToken().then(Boolean), true)
  t.equal(w.front.count('/v1/refresh'), 0, 'and nothing was asked for')
  t.equal(events.filter(({ type }) => type === 'state').length, 1)
  t.equal(signOuts(), 0)
})

t.test('a listener that throws or calls back in spoils nothing', async (t) => {
  const w = await browserWorld(t)
  const { client, events, logs } = new FakeBrowser(w, t).tab()
  const order: string[] = []
  client.on(({ type }) => {
    order.push(type)
    throw new Error('a defect of the page')
  })
  client.on(({ type }) => {
    if (type === 'signed_in') void client.logout()
  })
  client.subscribe(() => {
    throw new Error('another one')
  })
  await client.ready()
  await client.login({ username: await w.account(), password: goodPassword })
  t.equal(client.state.status, 'anonymous')
  t.same(order, ['state', 'state', 'signed_in', 'state', 'signed_out'], 'in order, and each told whole')
  t.same(
    events.map(({ type }) => type),
    order
  )
  t.ok(logs.every(({ code }) => code === 'listener_failed'))
})
