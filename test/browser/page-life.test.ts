import t from 'tap'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { goodPassword } from '../support/world.js'

t.test('a page out of the back/forward cache looks who is signed in by now', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const [ada, bob] = [await w.account(), await w.account()]
  const page = await w.tab()
  await login(page, ada, goodPassword)
  // A page that is restored is not loaded.
  const back = () => page.goBack({ waitUntil: 'commit' })
  await page.evaluate(() => {
    document.title = 'the same page'
  })
  const restored = async () => (await page.title()) === 'the same page'
  const user = () => page.evaluate(() => ('user' in auth.state ? auth.state.user?.username : undefined))

  await page.goto(`${w.front.url}/elsewhere`)
  const before = w.front.count('/v1/refresh')
  await back()
  t.ok(await restored(), 'it is the same page, and not a new one')
  await page.waitForFunction(() => window.events.some((event) => event.type === 'refreshed'))
  t.equal(w.front.count('/v1/refresh'), before + 1)
  t.equal(await status(page), 'authenticated')

  const other = await w.tab()
  await page.goto(`${w.front.url}/elsewhere`)
  await login(other, bob, goodPassword)
  await back()
  t.ok(await restored())
  await page.waitForFunction((name) => 'user' in auth.state && auth.state.user?.username === name, bob)
  t.ok(await refresh(other))
  t.equal(await user(), bob, 'and it hears the other tabs again')

  await page.goto(`${w.front.url}/elsewhere`)
  w.front.break({ kind: 'answer', status: 503 })
  await back()
  t.equal(await status(page), 'authenticated', 'nobody can say otherwise')
  w.front.mend()
  t.same(
    (await w.signOuts()).filter((reason) => reason !== 'other_tab'),
    []
  )

  await page.goto(`${w.front.url}/elsewhere`)
  await other.evaluate(() => auth.logout())
  await back()
  await becomes(page, 'anonymous')
})

t.test('a tab that nobody looks at asks for nothing, and at once when somebody does', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab({ lazy: true, tabSync: false })
  await login(page, await w.account(), goodPassword)
  const show = (visibility: string) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { value, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }, visibility)
  await show('hidden')
  await page.evaluate(() => {
    window.ahead += 3_600_000
  })
  const before = w.front.count('/v1/refresh')
  await show('hidden')
  t.equal(w.front.count('/v1/refresh'), before)
  await show('visible')
  await page.waitForFunction(() => window.events.some((event) => event.type === 'refreshed'))
  t.equal(w.front.count('/v1/refresh'), before + 1)
})

t.test('React in StrictMode: everything runs twice, and the session is restored once', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  await w.serve('strict-mode')
  const username = await w.account()
  const page = await w.context.newPage()
  const text = (wanted: string) =>
    page.waitForFunction((expected) => document.querySelector('p')?.textContent === expected, wanted)
  await page.goto(`${w.front.url}/strict-mode`)
  await text('anonymous nobody false')
  await login(page, username, goodPassword)
  await text(`authenticated ${username} false`)
  const before = w.front.count('/v1/refresh')
  await page.reload()
  await text(`authenticated ${username} false`)
  t.equal(w.front.count('/v1/refresh'), before + 1, 'one request, though it mounted twice')
  t.ok(await page.evaluate(() => window.isOneClient), 'one client, though it was made twice')
  const renders = await page.evaluate(() => window.renders)
  for (let round = 0; round < 5; round++) await refresh(page)
  t.equal(await page.evaluate(() => window.renders), renders, 'a refresh renders nothing anew')
  t.same(await w.signOuts(), [])
})
