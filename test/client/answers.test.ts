import t from 'tap'
import { accountOf } from '../../packages/client/src/account.js'
import type { SignedOutReason } from '../../packages/client/src/index.js'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { type Fault, front } from '../support/front.js'
import { goodPassword } from '../support/world.js'

const json = { 'content-type': 'application/json' }
const problem = (status: number, code: string): Fault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: JSON.stringify({ type: 'about:blank', title: code, status, code })
})
const page = '<!doctype html><title>Sign in to the network</title>'

/** Answers that are none of the service's, or say nothing of the session. */
const strange: Record<string, Fault> = {
  'a page of a captive network': { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: page },
  'a 502 of a proxy': {
    kind: 'answer',
    status: 502,
    headers: { 'content-type': 'text/html' },
    body: '<h1>Bad Gateway'
  },
  'a 401 of a proxy': {
    kind: 'answer',
    status: 401,
    headers: { 'content-type': 'text/html' },
    body: '<h1>Unauthorized'
  },
  'a 401 in JSON of somebody else': { kind: 'answer', status: 401, headers: json, body: '{"message":"Unauthorized"}' },
  'a 401 with a code and no status': { kind: 'answer', status: 401, headers: json, body: '{"code":"session_revoked"}' },
  'a 401 with a code that ends nothing': problem(401, 'authentication_required'),
  'a 401 with a code of the future': problem(401, 'moon_in_wrong_phase'),
  'a 401 with the name of a member of every object': problem(401, 'constructor'),
  'a 403 with the code of an end': problem(403, 'session_revoked'),
  'a 403 whose body says 401': {
    kind: 'answer',
    status: 403,
    headers: json,
    body: '{"status":401,"code":"session_revoked"}'
  },
  'a 403 for the origin': problem(403, 'csrf_failed'),
  'a 404': problem(404, 'not_found'),
  'a 429': { kind: 'answer', status: 429, headers: { 'retry-after': '1' } },
  'a 500': problem(500, 'internal_error'),
  'a 503': problem(503, 'service_unavailable'),
  'a redirect to a page': { kind: 'answer', status: 302, headers: { location: '/login' } },
  'tokens that are none': {
    kind: 'answer',
    status: 200,
    headers: json,
    body: JSON.stringify({ access_token: 'x', token_type: 'Bearer', expires_in: 600, user: { id: '1', username: 'a' } })
  },
  'JSON that is cut off': { kind: 'answer', status: 200, headers: json, body: '{"access_token":"ey' },
  'no JSON, whatever it says': { kind: 'answer', status: 200, headers: json, body: page },
  null: { kind: 'answer', status: 200, headers: json, body: 'null' },
  'a list': { kind: 'answer', status: 200, headers: json, body: '[]' },
  'nothing at all': { kind: 'answer', status: 200 },
  'a broken connection': { kind: 'unheard' },
  'an answer that is lost': { kind: 'lost' }
}

t.test('no answer that is not the service’s definite word ends a session', async (t) => {
  const w = await browserWorld(t)
  const browser = new FakeBrowser(w, t)
  const tab = browser.tab()
  await tab.client.login({ username: await w.account(), password: goodPassword })
  for (const [what, fault] of Object.entries(strange)) {
    w.front.break(fault)
    await t.rejects(tab.client.getAccessToken({ forceRefresh: true }), { name: 'AuthUnreachableError' }, what)
    t.match(tab.client.state, { status: 'authenticated' }, `${what}: the token is good`)
    const cold = browser.tab()
    t.match(await cold.client.ready(), { status: 'unreachable' }, `${what}: nobody knows`)
    cold.client.dispose()
    w.front.mend()
    tab.clock.pass(61_000)
    t.ok(await tab.client.getAccessToken({ forceRefresh: true }), `${what}: and it goes on`)
  }
  t.equal(tab.signOuts(), 0)
})

t.test('a redirect is not followed: no password goes there, and no word of there ends a session', async (t) => {
  const w = await browserWorld(t)
  const elsewhere = await front(t)
  elsewhere.upstream = w.front.upstream
  elsewhere.break(problem(401, 'session_revoked'))
  const { client } = new FakeBrowser(w, t).tab()
  const username = await w.account()
  await client.login({ username, password: goodPassword })
  // 307 repeats the method and the body at the other place.
  w.front.break({ kind: 'answer', status: 307, headers: { location: `${elsewhere.url}/v1/refresh` } })
  await t.rejects(client.getAccessToken({ forceRefresh: true }), { problem: { code: 'bad_response' } } as never)
  const refused = { ok: false, problem: { code: 'bad_response' } }
  t.match(await client.login({ username, password: goodPassword }), refused)
  t.match(await accountOf(client).changePassword({ current: goodPassword, next: `${goodPassword} 2` }), refused)
  t.match(client.state, { status: 'authenticated' })
  t.same(elsewhere.requests, [])
})

const ends: Record<string, SignedOutReason> = {
  account_disabled: 'account_disabled',
  dpop_key_required: 'key_lost',
  refresh_reused: 'reuse_detected',
  session_expired: 'expired',
  session_revoked: 'revoked',
  token_invalid: 'token_invalid'
}

t.test('each definite code ends the session, and says why', async (t) => {
  const w = await browserWorld(t)
  const username = await w.account()
  for (const [code, reason] of Object.entries(ends)) {
    const browser = new FakeBrowser(w, t)
    const [tab, other] = [browser.tab(), browser.tab()]
    await tab.client.login({ username, password: goodPassword })
    await other.client.ready()
    w.front.once('/v1/refresh', problem(401, code))
    t.equal(await tab.client.getAccessToken({ forceRefresh: true }), null)
    t.same(tab.client.state, { status: 'anonymous', reason })
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    const hasHeard = reason !== 'key_lost'
    t.equal(other.client.state.status, hasHeard ? 'anonymous' : 'authenticated', `${code}: what another tab hears`)
  }
})
