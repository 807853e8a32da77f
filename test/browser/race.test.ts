import t from 'tap'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { goodPassword } from '../support/world.js'

const rounds = 20

/** Refreshes, again where a token was overtaken on its way by two newer ones: that is a 503 that says so, and no sign-out. */
async function refreshSooner(page: Parameters<typeof refresh>[0]): Promise<string | null> {
  for (;;) {
    const outcome = await refresh(page).catch((error: Error) => error)
    if (!(outcome instanceof Error)) return outcome
    if (!/AuthUnreachableError: service_unavailable/.test(outcome.message)) throw outcome
    await page.waitForTimeout(100)
  }
}

for (const [how, prepare, options] of [
  ['with locks and a channel', '', {}],
  ['without a channel', '', { tabSync: false }],
  ['without locks', 'Object.defineProperty(navigator, "locks", { value: undefined })', {}],
  ['with neither', 'Object.defineProperty(navigator, "locks", { value: undefined })', { tabSync: false }]
] as const) {
  t.test(`three tabs refresh together, ${rounds} times, ${how}: nobody is signed out`, needsChromium, async (t) => {
    const w = await chromiumWorld(t)
    if (prepare) await w.context.addInitScript(prepare)
    const first = await w.tab(options)
    await login(first, await w.account(), goodPassword)
    const tabs = [first, await w.tab(options), await w.tab(options)]
    const before = w.front.count('/v1/refresh')
    for (let round = 0; round < rounds; round++) {
      const tokens = await Promise.all(tabs.map(refreshSooner))
      t.ok(tokens.every(Boolean))
    }
    t.same(await Promise.all(tabs.map(status)), ['authenticated', 'authenticated', 'authenticated'])
    t.same(await w.signOuts(), [])
    const requests = w.front.count('/v1/refresh') - before
    t.comment(`${requests} requests for ${3 * rounds} wishes`)
    if (how === 'with locks and a channel') t.ok(requests < 2 * rounds, 'one refresh is for all, but for chance')
  })
}

t.test('a tab that sleeps with the lock holds nobody up', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  await w.context.clock.install()
  const [sleeping, awake] = [await w.tab(), await w.tab()]
  await login(awake, await w.account(), goodPassword)
  await becomes(sleeping, 'authenticated')
  await sleeping.evaluate(() => {
    const name = `keyturn:${location.origin}:web`
    return new Promise<void>((taken) => {
      void navigator.locks.request(name, () => new Promise(() => taken()))
    })
  })
  const waiting = refresh(awake)
  await awake.waitForFunction(async () => (await navigator.locks.query()).pending?.length === 1)
  t.equal(w.front.count('/v1/refresh'), 2, 'those of the loads')
  await w.context.clock.fastForward(3_000)
  t.ok(await waiting)
  t.same(await w.signOuts(), [])
})

t.test('a tab that is closed in the middle of a refresh takes nobody along', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const [closing, staying] = [await w.tab(), await w.tab()]
  await login(closing, await w.account(), goodPassword)
  await becomes(staying, 'authenticated')
  const held = w.front.hold('/v1/refresh')
  void refresh(closing).catch(() => {})
  await held.arrived
  const waiting = refresh(staying)
  await closing.close()
  t.ok(await waiting)
  held.release()
  t.ok(await refresh(staying))
  t.equal(await status(await w.tab()), 'authenticated')
  t.same(await w.signOuts(), [])
})
