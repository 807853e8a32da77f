import t from 'tap'
import { accountOf } from '../../packages/client/src/account.js'
import { dpop } from '../../packages/client/src/dpop.js'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { goodPassword } from '../support/world.js'

const hour = 3_600_000

for (const nonce of ['off', 'required'] as const) {
  for (const ahead of [0, hour, -hour]) {
    t.test(`a bound session, with nonces ${nonce} and a clock ${ahead / hour} h ahead`, async (t) => {
      const w = await browserWorld(t, (options) => ({ ...options, dpop: { nonce } }))
      const prover = dpop({ now: () => Date.now() + ahead })
      const tab = new FakeBrowser(w, t).tab({ dpop: prover })
      const { client } = tab
      const signedIn = await client.login({ username: await w.account(), password: goodPassword })
      t.match(signedIn, { ok: true })
      const token = (await client.getAccessToken())!
      t.equal((await w.get('/v1/me', token)).statusCode, 401, 'it is no bearer token')
      t.equal((await client.fetch(`${w.front.url}/v1/me?a=b`, { credentials: 'omit' })).status, 200)
      t.match(await accountOf(client).sessions(), { ok: true })
      t.ok(await client.getAccessToken({ forceRefresh: true }))
      w.front.once('/v1/refresh', { kind: 'lost' })
      t.ok(await client.getAccessToken({ forceRefresh: true }), 'each proof is a new one')
      const request = await client.authorize(new Request(`${w.front.url}/v1/me`))
      t.equal((await fetch(request)).status, 200)
      const replayed = await fetch(request)
      t.equal(replayed.status, 401, 'a proof counts once')
      const again = await client.shouldRetry(request, replayed)
      t.equal((await fetch(again!)).status, 200, 'and is made anew')
      t.match(await client.login({ username: 'nobody', password: 'wrong' }), {
        problem: { code: 'invalid_credentials' }
      })
      t.same(await client.logout(), { serverConfirmed: true })
      t.equal(tab.signOuts(), 1)
    })
  }
}

t.test('another key ends the session here, and says why', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const tab = browser.tab({ dpop: dpop() })
  await tab.client.login({ username: await w.account(), password: goodPassword })
  const reloaded = browser.tab({ dpop: dpop() })
  t.same(await reloaded.client.ready(), { status: 'anonymous', reason: 'key_lost' })
  t.ok(await tab.client.getAccessToken({ forceRefresh: true }), 'and nothing ends for the tab that has the key')
})

t.test('where no proof can be made nothing is sent, and no session ends', async (t) => {
  const w = await browserWorld(t)
  const prover = dpop()
  const broken = { ...prover, prove: () => Promise.reject(new Error('no WebCrypto here')) }
  const tab = new FakeBrowser(w, t).tab({ dpop: broken })
  t.match(await tab.client.ready(), { status: 'unreachable' })
  t.match(await tab.client.login({ username: await w.account(), password: goodPassword }), {
    problem: { code: 'key_unavailable' }
  })
  t.equal(w.front.requests.length, 0)
})
