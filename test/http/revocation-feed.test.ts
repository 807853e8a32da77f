import { sql } from 'kysely'
import t from 'tap'
import { principal } from '../../src/domain/principal.js'
import { origin } from '../../src/domain/revocation-cursor.js'
import { feedMaxEntries } from '../../src/domain/revocation-feed.js'
import { faultyLink } from '../support/faulty-link.js'
import { fetchPage, insertMany, listening, Reader, read, sessionOf, signOut, withFeed } from '../support/feed.js'
import { request } from '../support/service.js'
import { until } from '../support/until.js'
import { world } from '../support/world.js'

t.test('a service learns of a logout, and of nothing else about it', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  const reader = new Reader()
  await reader.follow(w)
  const sid = sessionOf(tokens.access_token)
  t.notOk(reader.knows(sid))
  await w.post('/v1/logout', { refresh_token: tokens.refresh_token })
  await w.app.revocations.read()
  const response = await w.app.inject(`/v1/revocations?since=${reader.cursor}`)
  t.match(response.headers, {
    'content-type': 'application/keyturn-revocations+jwt',
    'cache-control': 'no-cache',
    'access-control-allow-origin': '*',
    etag: /^"[\w-]{22}"$/
  })
  const { entries } = await read(w, response.body)
  t.same(entries, [{ id: entries[0]!.id, kind: 'session', sub: sid, exp: entries[0]!.exp }])
  await reader.follow(w)
  t.ok(reader.knows(sid))
  t.equal(reader.resets, 0)
})

t.test('every kind of end is in it', async (t) => {
  const w = await world(t)
  const { user } = await w.login(await w.account())
  await w.role('reader')
  await w.app.flows.setUserPermissions(user.id, ['x'])
  await w.app.flows.putRole({ name: 'reader', permissions: ['y'] })
  await w.app.flows.endUserSessions(user.id)
  await w.app.revocations.read()
  const { entries } = await fetchPage(w, origin)
  t.same(
    entries.map(({ kind, sub }) => [kind, sub]),
    [
      ['account', user.id],
      ['role', 'reader'],
      ['account', user.id]
    ]
  )
})

t.test('the same page is the same text for a while, and a validator stands for it', async (t) => {
  const w = await world(t)
  await signOut(w)
  const ask = (headers = {}) => w.app.inject({ url: '/v1/revocations', headers })
  const first = await ask()
  const etag = String(first.headers.etag)
  t.equal((await ask()).body, first.body)
  const known = await ask({ 'if-none-match': etag })
  t.equal(known.statusCode, 304)
  t.equal(known.body, '')
  t.equal(known.headers.etag, etag)
  t.equal((await ask({ 'if-none-match': '"another"' })).statusCode, 200)
  w.wait(15_000)
  const renewed = await ask({ 'if-none-match': etag })
  t.equal(renewed.statusCode, 200, 'a page says of what time it is, so it is signed anew')
  t.equal((await read(w, renewed.body)).iat, w.now().getTime() / 1000)
  await signOut(w)
  t.equal((await ask({ 'if-none-match': String(renewed.headers.etag) })).statusCode, 200)
})

t.test('no query is made for a reader who is up to date', async (t) => {
  const w = await world(t)
  await signOut(w)
  const { cursor } = await fetchPage(w, origin)
  await w.app.db.destroy()
  t.equal((await fetchPage(w, origin)).entries.length, 1)
  t.match(await fetchPage(w, cursor), { entries: [], complete: true, since: cursor, cursor })
})

t.test('more than a page comes in pages, each once and in order', async (t) => {
  const w = await world(t)
  await insertMany(w, 1, feedMaxEntries * 2 + 10)
  await w.app.revocations.read()
  const first = await fetchPage(w, origin)
  t.match(first, { complete: false, entries: { length: feedMaxEntries } })
  const second = await fetchPage(w, first.cursor)
  const third = await fetchPage(w, second.cursor)
  t.match(third, { complete: true, entries: { length: 10 } })
  const ids = [first, second, third].flatMap(({ entries }) => entries.map(({ id }) => id))
  t.equal(new Set(ids).size, feedMaxEntries * 2 + 10)
  t.same(
    ids,
    [...ids].sort((a, b) => a - b)
  )
  const reader = new Reader()
  await reader.follow(w)
  t.ok(reader.knows('session-1') && reader.knows(`session-${feedMaxEntries * 2 + 10}`))
})

t.test('a replica that has read less than another sends nobody back', async (t) => {
  const w = await world(t)
  const other = await w.replica()
  await signOut(w)
  const reader = new Reader()
  await reader.follow(w)
  await reader.follow(w, other)
  t.equal(reader.resets, 0)
})

t.test('a replica that started when all was forgotten sends nobody back either', async (t) => {
  const w = await world(t)
  await signOut(w)
  const reader = new Reader()
  await reader.follow(w)
  w.wait(3_600_000)
  await w.app.revocations.read()
  const late = await w.replica()
  await reader.follow(w, late)
  await reader.follow(w)
  t.equal(reader.resets, 0)
  t.same((await fetchPage(w, origin, late)).entries, [])
})

t.test('a reader that knows what the database has lost is told, and begins anew', async (t) => {
  const w = await world(t)
  const [kept, lost] = [await signOut(w), await signOut(w)]
  const reader = new Reader()
  await reader.follow(w)
  await sql`delete from revocation where subject = ${lost}`.execute(w.app.db)
  await w.app.revocations.read()
  const document = await fetchPage(w, reader.cursor)
  t.match(document, { reset: true, since: reader.cursor, cursor: origin, entries: [], complete: false })
  await reader.follow(w)
  t.equal(reader.resets, 1)
  t.ok(reader.knows(kept))
  t.notOk(reader.knows(lost), 'what is lost is lost')
})

t.test('and also where the database has gone on since, beyond what the reader knows', async (t) => {
  const w = await world(t)
  await signOut(w)
  const lost = await signOut(w)
  const reader = new Reader()
  await reader.follow(w)
  const { rows } = await sql<{ id: string }>`delete from revocation where subject = ${lost} returning id`.execute(
    w.app.db
  )
  await sql.raw(`alter table revocation alter column id restart with ${rows[0]!.id}`).execute(w.app.db)
  await insertMany(w, 1, 3)
  await w.app.revocations.read()
  t.ok(
    w.app.revocations.find(principal({ accountId: 'x', authenticator: 'bearer', sessionId: 'session-1', revision: 0 }))
  )
  await reader.follow(w)
  t.equal(reader.resets, 1)
  t.ok(
    ['session-1', 'session-2', 'session-3'].every((sid) => reader.knows(sid)),
    'none is passed by'
  )
})

t.test('what cannot be a cursor is refused; what is none of ours begins anew', async (t) => {
  const w = await world(t)
  await signOut(w)
  for (const query of [
    'since=',
    'since=1',
    'since=-1.abcdefgh',
    'since=1.abcdefghi',
    'since=9999999999999999999.abcdefgh',
    'since=0&since=0',
    "since=0'--",
    'wait=31',
    'wait=-1',
    'wait=1e9',
    'wait=x',
    'limit=5'
  ]) {
    const response = await w.app.inject(`/v1/revocations?${query}`)
    t.match(response.json(), { status: 400, code: 'validation_failed' }, query)
  }
  for (const since of ['1.abcdefgh', '999999.abcdefgh', '9999999999999999.abcdefgh']) {
    t.match(await fetchPage(w, since), { reset: true, since }, since)
  }
})

t.test('a cursor ahead while the database is down is not known to be lost', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const app = await w.replica((options) => ({ ...options, database: { ...options.database, url: link.url } }))
  await link.cut()
  const response = await app.inject('/v1/revocations?since=999999.abcdefgh')
  t.match(response.json(), { status: 503, code: 'service_unavailable' })
  t.ok(response.headers['retry-after'])
  t.match(await fetchPage(w, origin, app), { entries: [] }, 'what is known is told all the same')
})

t.test('a wait is over as soon as something ends, on whichever replica', async (t) => {
  const w = await world(t)
  const other = await w.replica()
  const waiting = other.inject('/v1/revocations?since=0&wait=30')
  const tokens = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token: tokens.refresh_token })
  const { entries } = await read(w, (await waiting).body)
  t.match(entries, [{ kind: 'session', sub: sessionOf(tokens.access_token) }])
})

t.test('who is behind does not wait; who is not is answered when the time is over', async (t) => {
  const w = await world(t)
  const sid = await signOut(w)
  const behind = await w.app.inject('/v1/revocations?since=0&wait=30')
  const { entries, cursor } = await read(w, behind.body)
  t.match(entries, [{ sub: sid }])
  const inTime = await w.app.inject(`/v1/revocations?since=${cursor}&wait=1`)
  t.match(await read(w, inTime.body), { entries: [], cursor })
})

t.test('so many may wait, and no more; whoever goes away makes room', async (t) => {
  const { w, url } = await listening(t, withFeed({ maxWaiting: 2 }))
  const leaving = new AbortController()
  const wait = () => fetch(`${url}/v1/revocations?wait=30`, { signal: leaving.signal })
  const waiting = [wait(), wait(), wait()]
  const refused = await Promise.race(waiting)
  t.match(await refused.json(), { status: 503, code: 'service_unavailable' })
  t.equal(refused.headers.get('retry-after'), '5')
  t.equal((await w.app.inject('/v1/revocations')).statusCode, 200, 'whoever does not wait is served')
  leaving.abort()
  await Promise.allSettled(waiting)
  t.ok(await until(async () => (await w.app.inject('/v1/revocations?wait=1')).statusCode === 200))
})

t.test('a replica that stops answers whoever waits', async (t) => {
  const { w, url } = await listening(t)
  const waiting = request(`${url}/v1/revocations?wait=30`)
  const reading = await fetch(`${url}/v1/revocations/stream`)
  const stream = reading.text()
  await w.app.close()
  t.equal((await waiting).status, 200)
  t.match(await stream, /^: alive\nid: 0\ndata: /)
})

t.test('where it is for clients alone, it asks for the permission', async (t) => {
  const w = await world(t, withFeed({ access: 'clients' }))
  const client = async (permissions: string[], scopes: string[]) => {
    const { user } = await w.login(await w.account())
    await w.app.flows.setUserPermissions(user.id, permissions)
    const { key } = await w.app.flows.createApiToken(user.id, { name: 'feed', scopes })
    return { authorization: `Token ${key}` }
  }
  for (const url of ['/v1/revocations', '/v1/revocations/stream']) {
    t.match((await w.app.inject(url)).json(), { status: 401, code: 'authentication_required' })
    const without = await w.app.inject({ url, headers: await client([], []) })
    t.match(without.json(), { status: 403, code: 'permission_denied' })
    const narrow = await w.app.inject({ url, headers: await client(['keyturn.revocations'], ['profile']) })
    t.match(narrow.json(), { status: 403, code: 'insufficient_scope' })
  }
  const headers = await client(['keyturn.revocations'], ['revocations'])
  const response = await w.app.inject({ url: '/v1/revocations', headers })
  t.equal(response.statusCode, 200)
  t.match(response.headers, { 'cache-control': 'private, no-cache', 'access-control-allow-origin': undefined })
})
