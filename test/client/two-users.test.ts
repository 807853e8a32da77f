import t from 'tap'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('one browser is one user: a sign-in in one tab is told in the other as a change of users', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const [ada, bob] = [await w.account(), await w.account()]
  const [one, two] = [browser.tab(), browser.tab()]
  await one.client.login({ username: ada, password: goodPassword })
  await two.client.ready()
  await two.client.login({ username: bob, password: goodPassword })
  t.ok(await until(() => one.events.filter(({ type }) => type === 'signed_in').length === 2))
  t.match(one.client.state, { status: 'authenticated', user: { username: bob } })
  t.same(
    one.events.slice(-4).map(({ type }) => type),
    ['state', 'signed_out', 'state', 'signed_in'],
    'whoever clears what belongs to a user at a sign-out has cleared it'
  )
  for (const { client } of [one, two]) {
    await client.getAccessToken({ forceRefresh: true })
    t.match(client.state, { user: { username: bob } })
  }
})

t.test('what one user’s session answers late does not become the other’s', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const [ada, bob] = [await w.account(), await w.account()]
  const [one, two] = [browser.tab(), browser.tab()]
  await one.client.login({ username: ada, password: goodPassword })
  await two.client.ready()
  const held = w.front.hold('/v1/refresh')
  const late = one.client.getAccessToken({ forceRefresh: true })
  await held.arrived
  await two.client.login({ username: bob, password: goodPassword })
  t.ok(await until(() => one.client.state.status === 'authenticated' && one.client.state.user.username === bob))
  held.release()
  const token = await late
  t.match(one.client.state, { user: { username: bob } })
  t.equal(token, await two.client.getAccessToken(), 'whoever waited gets the token of who is there now')
})

t.test('a request of one user is not sent again as the other', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const [ada, bob] = [await w.account(), await w.account()]
  const [one, two] = [browser.tab(), browser.tab()]
  await one.client.login({ username: ada, password: goodPassword })
  await two.client.ready()
  const held = w.front.hold('/v1/sessions')
  // Ended under way, so that what it is sent with is refused.
  const request = one.client.fetch(`${w.front.url}/v1/sessions`, { credentials: 'omit' })
  await held.arrived
  held.release()
  t.equal((await request).status, 200)

  const session = (await one.client.getAccessToken())!
  await w.post('/v1/logout', {}, { authorization: `Bearer ${session}` })
  t.ok(await until(async () => (await w.get('/v1/me', session)).statusCode === 401))
  const slow = w.front.hold('/v1/sessions')
  const refused = one.client.fetch(`${w.front.url}/v1/sessions`, { credentials: 'omit' })
  await slow.arrived
  await two.client.login({ username: bob, password: goodPassword })
  t.ok(await until(() => one.client.state.status === 'authenticated' && one.client.state.user.username === bob))
  slow.release()
  t.equal((await refused).status, 401)
  const sent = w.front.requests.filter(({ path }) => path === '/v1/sessions')
  t.equal(sent.length, 2, 'once each')
  t.equal(sent[1]!.headers.authorization, `Bearer ${session}`)
})

t.test('without a channel a tab learns at its next refresh who is signed in', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const [ada, bob] = [await w.account(), await w.account()]
  const [one, two] = [browser.tab({ tabSync: false }), browser.tab({ tabSync: false })]
  await one.client.login({ username: ada, password: goodPassword })
  await two.client.ready()
  await two.client.login({ username: bob, password: goodPassword })
  t.match(one.client.state, { user: { username: ada } })
  await one.client.getAccessToken({ forceRefresh: true })
  t.match(one.client.state, { user: { username: bob } })
  t.equal(one.signOuts(), 1)
})
