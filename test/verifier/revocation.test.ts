import type { AddressInfo } from 'node:net'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { allow, createVerifier, type Verifier, type VerifierOptions } from '../../packages/verifier/src/index.js'
import { clientWithSecret } from '../support/clients.js'
import { withFeed } from '../support/feed.js'
import { workshop } from '../support/forge.js'
import { until } from '../support/until.js'
import { errorOf, fetchFrom, verdictOf, verifierOf } from '../support/verifier.js'
import { type Change, issuer, type World, world } from '../support/world.js'

type App = World['app']
type Mode = VerifierOptions['revocation']

const feed: Mode = { mode: 'feed', interval: 0.1, maxStaleness: 60, onStale: 'deny' }
const push: Mode = { mode: 'push', interval: 0.1, maxStaleness: 60, onStale: 'deny' }

async function listen(app: App): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** A verifier that hangs on one replica, over sockets. */
async function verifierAt(t: Test, w: World, url: string, revocation: Mode, change: Partial<VerifierOptions> = {}) {
  const verifier = createVerifier({
    issuer,
    audience: 'api',
    baseUrl: url,
    now: () => w.now().getTime(),
    revocation,
    ...change
  })
  t.teardown(() => verifier.close())
  await verifier.ready()
  return verifier
}

const signOut = (w: World, refresh_token: string) => w.post('/v1/logout', { refresh_token })

for (const [name, mode] of [
  ['pushed', push],
  ['polled', feed]
] as const) {
  t.test(`a sign-out on one replica ends a principal of a verifier on another one, ${name}`, async (t) => {
    const w = await world(t)
    const replica = await w.replica()
    const verifier = await verifierAt(t, w, await listen(replica), mode)
    const tokens = await w.login(await w.account())
    const stays = await w.login(await w.account())
    const principal = await verifier.verify(tokens.access_token)
    const other = await verifier.verify(stays.access_token)
    const waiting = new AbortController()
    const otherEnds = verifier.ended(other, waiting.signal)
    const ends = verifier.ended(principal)
    await signOut(w, tokens.refresh_token)
    t.equal(await ends, 'revoked')
    const error = await errorOf(verifier.verify(tokens.access_token))
    t.match(error, { status: 401, code: 'token_revoked' })
    t.match(error.wwwAuthenticate, /error="invalid_token"/)
    t.equal(await verdictOf(verifier, stays.access_token), 'good')
    waiting.abort(new Error('enough'))
    await t.rejects(otherEnds, /enough/)
  })
}

t.test('whatever the service revokes is over for a verifier, and what was issued afterwards is not', async (t) => {
  const w = await world(t)
  await w.role('editor', ['write'])
  const verifier = verifierOf(t, w, { revocation: feed })
  await verifier.ready()
  const name = await w.account()
  const { user } = await w.login(name)
  const before = await w.login(name)
  const ends = verifier.ended(await verifier.verify(before.access_token))
  await w.app.flows.setUserRoles(user.id, ['editor'])
  await w.app.revocations.read()
  t.equal(await ends, 'revoked', 'a token of other roles')
  const editor = await w.login(name)
  const principal = await verifier.verify(editor.access_token)
  t.ok(principal.roles.has('editor'))

  const roleEnds = verifier.ended(principal)
  await w.role('editor', ['write', 'publish'])
  await w.app.revocations.read()
  t.equal(await roleEnds, 'revoked', 'a token of a role that changed')
  const again = await w.login(name)
  t.ok((await verifier.verify(again.access_token)).permissions.has('publish'))

  const one = await verifier.verify(again.access_token)
  const oneEnds = verifier.ended(one)
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  await w.app.inject({
    method: 'POST',
    url: '/oauth/revoke',
    headers: form,
    payload: new URLSearchParams({ client_id: 'web', token: again.access_token }).toString()
  })
  await w.app.revocations.read()
  t.equal(await oneEnds, 'revoked', 'one token alone')
  const next = await w.refresh(again.refresh_token)
  t.equal(await verdictOf(verifier, next.json().access_token), 'good', 'its session goes on')
})

t.test('an emergency ends a key at once, also in a key set that some cache still has', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const real = fetchFrom(w.app)
  const verifier = verifierOf(t, w, {
    revocation: feed,
    fetch: async (input, init) => {
      const response = await real(input, init)
      if (!String(input).endsWith('/jwks.json') || response.status !== 200) return response
      const { keys } = (await response.json()) as { keys: object[] }
      return Response.json({
        keys: [...keys.filter(({ kid }: { kid?: string }) => kid !== shop.header.kid), shop.publicJwk]
      })
    }
  })
  const ends = verifier.ended(await verifier.verify(shop.token))
  await w.app.keys.rotateInEmergency('stolen')
  await w.app.revocations.read()
  // The feed is signed by a key that nobody knows: it is looked for once the cooldown is over.
  w.wait(5_000)
  t.equal(await ends, 'revoked')
  t.equal(await verdictOf(verifier, shop.token), 'token_revoked', 'which was verified before')
  t.equal(await verdictOf(verifier, shop.ours({ rev: 1_000_000 })), 'token_revoked', 'which the thief signs now')
  t.equal(verifier.health().keys.count, 2)
  t.equal(await verdictOf(verifier, (await w.login(await w.account())).access_token), 'good')
})

t.test('a feed that is signed by a key that was revoked is not read, so that it can hide nothing', async (t) => {
  const w = await world(t)
  const real = fetchFrom(w.app)
  let replayed: string | undefined
  const verifier = verifierOf(t, w, {
    revocation: { ...(feed as object), interval: 300, maxStaleness: 300 } as Mode,
    fetch: async (input, init) => {
      if (replayed === undefined || !String(input).includes('/v1/revocations')) return await real(input, init)
      return new Response(replayed, { headers: { 'content-type': 'application/keyturn-revocations+jwt' } })
    }
  })
  const shop = await workshop(w)
  await verifier.verify(shop.token)
  await w.app.keys.rotateInEmergency('stolen')
  await w.app.revocations.read()
  w.wait(301_000)
  const { access_token: later } = await w.login(await w.account())
  t.equal(await verdictOf(verifier, later), 'good', 'which reads of the emergency')
  const { cursor } = await w.app.revocationFeed.read('0')
  const now = Math.floor(w.now().getTime() / 1000)
  replayed = shop.ours(
    {
      ...Object.fromEntries(Object.keys(shop.claims).map((name) => [name, undefined])),
      iss: issuer,
      iat: now + 301,
      exp: now + 361,
      since: cursor,
      cursor,
      complete: true,
      entries: []
    },
    { typ: 'keyturn-revocations+jwt' }
  )
  w.wait(301_000)
  t.equal(await verdictOf(verifier, later), 'revocation_unavailable')
  t.match(verifier.health().revocation, { lastError: 'signed by a key that was revoked' })
})

t.test('a verifier that was away follows on, also past a database that lost its last commits', async (t) => {
  const w = await world(t)
  const verifier = verifierOf(t, w, { revocation: { ...(feed as object), interval: 30 } as Mode })
  await verifier.ready()
  const one = await w.login(await w.account())
  const two = await w.login(await w.account())
  await signOut(w, one.refresh_token)
  await w.app.revocations.read()
  w.wait(61_000)
  t.equal(await verdictOf(verifier, one.access_token), 'token_revoked')
  // A failover: the last entry is gone, and another one gets its id.
  const entry = await w.app.db.deleteFrom('revocation').returningAll().executeTakeFirstOrThrow()
  const subject = (await verifier.verify(two.access_token)).sessionId!
  await sql`
    insert into revocation (id, kind, subject, because, created_at, expires_at) overriding system value
    values (${entry.id}, 'session', ${subject}, 'logout', ${entry.created_at}, ${entry.expires_at})`.execute(w.app.db)
  await w.app.revocations.read()
  w.wait(61_000)
  t.equal(await verdictOf(verifier, two.access_token), 'token_revoked')
  t.equal(await verdictOf(verifier, one.access_token), 'good', 'what is not in the log any more is not over')
})

t.test('a feed of more than one page is in force once it is whole', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  const { insertMany } = await import('../support/feed.js')
  await insertMany(w, 1, 12_000)
  await signOut(w, tokens.refresh_token)
  await w.app.revocations.read()
  const verifier = verifierOf(t, w, { revocation: feed })
  t.equal(await verdictOf(verifier, tokens.access_token), 'token_revoked', 'by the first request, without ready()')
  t.match(verifier.health().revocation, { mode: 'feed', isKnown: true, entries: 12_001 })
})

t.test('a stream that breaks is replaced by asking, and opened again', async (t) => {
  const w = await world(t, withFeed({ heartbeat: 15_000 }))
  let replica = await w.replica(withFeed({ heartbeat: 15_000 }))
  const url = await listen(replica)
  const verifier = await verifierAt(t, w, url, push)
  const isStreaming = () => verifier.health().revocation?.streaming === true
  t.ok(await until(isStreaming))
  const tokens = await w.login(await w.account())
  await verifier.verify(tokens.access_token)
  await replica.close()
  t.ok(await until(() => !isStreaming() && verifier.health().revocation?.lastError !== undefined))
  await signOut(w, tokens.refresh_token)
  t.equal(await verdictOf(verifier, tokens.access_token), 'good', 'nobody could tell it, and it is not stale yet')
  replica = await w.replica(withFeed({ heartbeat: 15_000 }))
  const ends = verifier.ended(await verifier.verify(tokens.access_token))
  await replica.listen({ host: '127.0.0.1', port: Number(new URL(url).port) })
  t.equal(await ends, 'revoked')
  t.ok(await until(isStreaming))
})

t.test('when nobody knows what has ended any more, it is as the options say', async (t) => {
  const w = await world(t)
  const real = fetchFrom(w.app)
  let isDown = false
  const flaky: typeof fetch = (input, init) => (isDown ? Promise.reject(new Error('no network')) : real(input, init))
  const make = (onStale: 'allow' | 'deny') =>
    verifierOf(t, w, { fetch: flaky, revocation: { mode: 'feed', interval: 15, maxStaleness: 60, onStale } })
  const [deny, allowing] = [make('deny'), make('allow')]
  const tokens = await w.login(await w.account())
  const ended = await w.login(await w.account())
  await signOut(w, ended.refresh_token)
  await w.app.revocations.read()
  for (const verifier of [deny, allowing]) await verifier.ready()
  isDown = true
  w.wait(59_999)
  t.equal(await verdictOf(deny, tokens.access_token), 'good')
  w.wait(1)
  const error = await errorOf(deny.verify(tokens.access_token))
  t.match(error, { status: 503, code: 'revocation_unavailable', retryAfter: 1 })
  t.equal(error.wwwAuthenticate, undefined)
  t.equal(await verdictOf(allowing, tokens.access_token), 'good')
  for (const verifier of [deny, allowing]) {
    t.equal(await verdictOf(verifier, ended.access_token), 'token_revoked', 'what is known to be over stays over')
    t.match(verifier.health().revocation, { isKnown: false, ageSeconds: 60, lastError: 'no network' })
  }
  isDown = false
  w.wait(1_000)
  t.equal(await verdictOf(deny, tokens.access_token), 'good', 'the first request that asks finds out')
})

t.test('introspection asks about each token, and lets nobody in while there is no answer', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { permissions: ['keyturn.introspect'] })
  const real = fetchFrom(w.app)
  let isDown = false
  const asked: string[] = []
  const options: Partial<VerifierOptions> = {
    client: { clientId: client.id, clientSecret: async () => client.secret },
    fetch: (input, init) => {
      if (String(input).endsWith('/oauth/introspect')) asked.push(String(init?.body))
      return isDown ? Promise.reject(new Error('no network')) : real(input, init)
    }
  }
  const verifier = verifierOf(t, w, { ...options, revocation: { mode: 'introspect' } })
  await verifier.ready()
  const tokens = await w.login(await w.account())
  t.equal(await verdictOf(verifier, tokens.access_token), 'good')
  t.equal(await verdictOf(verifier, tokens.access_token), 'good')
  t.equal(asked.length, 2)
  t.equal(await verdictOf(verifier, `${tokens.access_token.slice(0, -4)}AAAA`), 'token_invalid')
  const made = (await w.as(tokens.access_token, 'POST', '/v1/tokens', { name: 'script' })).json()
  for (const scheme of ['Token', 'Bearer']) {
    const authorization = `${scheme} ${made.key}`
    t.equal((await errorOf(verifier.verifyHeaders({ authorization }))).status, 401, `an API token, as ${scheme}`)
  }
  t.equal(asked.length, 2, 'nobody is asked about what is not signed')
  isDown = true
  t.match(await errorOf(verifier.verify(tokens.access_token)), { status: 503, code: 'revocation_unavailable' })
  isDown = false
  await signOut(w, tokens.refresh_token)
  t.equal(await verdictOf(verifier, tokens.access_token), 'token_revoked')

  const caching = verifierOf(t, w, { ...options, revocation: { mode: 'introspect', cache: 10 } })
  const more = await w.login(await w.account())
  asked.length = 0
  t.equal(await verdictOf(caching, more.access_token), 'good')
  await signOut(w, more.refresh_token)
  w.wait(9_999)
  t.equal(await verdictOf(caching, more.access_token), 'good')
  t.equal(asked.length, 1)
  w.wait(1)
  t.equal(await verdictOf(caching, more.access_token), 'token_revoked')

  const wrong = verifierOf(t, w, {
    client: { clientId: client.id, clientSecret: 'wrong' },
    revocation: { mode: 'introspect' }
  })
  t.equal(await verdictOf(wrong, (await w.login(await w.account())).access_token), 'revocation_unavailable')
  t.match(wrong.health().revocation, { lastError: 'status 401' })
})

t.test('an answer about another token, or half of one, is no answer', async (t) => {
  const w = await world(t)
  const real = fetchFrom(w.app)
  const { access_token: token } = await w.login(await w.account())
  const { claims } = await workshop(w)
  const { claims: own } = await verifierOf(t, w).verify(token)
  const answers: Array<[string, unknown, string]> = [
    ['about it', { active: true, sub: own.sub, jti: own.jti }, 'good'],
    ['over', { active: false }, 'token_revoked'],
    ['about another one', { ...claims, active: true }, 'revocation_unavailable'],
    ['about somebody else', { active: true, sub: 'x', jti: own.jti }, 'revocation_unavailable'],
    ['without a word of whom', { active: true }, 'revocation_unavailable'],
    ['active in words', { active: 'true', sub: own.sub, jti: own.jti }, 'revocation_unavailable'],
    ['a number', 1, 'revocation_unavailable'],
    ['null', null, 'revocation_unavailable'],
    ['nothing', {}, 'revocation_unavailable']
  ]
  for (const [title, answer, expected] of answers) {
    const verifier = verifierOf(t, w, {
      client: { clientId: 'x', clientSecret: 'y' },
      revocation: { mode: 'introspect' },
      fetch: (input, init) =>
        String(input).endsWith('/oauth/introspect') ? Promise.resolve(Response.json(answer)) : real(input, init)
    })
    t.equal(await verdictOf(verifier, token), expected, title)
  }
})

t.test('one route can ask whether a token is alive at this moment, and the others do not', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { permissions: ['keyturn.introspect'] })
  let asked = 0
  const real = fetchFrom(w.app)
  const verifier = verifierOf(t, w, {
    client: { clientId: client.id, clientSecret: client.secret },
    fetch: (input, init) => {
      if (String(input).endsWith('/oauth/introspect')) asked++
      return real(input, init)
    }
  })
  const tokens = await w.login(await w.account())
  const fresh = allow.all(allow.authenticated(), allow.fresh())
  t.ok(await verifier.verify(tokens.access_token, fresh))
  t.equal(asked, 1)
  t.match(await errorOf(verifier.verify(tokens.access_token, allow.all(allow.role('admin'), allow.fresh()))), {
    status: 403
  })
  t.equal(asked, 1, 'nobody is asked about a request that is refused in any case')
  await signOut(w, tokens.refresh_token)
  t.equal(await verdictOf(verifier, tokens.access_token), 'good', 'elsewhere it is good until it expires')
  t.match(await errorOf(verifier.verify(tokens.access_token, fresh)), { status: 401, code: 'token_revoked' })
  const without = verifierOf(t, w)
  t.match(await errorOf(without.verify(tokens.access_token, fresh)), {
    status: 503,
    code: 'revocation_unavailable',
    internal: { because: /give the verifier the option "client"/ }
  })
  t.match(await t.rejects(verifier.check({} as never, fresh)), {})
})

t.test('the status list of a token says whether its session is over', async (t) => {
  const on: Change = (options) => ({ ...options, flows: { ...options.flows, statusList: true } })
  const w = await world(t, on)
  const real = fetchFrom(w.app)
  let isDown = false
  const fetched: string[] = []
  const make = (onStale: 'allow' | 'deny') =>
    verifierOf(t, w, {
      revocation: { mode: 'status-list', maxStaleness: 60, onStale },
      fetch: (input, init) => {
        if (!String(input).includes('/.well-known/')) fetched.push(String(input))
        return isDown ? Promise.reject(new Error('no network')) : real(input, init)
      }
    })
  const [deny, allowing] = [make('deny'), make('allow')]
  const tokens = await w.login(await w.account())
  const stays = await w.login(await w.account())
  for (const { access_token } of [tokens, stays, tokens]) t.equal(await verdictOf(deny, access_token), 'good')
  t.equal(fetched.length, 1)
  await signOut(w, tokens.refresh_token)
  await w.app.revocations.read()
  w.wait(30_000)
  t.equal(await verdictOf(deny, tokens.access_token), 'token_revoked')
  t.equal(await verdictOf(deny, stays.access_token), 'good')
  t.equal(await verdictOf(allowing, stays.access_token), 'good')
  isDown = true
  w.wait(30_000 + 59_999)
  t.equal(await verdictOf(deny, stays.access_token), 'good')
  w.wait(1_001)
  t.equal(await verdictOf(deny, stays.access_token), 'revocation_unavailable')
  t.equal(await verdictOf(allowing, stays.access_token), 'good')
  isDown = false
  w.wait(1_000)
  t.equal(await verdictOf(deny, stays.access_token), 'good')

  const shop = await workshop(w)
  const elsewhere = { status_list: { idx: 0, uri: 'https://evil.test/list' } }
  t.equal(await verdictOf(deny, shop.ours({ status: elsewhere })), 'revocation_unavailable', 'a list of somebody else')
  t.notOk(fetched.includes('https://evil.test/list'), 'which is not fetched')
  for (const status of [
    undefined,
    {},
    { status_list: { uri: 1 } },
    { status_list: { idx: 2 ** 30, uri: `${issuer}/v1/status-lists/0` } }
  ]) {
    t.equal(await verdictOf(deny, shop.ours({ status })), 'revocation_unavailable', JSON.stringify(status))
  }
})

t.test('a principal that nobody ends ends with its token, and with its verifier', async (t) => {
  const w = await world(t)
  const verifier: Verifier = verifierOf(t, w)
  const shop = await workshop(w)
  const now = Math.floor(w.now().getTime() / 1000)
  const principal = await verifier.verify(shop.ours({ exp: now - 4 }))
  const ends = verifier.ended(principal)
  w.wait(999)
  t.equal(await Promise.race([ends, new Promise((resolve) => setImmediate(resolve, 'not yet'))]), 'not yet')
  w.wait(1)
  t.equal(await ends, 'expired')
  const long = verifier.ended(await verifier.verify(shop.token))
  await t.rejects(verifier.ended(await verifier.verify(shop.token), AbortSignal.abort(new Error('gone'))), /gone/)
  await verifier.close()
  await t.rejects(long, /closed/)
})

t.test('a feed that is for clients alone is read with their API token', async (t) => {
  const w = await world(t, withFeed({ access: 'clients' }))
  const { user } = await w.login(await w.account())
  await w.app.flows.setUserPermissions(user.id, ['keyturn.revocations'])
  const { key } = await w.app.flows.createApiToken(user.id, { name: 'feed', scopes: ['revocations'] })
  await t.rejects(verifierOf(t, w, { revocation: feed }).ready(), 'without it')
  const verifier = verifierOf(t, w, { revocation: feed, feedAuthorization: async () => `Token ${key}` })
  await verifier.ready()
  t.match(verifier.health().revocation, { isKnown: true })
})
