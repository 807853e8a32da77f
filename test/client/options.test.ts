import t from 'tap'
import { createAuthClient, type RefreshTokenStore } from '../../packages/client/src/index.js'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { goodPassword } from '../support/world.js'

t.test('an option that cannot be right is refused at once', async (t) => {
  for (const baseUrl of [
    '',
    'auth.example.com',
    'ftp://auth.example.com',
    'https://u:p@auth.example.com',
    'https://a/?x'
  ]) {
    t.throws(() => createAuthClient({ baseUrl }), TypeError, baseUrl)
  }
  const baseUrl = 'https://auth.example.com/under/'
  for (const wrong of [
    { requestTimeoutMs: 0 },
    { requestTimeoutMs: Number.NaN },
    { refreshAhead: 0 },
    { refreshAhead: 2 }
  ]) {
    t.throws(() => createAuthClient({ baseUrl, ...wrong }), TypeError)
  }
  t.throws(() => createAuthClient({ baseUrl, resourceOrigins: ['api'] }), TypeError)
  t.equal(createAuthClient({ baseUrl }).baseUrl, 'https://auth.example.com/under')
})

t.test('in memory: the refresh token is in bodies, and gone with the page', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const username = await w.account()
  const { client } = browser.tab({ refreshTransport: 'memory' })
  t.match(await client.ready(), { status: 'anonymous', reason: 'never_signed_in' })
  t.equal(w.front.count('/v1/refresh'), 0, 'with nothing to ask with nobody is asked')
  await client.login({ username, password: goodPassword })
  for (let round = 0; round < 3; round++) t.ok(await client.getAccessToken({ forceRefresh: true }))
  w.front.once('/v1/refresh', { kind: 'lost' })
  t.ok(await client.getAccessToken({ forceRefresh: true }))
  t.equal(browser.hasRefreshToken, false)
  t.same(await client.logout(), { serverConfirmed: true })
  t.equal(await client.getAccessToken(), null)
  t.match(await browser.tab({ refreshTransport: 'memory' }).client.ready(), { status: 'anonymous' })
})

t.test('a store that fails ends no session', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  let kept: string | null = null
  let failing = false
  const unlessFailing = async <T>(run: () => T): Promise<T> => {
    if (failing) throw new Error('the keychain is locked')
    return run()
  }
  const refreshTransport: RefreshTokenStore = {
    get: () => unlessFailing(() => kept),
    set: (token) =>
      unlessFailing(() => {
        kept = token
      }),
    clear: () =>
      unlessFailing(() => {
        kept = null
      })
  }
  const { client, logs, signOuts } = browser.tab({ refreshTransport })
  await client.login({ username: await w.account(), password: goodPassword })
  t.ok(kept)
  const next = browser.tab({ refreshTransport })
  t.match(await next.client.ready(), { status: 'authenticated' })
  t.ok(await client.getAccessToken({ forceRefresh: true }), 'another window has used the token; the store has the next')

  failing = true
  const cold = browser.tab({ refreshTransport })
  t.match(await cold.client.ready(), { status: 'unreachable' })
  await t.rejects(client.getAccessToken({ forceRefresh: true }), { problem: { code: 'store_failed' } } as never)
  failing = false
  cold.clock.pass(2_000)
  t.ok(await client.getAccessToken({ forceRefresh: true }))
  t.match(await client.login({ username: await w.account(), password: goodPassword }), { ok: true })
  failing = true
  t.match(await client.login({ username: await w.account(), password: goodPassword }), { ok: true })
  t.ok(await client.getAccessToken({ forceRefresh: true }), 'what could not be kept is held by the page')
  t.ok(logs.some(({ code }) => code === 'store_failed'))
  failing = false
  await client.logout()
  t.equal(kept, null)
  t.equal(signOuts(), 3, 'two sign-ins over a sign-in, and one sign-out')
})

t.test('no log, no message between tabs and no event carries a token that it should not', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const secrets = new Set<string>()
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await browser.fetch(input, init)
    for (const [, token] of (await response.clone().text()).matchAll(/"(?:access|refresh)_token":"([^"]+)"/g)) {
      secrets.add(token!)
    }
    for (const cookie of browser.cookies.values()) secrets.add(decodeURIComponent(cookie))
    return response
  }
  const tabs = [browser.tab({ fetch }), browser.tab({ fetch }), browser.tab({ fetch, refreshTransport: 'memory' })]
  for (const { client } of tabs) {
    await client.login({ username: await w.account(), password: goodPassword })
    w.front.break({ kind: 'answer', status: 500 })
    await client.getAccessToken({ forceRefresh: true }).catch(() => {})
    await client.logout()
    w.front.mend()
    await client.login({ username: await w.account(), password: goodPassword })
    await client.getAccessToken({ forceRefresh: true }).catch(() => {})
  }
  t.ok(secrets.size > 6)
  const told = JSON.stringify(tabs.map(({ logs, events }) => [logs, events]))
  const refreshTokens = [...secrets].filter((secret) => secret.startsWith('ktr_'))
  t.ok(refreshTokens.length > 3)
  for (const secret of secrets) t.notOk(told.includes(secret.slice(0, 60)))
  for (const secret of refreshTokens) t.notOk(JSON.stringify(browser.messages).includes(secret))
})

t.test('where tabs can tell each other nothing each asks for itself', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const { BroadcastChannel } = globalThis
  Reflect.deleteProperty(globalThis, 'BroadcastChannel')
  t.teardown(() => Object.assign(globalThis, { BroadcastChannel }))
  const post = () => {
    throw new Error('the channel is closed')
  }
  for (const tabSync of [true, { post, subscribe: () => () => {} }]) {
    const { client } = browser.tab({ tabSync })
    t.match(await client.login({ username: await w.account(), password: goodPassword }), { ok: true })
    t.ok(await client.getAccessToken({ forceRefresh: true }))
    t.match(await browser.tab({ tabSync }).client.ready(), { status: 'authenticated' })
    t.same(await client.logout(), { serverConfirmed: true })
  }
})

t.test('a log that throws is nobody’s business', async (t) => {
  const w = await browserWorld(t)
  const { client } = new FakeBrowser(w, t).tab({
    logger: () => {
      throw new Error('a defect')
    }
  })
  w.front.break({ kind: 'answer', status: 500 })
  t.match(await client.ready(), { status: 'unreachable' })
})
