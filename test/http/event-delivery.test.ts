import { createPublicKey } from 'node:crypto'
import { jwtVerify } from 'jose'
import t from 'tap'
import * as outbox from '../../src/storage/event-outbox.js'
import { type Answer, receiver } from '../support/receiver.js'
import { freePort } from '../support/service.js'
import { until } from '../support/until.js'
import { goodPassword, issuer, type World, world } from '../support/world.js'

const revoked = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
const add = (w: World, url: string, more: { audience?: string; authorization?: string } = {}) =>
  w.app.flows.addReceiver({ url, audience: 'https://shop.test', note: '', authorization: undefined, ...more })
const pending = (w: World) => w.app.db.selectFrom('event_outbox').selectAll().orderBy('revocation_id').execute()
const events = (w: World, event: string) => w.logs.filter((line) => line.includes(`"event":"${event}"`)).length

/** Signs somebody in and out. */
async function signOut(w: World): Promise<{ sub: string; sid: string }> {
  const { access_token, refresh_token, user } = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token })
  const { sid } = JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString())
  return { sub: user.id, sid }
}

t.test('a receiver is told of a logout by a signed event, once', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  await add(w, shop.url, { authorization: 'Bearer of good news' })
  const { sub, sid } = await signOut(w)
  await w.app.eventDelivery.deliver()
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 1)
  const [{ headers, body }] = shop.received as [(typeof shop.received)[0]]
  t.match(headers, {
    'content-type': 'application/secevent+jwt',
    accept: 'application/json',
    authorization: 'Bearer of good news'
  })
  const { kid, publicJwk } = w.app.keys.signing()
  const { payload, protectedHeader } = await jwtVerify(
    body,
    createPublicKey({ key: publicJwk as never, format: 'jwk' }),
    { issuer, audience: 'https://shop.test', typ: 'secevent+jwt', currentDate: w.now() }
  )
  t.same(protectedHeader, { alg: 'ES256', kid, typ: 'secevent+jwt' })
  t.match(payload, {
    jti: String,
    sub_id: {
      format: 'complex',
      user: { format: 'iss_sub', iss: issuer, sub },
      session: { format: 'opaque', id: sid }
    },
    events: { [revoked]: { initiating_entity: 'user', event_timestamp: w.now().getTime() / 1000 } }
  })
  t.same(await pending(w), [])
  t.equal(events(w, 'event.delivered'), 1)
})

t.test('each end of sessions is one event, and what ends none is none', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  await add(w, shop.url)
  await w.role('reader')
  const name = await w.account()
  const { user } = await w.login(name)
  await w.app.flows.setUserPermissions(user.id, ['x'])
  await w.app.flows.putRole({ name: 'reader', permissions: ['y'] })
  const { token, key } = await w.app.flows.createApiToken(user.id, { name: 'x' })
  await w.app.flows.deleteApiToken(user.id, token.id)
  t.ok(key)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 0)

  const users = (at: number) => shop.received[at]!.claims.sub_id
  await w.app.flows.endUserSessions(user.id)
  await w.app.eventDelivery.deliver()
  t.same(users(0), { format: 'iss_sub', iss: issuer, sub: user.id })
  const [kept] = [await w.login(name), await w.login(name), await w.login(name)]
  const body = { current_password: goodPassword, new_password: 'another battery horse' }
  await w.as(kept!.access_token, 'POST', '/v1/me/password', body)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 3, 'the two other sessions')
  t.match(users(1), { format: 'complex', user: { sub: user.id } })
  await w.app.flows.disableUser(user.id)
  await w.app.eventDelivery.deliver()
  t.match(shop.received[3]!.claims, { sub_id: { format: 'iss_sub', sub: user.id } })
  t.match(shop.received[3]!.claims.events[revoked], { initiating_entity: 'admin' })
})

t.test('an event is there with its revocation, or neither is', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  await add(w, shop.url)
  const { user } = await w.login(await w.account())
  const entry = {
    kind: 'account' as const,
    subject: user.id,
    because: 'logout_all',
    created_at: w.now(),
    expires_at: new Date(w.now().getTime() + 600_000)
  }
  const undone = w.app.db.transaction().execute(async (trx) => {
    await trx.insertInto('revocation').values(entry).execute()
    throw new Error('undone')
  })
  await t.rejects(undone)
  t.same(await pending(w), [])
  for (const subject of ['not-a-uuid', '00000000-0000-4000-8000-000000000000']) {
    await w.app.db
      .insertInto('revocation')
      .values({ ...entry, kind: 'session', subject })
      .execute()
  }
  t.same(await pending(w), [], 'a session that nobody knows harms nobody')
})

t.test('a receiver that is down is told when it is up again, and the event is the same', async (t) => {
  const w = await world(t)
  const port = await freePort()
  await add(w, `http://127.0.0.1:${port}/events`)
  await signOut(w)
  await w.app.eventDelivery.deliver()
  const [row] = await pending(w)
  t.match(row, { attempts: 1, failed_at: null })
  t.ok(row!.due_at > w.now())
  t.equal(events(w, 'event.postponed'), 1)
  const shop = await receiver(t, port)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 0, 'not before it is due')
  w.wait(1_000)
  await w.app.eventDelivery.deliver()
  t.same(shop.taken(), [row!.id])
  t.same(await pending(w), [])
})

const answers: Array<[string, Answer]> = [
  ['an error', { status: 500, body: 'x'.repeat(100_000) }],
  ['a refusal of its credential', { status: 401 }],
  ['a redirect', { status: 307, headers: { location: 'http://127.0.0.1:1/elsewhere' } }],
  ['silence', 'silence']
]
for (const [title, answer] of answers) {
  t.test(`${title} is tried again, with longer and longer pauses`, async (t) => {
    const w = await world(t, (options) => ({ ...options, events: { ...options.events, timeout: 300 } }))
    const shop = await receiver(t)
    shop.answer = (_, count) => (count < 4 ? answer : { status: 202 })
    await add(w, shop.url)
    await signOut(w)
    const pauses: number[] = []
    for (let attempt = 1; attempt <= 3; attempt++) {
      await w.app.eventDelivery.deliver()
      const [row] = await pending(w)
      pauses.push(row!.due_at.getTime() - w.now().getTime())
      w.wait(pauses.at(-1)!)
    }
    t.ok(
      pauses.every((pause, at) => pause >= 500 * 2 ** at && pause <= 1_000 * 2 ** at),
      String(pauses)
    )
    await w.app.eventDelivery.deliver()
    t.equal(shop.received.length, 4)
    t.equal(new Set(shop.received.map(({ claims }) => claims.jti)).size, 1)
    t.same(await pending(w), [])
  })
}

t.test('a redirect is not followed: neither event nor credential goes anywhere else', async (t) => {
  const w = await world(t)
  const [shop, elsewhere] = [await receiver(t), await receiver(t)]
  for (const status of [301, 302, 303, 307, 308]) {
    shop.answer = () => ({ status, headers: { location: elsewhere.url } })
    const { id } = await add(w, shop.url, { authorization: 'Bearer secret' })
    t.match(await w.app.eventDelivery.verify(id), { status })
    await w.app.flows.removeReceiver(id)
  }
  t.equal(elsewhere.received.length, 0)
})

t.test('a receiver that says that an event is wrong is not asked again, and its word is kept', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  shop.answer = () => ({ status: 400, body: JSON.stringify({ err: 'invalid_audience', description: 'not me' }) })
  const { id } = await add(w, shop.url)
  await signOut(w)
  await w.app.eventDelivery.deliver()
  w.wait(86_400_000)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 1)
  t.match(await w.app.flows.listReceivers(), [{ id, waiting: 0, failed: 1, lastError: 'invalid_audience' }])
  t.equal(events(w, 'event.failed'), 1)
})

t.test('a receiver that asks for patience gets it', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  shop.answer = (_, count) => (count === 1 ? { status: 503, headers: { 'retry-after': '120' } } : { status: 204 })
  await add(w, shop.url)
  await signOut(w)
  await w.app.eventDelivery.deliver()
  w.wait(119_000)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 1)
  w.wait(1_000)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 2)
})

t.test('after a day an event is given up', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  shop.answer = () => ({ status: 500 })
  await add(w, shop.url)
  await signOut(w)
  w.wait(86_400_000)
  await w.app.eventDelivery.deliver()
  t.match(await pending(w), [{ failed_at: w.now(), error: 'given up after 1 attempts: status 500' }])
})

t.test('one that is slow delays nobody else', async (t) => {
  const w = await world(t)
  const [slow, shop] = [await receiver(t), await receiver(t)]
  slow.answer = () => 'silence'
  await add(w, slow.url)
  await add(w, shop.url)
  for (let n = 0; n < 3; n++) await signOut(w)
  const turn = w.app.eventDelivery.deliver()
  t.ok(await until(() => shop.received.length === 3))
  await signOut(w)
  void w.app.eventDelivery.deliver()
  t.ok(await until(() => shop.received.length === 4), 'while the other one keeps silent')
  await slow.stop()
  await turn
})

t.test('two replicas deliver many events, each at least once, as the same event', async (t) => {
  const w = await world(t)
  const other = await w.replica()
  const shop = await receiver(t)
  shop.answer = (_, count) => ({ status: count % 4 === 0 ? 500 : 202 })
  await add(w, shop.url)
  const ends: string[] = []
  for (let n = 0; n < 25; n++) ends.push((await signOut(w)).sid)
  for (let round = 0; round < 20 && (await pending(w)).length > 0; round++) {
    await Promise.all([w.app.eventDelivery.deliver(), other.eventDelivery.deliver()])
    w.wait(60_000)
  }
  const taken = shop.taken()
  t.equal(new Set(taken).size, 25)
  t.equal(taken.length, 25, 'and none twice where nobody dies')
  const sessions = new Map(
    shop.received.map(({ claims }) => [claims.jti, (claims.sub_id.session as { id: string }).id])
  )
  t.same([...sessions.values()].sort(), ends.sort())
})

t.test('what a replica took before it died is delivered by another, once its lease is over', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  const { id } = await add(w, shop.url)
  await signOut(w)
  // What a replica does that dies right after.
  const lease = new Date(w.now().getTime() + 10_000)
  const [claimed] = await outbox.claim(w.app.db, id, w.now(), lease, 10)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 0)
  w.wait(10_000)
  await w.app.eventDelivery.deliver()
  t.same(shop.taken(), [claimed!.id])
  t.same(await pending(w), [])
})

t.test('whoever took an event too long ago settles nothing any more', async (t) => {
  const w = await world(t)
  const { id } = await add(w, (await receiver(t)).url)
  await signOut(w)
  const lease = new Date(w.now().getTime() + 10_000)
  const [first] = await outbox.claim(w.app.db, id, w.now(), lease, 10)
  const [second] = await outbox.claim(w.app.db, id, lease, new Date(lease.getTime() + 10_000), 10)
  t.equal(second!.id, first!.id)
  await outbox.postpone(w.app.db, first!, w.now())
  await outbox.bury(w.app.db, first!, 'late', w.now())
  await outbox.remove(w.app.db, first!)
  t.match(await pending(w), [{ attempts: 2, failed_at: null, due_at: new Date(lease.getTime() + 10_000) }])
})

t.test('a service that listens delivers by itself, woken by the revocation', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  await add(w, shop.url)
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  const other = await w.replica()
  const { refresh_token } = await w.login(await w.account())
  await other.inject({ method: 'POST', url: '/v1/logout', payload: { refresh_token } })
  t.ok(await until(() => shop.taken().length === 1))
})

t.test('a service that stops waits for no receiver, and leaves what it could not say to the next one', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  let isAsked = false
  shop.answer = () => {
    isAsked = true
    return 'silence'
  }
  await add(w, shop.url)
  const other = await w.replica()
  await signOut(w)
  const turn = other.eventDelivery.deliver()
  t.ok(await until(() => isAsked))
  await other.close()
  await turn
  shop.answer = () => ({ status: 202 })
  await w.app.eventDelivery.deliver()
  t.equal(shop.taken().length, 1, 'at once, not when the lease is over')
})

t.test('a receiver that rests is told nothing, and one that is removed leaves nothing behind', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  const { id } = await add(w, shop.url)
  await signOut(w)
  await w.app.flows.setReceiverEnabled(id, false)
  await signOut(w)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 0)
  await w.app.flows.setReceiverEnabled(id, true)
  await w.app.eventDelivery.deliver()
  t.equal(shop.received.length, 1, 'what ended before')
  await signOut(w)
  await w.app.flows.removeReceiver(id)
  t.same(await pending(w), [])
})

t.test('a receiver is added with an address that it can have', async (t) => {
  const w = await world(t)
  const { id } = await add(w, 'https://shop.example/events', { authorization: 'Bearer very-secret' })
  t.match(await w.app.db.selectFrom('event_receiver').selectAll().execute(), [{ id }])
  const rows = await w.app.db.selectFrom('event_receiver').select('sealed_authorization').execute()
  t.notOk(rows[0]!.sealed_authorization!.includes('very-secret'), 'sealed')
  t.notOk(w.logs.join().includes('very-secret'))
  for (const [title, attempt] of [
    ['twice', () => add(w, 'https://shop.example/events')],
    ['no address', () => add(w, 'nowhere')],
    ['no TLS', () => add(w, 'http://shop.example/')],
    ['no audience', () => add(w, 'https://a.example/', { audience: '' })],
    ['a header of two lines', () => add(w, 'https://a.example/', { authorization: 'Bearer a\r\nx: y' })]
  ] as const) {
    await t.rejects(attempt(), { code: 'validation_failed' }, title)
  }
  for (const unknown of ['x', '00000000-0000-4000-8000-000000000000']) {
    await t.rejects(w.app.flows.removeReceiver(unknown), { code: 'not_found' })
    await t.rejects(w.app.flows.setReceiverEnabled(unknown, true), { code: 'not_found' })
    await t.rejects(w.app.eventDelivery.verify(unknown), { code: 'not_found' })
  }
})

t.test('a verification event can be sent to try it', async (t) => {
  const w = await world(t)
  const shop = await receiver(t)
  const { id } = await add(w, shop.url)
  t.match(await w.app.eventDelivery.verify(id), { status: 202 })
  t.match(shop.received[0]!.claims, {
    aud: 'https://shop.test',
    sub_id: { format: 'opaque', id },
    events: { 'https://schemas.openid.net/secevent/ssf/event-type/verification': { state: String } }
  })
  await shop.stop()
  t.match(await w.app.eventDelivery.verify(id), { failure: 'ECONNREFUSED' })
})
