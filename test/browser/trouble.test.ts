import t from 'tap'
import type { SessionInfo } from '../../packages/client/src/index.js'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { until } from '../support/until.js'
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

t.test('503 for a minute: the page says so, asks a few times, and goes on by itself', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const { clock } = w.context
  await clock.install()
  const page = await w.tab()
  const username = await w.account()
  await login(page, username, goodPassword)
  const { session } = (await page.evaluate(() => auth.state)) as { session: SessionInfo }
  await clock.pauseAt((await page.evaluate(() => Date.now())) + 1_000)
  const pass = async (milliseconds: number) => {
    w.wait(milliseconds)
    await clock.fastForward(milliseconds)
    // The page's clock stands now, and the network does not: what was asked for is answered before time goes on.
    await until(() => page.evaluate(() => auth.state.status !== 'unreachable' || auth.state.retryAt > Date.now()))
  }
  const html = { 'content-type': 'text/html' }
  const patience = { 'retry-after': '60' }
  // Without a word of the service: at once, and after 1, 2, 4, 8, 16 and 32 s, each less up to a half.
  for (const [what, headers, least, most] of [
    ['no more than that', {}, 5, 7],
    ['Retry-After', patience, 1, 1],
    ['the page of a proxy', html, 5, 7],
    ['the page of a proxy with Retry-After', { ...html, ...patience }, 1, 1]
  ] as const) {
    const [before, told] = [w.front.requests.length, await page.evaluate(() => events.length)]
    w.front.break({ kind: 'answer', status: 503, headers, body: '<h1>Service Temporarily Unavailable</h1>' })
    await pass(11 * 60_000)
    await becomes(page, 'unreachable')
    const clicks = new Set<unknown>()
    for (let second = 1; second < 60; second++) {
      await pass(1_000)
      clicks.add(
        await page.evaluate(() => auth.fetch('/v1/me', { credentials: 'omit' }).catch((error: Error) => error.name))
      )
    }
    t.same([...clicks], ['AuthUnreachableError'], `${what}: whatever somebody clicks on meanwhile`)
    t.match(await page.evaluate(() => auth.state), { status: 'unreachable', user: { username }, session })
    const asked = w.front.requests.length - before
    t.ok(asked >= least && asked <= most, `${what}: asked ${asked} times in that minute`)
    w.front.mend()
    for (let second = 0; second < 61 && (await status(page)) === 'unreachable'; second++) await pass(1_000)
    t.match(await page.evaluate(() => auth.state), { status: 'authenticated', user: { username }, session })
    const states = await page.evaluate(
      (from) => events.slice(from).flatMap((one) => (one.type === 'state' ? [one.state.status] : [])),
      told
    )
    t.same([...new Set(states)], ['unreachable', 'authenticated'], 'and was never anything else')
    t.equal(await page.evaluate(async () => (await auth.fetch('/v1/me', { credentials: 'omit' })).status), 200)
  }
  t.same(await w.signOuts(), [])
})

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
