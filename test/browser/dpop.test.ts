import t from 'tap'
import { becomes, chromiumWorld, login, needsChromium, refresh, status } from '../support/chromium.js'
import { goodPassword } from '../support/world.js'

t.test('a session that is bound to a key outlives reloads, tabs and wrong clocks', needsChromium, async (t) => {
  const w = await chromiumWorld(t, (options) => ({ ...options, dpop: { nonce: 'required' } }))
  const page = await w.tab({ dpop: true, ahead: 3_600_000 })
  t.match(await login(page, await w.account(), goodPassword), { ok: true })
  const me = (tab: typeof page) =>
    tab.evaluate(async () => (await auth.fetch('/v1/me', { credentials: 'omit' })).status)
  t.equal(await me(page), 200)
  t.equal(w.front.requests.at(-1)!.headers.authorization?.slice(0, 5), 'DPoP ')
  const token = (await page.evaluate(() => auth.getAccessToken()))!
  t.equal((await w.get('/v1/me', token)).statusCode, 401, 'without the key the token is worth nothing')

  const tabs = [page, await w.tab({ dpop: true }), await w.tab({ dpop: true, ahead: -3_600_000 })]
  for (let round = 0; round < 5; round++) {
    for (const token of await Promise.all(tabs.map(refresh))) t.ok(token)
    for (const tab of tabs) t.equal(await me(tab), 200)
  }
  w.front.once('/v1/refresh', { kind: 'lost' })
  t.ok(await refresh(page))
  await page.reload()
  await becomes(page, 'authenticated')
  t.same(await w.signOuts(), [])

  const isExtractable = await page.evaluate(async () => {
    const opening = indexedDB.open('keyturn', 1)
    await new Promise((resolve) => {
      opening.onsuccess = resolve
    })
    const reading = opening.result.transaction('keys').objectStore('keys').get('dpop')
    await new Promise((resolve) => {
      reading.onsuccess = resolve
    })
    opening.result.close()
    return (reading.result as CryptoKeyPair).privateKey.extractable
  })
  t.equal(isExtractable, false)
})

t.test('a tab that has lost the key says so, and signs no other tab out', needsChromium, async (t) => {
  const w = await chromiumWorld(t)
  const page = await w.tab({ dpop: true })
  await login(page, await w.account(), goodPassword)
  await page.evaluate(() => {
    const gone = indexedDB.deleteDatabase('keyturn')
    return new Promise((resolve) => {
      gone.onsuccess = resolve
    })
  })
  const other = await w.tab({ dpop: true })
  t.equal(await status(other), 'anonymous')
  t.equal(await other.evaluate(() => auth.state.status === 'anonymous' && auth.state.reason), 'key_lost')
  t.ok(await refresh(page), 'which still has it')
  await page.reload()
  t.same(await page.evaluate(async () => (await auth.ready()).status), 'anonymous')
})
