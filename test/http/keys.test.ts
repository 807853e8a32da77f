import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { sql } from 'kysely'
import t from 'tap'
import { verifierCache } from '../../src/domain/key-ring.js'
import * as changes from '../../src/flows/signing-keys.js'
import { generateKey } from '../../src/plugins/token-engine.js'
import { faultyLink } from '../support/faulty-link.js'
import { encode, workshop } from '../support/forge.js'
import { countingLink } from '../support/query-count.js'
import { until } from '../support/until.js'
import { type Change, fromOwnPage, goodPassword, issuer, type World, world } from '../support/world.js'

const day = 86_400_000
/** How long before its turn a key of these services is published. */
const ahead = verifierCache + 5_000

const signingOptions =
  (change: object): Change =>
  (options) => ({ ...options, signing: { ...options.signing, ...change } })
const quick = signingOptions({ pollInterval: 20, rotationInterval: 90 * day })

type App = World['app']

const kids = async (app: App): Promise<string[]> =>
  (await app.inject('/.well-known/jwks.json')).json().keys.map(({ kid }: { kid: string }) => kid)
const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid as string
const me = async (app: App, token: string) =>
  (await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${token}` } })).statusCode
const refresh = async (app: App, refresh_token: string) =>
  await app.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })
const stored = (w: World) => w.app.db.selectFrom('signing_key').selectAll().orderBy('signs_from').execute()

/** What the flows of the ring are given, with a hand on the making of a key. */
function toolsOf(w: World, makeKey: changes.KeyTools['makeKey'], isKeptElsewhere = true): changes.KeyTools {
  return {
    isKeptElsewhere,
    db: w.app.db,
    clock: w.now,
    makeKey,
    caller: w.app.audit.caller,
    audit: w.app.audit,
    log: () => {},
    settings: { times: { publishAhead: ahead, accessLifetime: 605_000 }, interval: 90 * day, revocationLifetime: 1_000 }
  }
}

async function newKey(w: World) {
  const { privateKey: _, ...key } = await generateKey('ES256')
  return { ...key, privateHalf: { provider: 'local' as const, sealed: w.app.vault.seal(Buffer.from('x'), key.kid) } }
}

t.test('by the calendar one key is made for all replicas, which all follow', async (t) => {
  const w = await world(t, quick)
  const replica = await w.replica(quick)
  const [first] = await kids(w.app)
  const username = await w.account()

  w.wait(90 * day - ahead)
  for (const app of [w.app, replica]) t.ok(await until(() => app.keys.published().length === 2))
  const rows = await stored(w)
  t.equal(rows.length, 2, 'one key')
  t.equal(rows[1]!.signs_from.getTime() - w.now().getTime(), ahead)
  t.equal(kidOf((await w.login(username)).access_token), first, 'which does not sign yet')

  w.wait(ahead)
  for (const app of [w.app, replica]) t.equal(app.keys.signing().kid, rows[1]!.kid)
  const { access_token } = await w.login(username)
  t.equal(kidOf(access_token), rows[1]!.kid)
  t.equal(await me(replica, access_token), 200)

  // Nobody looked for a year and more.
  w.wait(400 * day)
  t.ok(await until(async () => (await stored(w)).length === 3))
  for (const app of [w.app, replica]) t.ok(await until(() => app.keys.states().get(rows[1]!.kid) === 'signing'))
  t.equal((await stored(w)).length, 3, 'and still one key')
})

t.test('of two replicas one makes the key that is due; the other does not wait for it', async (t) => {
  const w = await world(t)
  w.wait(90 * day)
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let isMaking = false
  const slow = changes.rotateWhenDue(
    toolsOf(w, async () => {
      isMaking = true
      await gate
      return await newKey(w)
    })
  )
  t.ok(await until(() => isMaking))
  const other = toolsOf(w, () => t.fail('a second key') as never)
  t.equal(await changes.rotateWhenDue(other), false)
  release()
  t.equal(await slow, true)
  t.equal(await changes.rotateWhenDue(other), false, 'who comes later looks again under the lock')
  t.equal((await stored(w)).length, 2)
})

t.test(
  'a key of our own that takes its time keeps nobody from the ring, and is dropped where it came too late',
  async (t) => {
    const w = await world(t)
    let release = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    let isMaking = false
    const late = changes.rotateAhead(
      toolsOf(
        w,
        async () => {
          isMaking = true
          await gate
          return await newKey(w)
        },
        false
      )
    )
    t.ok(await until(() => isMaking))
    const next = await w.app.keys.rotate()
    release()
    t.equal(await late, next.kid)
    t.equal((await stored(w)).length, 2)
  }
)

t.test('a key that could not be made leaves the ring as it was', async (t) => {
  const w = await world(t)
  w.wait(90 * day)
  const failing = toolsOf(w, () => Promise.reject(new Error('no key today')))
  for (const change of [
    (): Promise<unknown> => changes.rotateWhenDue(failing),
    () => changes.rotateAhead(failing),
    () => changes.rotateInEmergency(failing, 'leaked'),
    () => changes.followSettings(failing, { algorithm: 'RS256', provider: 'local' })
  ]) {
    await t.rejects(async () => void (await change()), { message: 'no key today' })
  }
  t.match(await stored(w), [{ gone_at: null, revoked_because: null }])
  t.equal((await stored(w)).length, 1)
})

t.test('a replica that neither polls nor is asked follows by notification', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const { kid } = await w.app.keys.rotate()
  t.ok(await until(() => replica.keys.find(kid) !== undefined))
})

t.test('with the listener gone the poll follows', async (t) => {
  const w = await world(t)
  await sql`drop trigger signing_key_notify on signing_key`.execute(w.app.db)
  const replica = await w.replica(signingOptions({ pollInterval: 20 }))
  const { kid } = await w.app.keys.rotate()
  t.ok(await until(() => replica.keys.find(kid) !== undefined))
})

t.test('in an emergency every access token ends on every replica, and nobody is signed out', async (t) => {
  const w = await world(t)
  const behind = await w.replica((options) => ({ ...options, clock: () => new Date(w.now().getTime() - 3_000) }))
  const slow = await w.replica((options) => ({ ...options, clock: () => new Date(w.now().getTime() - 300_000) }))
  const username = await w.account()
  const before = await w.login(username)
  const login = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
  const browser = await w.post('/v1/login', login, fromOwnPage)
  const cookie = browser.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  const { key: apiToken } = await w.app.flows.insertAuthtoken(w.app.db, (await w.app.flows.findUser(username)).id)
  await w.app.keys.rotate()
  const old = await kids(w.app)
  t.equal(old.length, 2)

  const { key, revoked } = await w.app.keys.rotateInEmergency('the back-up was found in a bin')
  t.strictSame([...revoked].sort(), [...old].sort(), 'the one that signs, and the one that waits')
  for (const app of [w.app, behind, slow]) {
    t.ok(await until(() => app.keys.signing().kid === key.kid))
    t.strictSame(await kids(app), [key.kid], 'also where the clock is minutes behind')
    t.ok(await until(async () => (await me(app, before.access_token)) === 401))
  }
  let token = before.refresh_token
  for (const app of [w.app, behind, w.app, behind]) {
    const response = await refresh(app, token)
    t.equal(response.statusCode, 200)
    token = response.json().refresh_token
    for (const other of [w.app, behind]) t.equal(await me(other, response.json().access_token), 200)
    t.equal(kidOf(response.json().access_token), key.kid)
  }
  for (const headers of [{ cookie }, { authorization: `Token ${apiToken}` }]) {
    t.equal((await w.app.inject({ url: '/v1/me', headers })).statusCode, 200)
  }

  const entries = await w.app.db.selectFrom('revocation').select(['kind', 'subject', 'because']).orderBy('id').execute()
  t.strictSame(
    entries.filter(({ kind }) => kind === 'key').map(({ subject }) => subject),
    [...revoked]
  )
  t.match(entries.at(-1), { kind: 'all', subject: '*', because: 'key_compromised' })
  t.match(
    (await stored(w)).filter(({ kid }) => kid !== key.kid),
    [{ revoked_because: 'the back-up was found in a bin' }, { revoked_because: 'the back-up was found in a bin' }]
  )
})

t.test('a token that whoever stole the key gives any revision is refused too', async (t) => {
  const w = await world(t)
  const thief = await workshop(w)
  const forged = thief.ours({ rev: Number.MAX_SAFE_INTEGER, exp: thief.claims.iat })
  t.equal(await me(w.app, thief.ours({ rev: 1e9 })), 200, 'before')
  await w.app.keys.rotateInEmergency('stolen')
  for (const token of [forged, thief.ours({ rev: 1e9 })]) t.equal(await me(w.app, token), 401)
})

t.test('an emergency is all or nothing', async (t) => {
  const w = await world(t)
  await sql`alter table revocation add constraint nobody check (kind <> 'all')`.execute(w.app.db)
  await t.rejects(w.app.keys.rotateInEmergency('stolen'))
  t.match(await stored(w), [{ revoked_because: null, gone_at: null }])
  t.equal((await w.app.db.selectFrom('revocation').selectAll().execute()).length, 0)
})

t.test('after two emergencies at once one key signs', async (t) => {
  const w = await world(t)
  await Promise.all([w.app.keys.rotateInEmergency('one'), w.app.keys.rotateInEmergency('two')])
  t.equal((await kids(w.app)).length, 1)
  t.equal((await stored(w)).filter(({ revoked_because }) => revoked_because === null).length, 1)
})

t.test('a key set never lacks a key that signs elsewhere, whatever its replica has missed', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  t.ok(await until(() => replica.keys.published().length === 1))
  await sql`drop trigger signing_key_notify on signing_key`.execute(w.app.db)
  const username = await w.account()
  await w.app.keys.rotateInEmergency('stolen')
  const { access_token } = await w.login(username)
  t.equal(replica.keys.find(kidOf(access_token)), undefined, 'the replica has not heard of it')
  const set = (await replica.inject('/.well-known/jwks.json')).json() as JSONWebKeySet
  const verified = await jwtVerify(access_token, createLocalJWKSet(set), { issuer, currentDate: w.now() })
  t.equal(verified.protectedHeader.kid, kidOf(access_token))
})

t.test('the key set is served from memory while the database is away', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  await link.cut()
  t.strictSame(await kids(app), await kids(w.app))
})

t.test('one key that does not sign is ended alone, and its predecessor stays', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const next = await w.app.keys.rotate()
  const [first] = await kids(w.app)
  t.equal(await w.app.keys.revoke('unknown', 'x'), 'unknown')
  t.equal(await w.app.keys.revoke(first!, 'x'), 'signing')
  t.equal(await w.app.keys.revoke(next.kid, 'leaked before its turn'), 'revoked')
  t.equal(await w.app.keys.revoke(next.kid, 'again'), 'gone')
  t.strictSame(await kids(w.app), [first])
  t.match(await stored(w), [
    { kid: first, gone_at: null },
    { kid: next.kid, gone_at: w.now(), revoked_because: 'leaked before its turn' }
  ])
  w.wait(30 * day)
  t.equal(kidOf((await w.login(username)).access_token), first, 'which signs on')

  const second = await w.app.keys.rotate()
  const { access_token: old } = await w.login(username)
  w.wait(ahead)
  const { access_token: current } = await w.login(username)
  t.equal(await me(w.app, old), 401, 'expired')
  const retiring = await w.login(username)
  t.equal(await w.app.keys.revoke(first!, 'leaked'), 'revoked')
  t.strictSame(await kids(w.app), [second.kid])
  t.equal(await me(w.app, current), 200)
  t.equal((await refresh(w.app, retiring.refresh_token)).statusCode, 200)
  t.strictSame(
    (await w.app.db.selectFrom('revocation').select(['kind', 'subject']).execute()).map((one) => ({ ...one })),
    [next.kid, first].map((subject) => ({ kind: 'key', subject }))
  )
})

t.test('a retiring key that is ended takes its tokens with it', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await w.app.keys.rotate()
  w.wait(ahead - 60_000)
  const old = await w.login(username)
  w.wait(60_000)
  t.equal(await me(w.app, old.access_token), 200)
  await w.app.keys.revoke(kidOf(old.access_token), 'leaked')
  t.equal(await me(w.app, old.access_token), 401)
  t.equal((await refresh(w.app, old.refresh_token)).statusCode, 200)
})

t.test('unknown keys cost one look at the database in an interval, however many ask', async (t) => {
  const w = await world(t)
  const { token } = await workshop(w)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  const before = link.statements()
  const [, payload, signature] = token.split('.')
  for (let n = 0; n < 100; n++) {
    const header = { alg: 'ES256', typ: 'at+jwt', kid: `${n}`.padStart(43, 'k') }
    t.equal(await me(app, `${encode(header)}.${payload}.${signature}`), 401)
  }
  t.equal(link.statements() - before, 1)
})

t.test('without a key the service says that it is not ready, and the calendar makes one', async (t) => {
  const w = await world(t, quick)
  await w.app.db.updateTable('signing_key').set({ gone_at: w.now(), revoked_because: 'all of them' }).execute()
  t.ok(await until(async () => (await w.get('/readyz')).statusCode === 200 && (await stored(w)).length === 2))
  const off = await world(t, signingOptions({ pollInterval: 600_000 }))
  await off.app.db.updateTable('signing_key').set({ gone_at: off.now(), revoked_because: 'all of them' }).execute()
  t.ok(await until(async () => (await off.get('/readyz')).statusCode === 503))
  t.match((await off.get('/readyz')).json(), { checks: { signing_key: 'failed' } })
})
