import t from 'tap'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

const isOver = (w: { get(path: string, token: string): Promise<{ statusCode: number }> }, token: string) =>
  until(async () => (await w.get('/v1/me', token)).statusCode === 401)

t.test('a sign-out while a refresh is in flight is the last word', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const [page, other] = [await w.tab(), await w.tab()]
  await login(page, await w.account(), goodPassword)
  await becomes(other, 'authenticated')
  const token = (await page.evaluate(() => auth.getAccessToken()))!
  const held = w.front.hold('/v1/refresh')
  const refreshing = refresh(page)
  await held.arrived
  const leaving = page.evaluate(() => auth.logout())
  await becomes(page, 'anonymous')
  await becomes(other, 'anonymous')
  held.release()
  t.equal(await refreshing, null)
  t.same(await leaving, { serverConfirmed: true })
  t.ok(await isOver(w, token))
  const left = (await w.context.cookies()).map(({ name }) => name)
  t.same(left, ['keyturn-device'], 'which opens nothing')
  for (const one of [page, other]) {
    await one.reload()
    await becomes(one, 'anonymous')
  }
})

t.test('a sign-out while offline is sent by the page that is loaded next', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab()
  const username = await w.account()
  await login(page, username, goodPassword)
  const token = (await page.evaluate(() => auth.getAccessToken()))!
  w.front.break({ kind: 'unheard' })
  t.same(await page.evaluate(() => auth.logout()), { serverConfirmed: false })
  t.equal(await status(page), 'anonymous')
  t.equal(await status(await w.tab()), 'anonymous', 'another tab does not bring it back')
  for (const one of w.context.pages()) await one.close()
  t.equal((await w.get('/v1/me', token)).statusCode, 200, 'the service does not know yet')
  w.front.mend()
  const next = await w.tab()
  t.equal(await status(next), 'anonymous')
  t.ok(await isOver(w, token))
  await login(next, username, goodPassword)
  t.ok(await refresh(next), 'and whoever signs in then stays')
})

t.test('a page that is left with its sign-out is signed out', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab()
  await login(page, await w.account(), goodPassword)
  const token = (await page.evaluate(() => auth.getAccessToken()))!
  const slow = w.front.delay('/v1/logout')
  await page.evaluate(() => void auth.logout())
  await slow.arrived
  await page.close()
  // Once another page is there, the first one's requests are given up.
  await (await w.context.newPage()).goto(`${w.front.url}/elsewhere`)
  slow.release()
  t.ok(await isOver(w, token))
})

t.test('two users in two tabs: the last one to sign in is signed in, in both', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const [ada, bob] = [await w.account(), await w.account()]
  const [one, two] = [await w.tab(), await w.tab()]
  const user = (page: typeof one) => page.evaluate(() => ('user' in auth.state ? auth.state.user?.username : undefined))
  await login(one, ada, goodPassword)
  await becomes(two, 'authenticated')
  for (const name of [bob, ada, bob]) {
    const held = w.front.hold('/v1/refresh')
    const late = refresh(one)
    await held.arrived
    const signingIn = login(two, name, goodPassword)
    held.release()
    await Promise.all([late, signingIn])
    await one.waitForFunction((wanted) => 'user' in auth.state && auth.state.user?.username === wanted, name)
    for (const page of [one, two]) {
      t.ok(await refresh(page))
      t.equal(await user(page), name)
    }
    await two.reload()
    await becomes(two, 'authenticated')
    t.equal(await user(two), name, 'as the cookie says')
  }
  t.same(
    (await w.signOuts()).filter((reason) => reason !== 'other_tab'),
    []
  )
})
