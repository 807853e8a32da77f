import t from 'tap'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { goodPassword } from '../support/world.js'

const hour = 3_600_000

t.test('lost responses cost nobody the session', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab()
  await login(page, await w.account(), goodPassword)
  for (let round = 0; round < 5; round++) {
    w.front.once('/v1/refresh', { kind: 'lost' })
    t.ok(await refresh(page))
  }
  // Also where the page is gone before it could ask again.
  w.front.once('/v1/refresh', { kind: 'lost' })
  w.front.once('/v1/refresh', { kind: 'lost' })
  await refresh(page).catch(() => {})
  await page.reload()
  await becomes(page, 'authenticated')
  t.same(await w.signOuts(), [])
})

t.test('offline is unreachable, and online is back at once', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab()
  const username = await w.account()
  await login(page, username, goodPassword)
  for (let round = 0; round < 3; round++) {
    await w.context.setOffline(true)
    await t.rejects(refresh(page), /AuthUnreachableError/)
    t.equal(await status(page), 'authenticated', 'the token is good')
    await page.evaluate((ms) => {
      window.ahead += ms
    }, hour)
    await t.rejects(refresh(page), /AuthUnreachableError/)
    t.equal(await status(page), 'unreachable')
    t.equal(await page.evaluate(() => auth.state.status === 'unreachable' && auth.state.user?.username), username)
    await w.context.setOffline(false)
    await becomes(page, 'authenticated')
  }
  t.same(await w.signOuts(), [])
})

t.test(
  'a service that is away for a while costs no session: 503, a proxy’s pages, nothing',
  needsChromium,
  async (t) => {
    const w = await chromiumWorld(t)
    const page = await w.tab()
    await login(page, await w.account(), goodPassword)
    const html = { 'content-type': 'text/html' }
    for (const fault of [
      { kind: 'answer', status: 503, headers: { 'retry-after': '1' } },
      { kind: 'answer', status: 502, headers: html, body: '<h1>Bad Gateway</h1>' },
      { kind: 'answer', status: 200, headers: html, body: '<h1>Welcome to the train</h1>' },
      { kind: 'answer', status: 302, headers: { location: '/elsewhere' } },
      { kind: 'unheard' }
    ] as const) {
      w.front.break(fault)
      await page.reload()
      await becomes(page, 'unreachable')
      w.front.mend()
      await becomes(page, 'authenticated')
    }
    t.same(await w.signOuts(), [])
  }
)

t.test('a clock that is an hour off, or is set in the middle, changes nothing', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const username = await w.account()
  for (const ahead of [hour, -hour]) {
    const page = await w.tab({ ahead })
    await login(page, username, goodPassword)
    const before = w.front.count('/v1/refresh')
    for (let request = 0; request < 5; request++) {
      t.equal(await page.evaluate(async () => (await auth.fetch('/v1/me', { credentials: 'omit' })).status), 200)
    }
    t.equal(w.front.count('/v1/refresh'), before)
    const skew = await page.evaluate(() => events.flatMap((one) => (one.type === 'clock_skew' ? [one.skewMs] : [])))
    t.ok(skew.length === 1 && Math.abs(skew[0]! + ahead) < 10_000)
    await page.evaluate((ms) => {
      window.ahead -= ms
    }, ahead)
    t.ok(await page.evaluate(() => auth.getAccessToken()))
    t.ok(await refresh(page))
    t.equal(await status(page), 'authenticated')
    await page.close()
  }
  t.same(await w.signOuts(), [])
})
