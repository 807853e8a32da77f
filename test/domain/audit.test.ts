import t from 'tap'
import { type Ends, follow, macOfEnds, origin, type Place, verifyChain } from '../../src/domain/audit-chain.js'
import { type AuditEvent, callerWithin, composeAuditEvent, needsAttention } from '../../src/domain/audit-event.js'

const at = new Date('2030-01-01T12:00:00Z')
const id = (n: number) => `01944f6c-3c00-7000-8000-${String(n).padStart(12, '0')}`
const [ada, eve, sid] = [id(1), id(2), id(3)]
const key = Buffer.alloc(32, 'chain key')

const caller = {
  source: 'request',
  address: '192.0.2.1',
  userAgent: 'Check/1',
  accountId: eve,
  sessionId: sid,
  clientId: 'web',
  amr: ['pwd']
} as const

t.test('an event says whom it concerns and, where that is somebody else, who did it', async (t) => {
  const compose = (account: string | undefined) =>
    composeAuditEvent('user.disabled', { account }, caller, { id: id(9), at })
  t.match(compose(ada), { accountId: ada, actorId: eve, sessionId: sid, clientId: 'web', address: '192.0.2.1' })
  t.match(compose(eve), { accountId: eve, actorId: null })
  t.match(compose(undefined), { accountId: null, actorId: eve })
  const within = composeAuditEvent('user.disabled', { account: ada }, callerWithin('command'), { id: id(9), at })
  t.match(within, { accountId: ada, actorId: null, source: 'command', address: null })
})

t.test('nothing gets into an event that its catalogue does not name', async (t) => {
  const facts = { account: ada, token: sid, kind: 'personal', key: 'ktp_secret', password: 'hunter2' }
  t.same(composeAuditEvent('api_token.created', facts, caller, { id: id(9), at }).details, {
    token: sid,
    kind: 'personal'
  })
})

t.test('ids that are none of ours, and texts that are too long, do not spoil an event', async (t) => {
  const foreign = { ...caller, accountId: 'user@elsewhere', sessionId: 'x', clientId: 'c'.repeat(500) }
  const event = composeAuditEvent('login.failed', { because: 'b'.repeat(500) }, foreign, { id: id(9), at })
  t.match(event, { accountId: null, actorId: null, sessionId: null })
  t.equal(event.reason!.length, 200)
  t.equal(event.clientId!.length, 128)
})

t.test('attention is asked for by the event, or by what it says', async (t) => {
  t.equal(needsAttention({ event: 'password.changed', details: {} }), true)
  t.equal(needsAttention({ event: 'login.succeeded', details: { new_device: true } }), true)
  t.equal(needsAttention({ event: 'login.succeeded', details: { new_device: false } }), false)
  t.equal(needsAttention({ event: 'session.ended', details: {} }), false)
  t.equal(needsAttention({ event: 'of.tomorrow', details: {} }), false)
})

type Linked = AuditEvent & Place

/** Five events in a chain, and its ends. */
function chain(): { events: Linked[]; ends: Ends & { mac: Buffer } } {
  let last = origin
  const events = [1, 2, 3, 4, 5].map((n) => {
    const event = composeAuditEvent('user.roles_changed', { account: ada, roles: ['a', 'b'] }, caller, {
      id: id(10 + n),
      at: new Date(at.getTime() + n)
    })
    last = follow(key, last, event)
    return { ...event, ...last }
  })
  return { events, ends: sealed({ first: origin, last }) }
}

const sealed = (ends: Ends) => ({ ...ends, mac: macOfEnds(key, ends) })

async function* each(events: readonly Linked[]) {
  yield* events
}

t.test('a chain that nobody touched is intact, also from where retention left it', async (t) => {
  const { events, ends } = chain()
  t.match(await verifyChain(key, ends, each(events)), { intact: 5, broken: null, last: { position: 5 } })
  const [, second, ...rest] = events
  const kept = sealed({ first: { position: 2, link: second!.link }, last: ends.last })
  t.match(await verifyChain(key, kept, each(rest)), { intact: 3, broken: null })
  t.match(await verifyChain(key, undefined, each([])), { intact: 0, broken: null })
})

t.test('what was changed, removed, put in or cut off is found where it is', async (t) => {
  const { events, ends } = chain()
  const [first, second, third, fourth, fifth] = events as [Linked, Linked, Linked, Linked, Linked]
  const found = async (rows: readonly Linked[], by = ends) => (await verifyChain(key, by, each(rows))).broken
  for (const [what, change] of Object.entries({
    id: { id: id(99) },
    event: { event: 'user.enabled' },
    outcome: { outcome: 'failure' as const },
    time: { at: new Date(at.getTime() + 1_000) },
    account: { accountId: eve },
    actor: { actorId: null },
    session: { sessionId: null },
    client: { clientId: null },
    source: { source: 'service' as const },
    address: { address: '192.0.2.2' },
    agent: { userAgent: null },
    factors: { amr: [] },
    reason: { reason: 'x' },
    details: { details: { roles: ['a'] } }
  })) {
    const rows = [first, second, { ...third, ...change }, fourth, fifth]
    t.match(await found(rows), { position: 3, because: 'changed' }, what)
  }
  t.match(await found([first, second, fourth, fifth]), { position: 3, because: 'missing' })
  t.match(await found([second, third, fourth, fifth]), { position: 1, because: 'missing' })
  t.match(await found([first, second, third]), { position: 4, because: 'missing' })
  const inserted = { ...third, position: 3, link: Buffer.alloc(32, 1) }
  t.match(await found([first, second, inserted, third, fourth, fifth]), { position: 3, because: 'changed' })
  // As a copy of the database would have it that went on by itself: linked with the key, and yet not what was here.
  const otherCourse = { ...third, reason: 'x' }
  const spliced = { ...otherCourse, ...follow(key, second, otherCourse) }
  t.match(await found([first, second, spliced, fourth, fifth]), { position: 4, because: 'changed' })
  t.match((await verifyChain(key, undefined, each(events))).broken, { position: 1, because: 'ends' })
  const moved = { ...ends, first: { position: 2, link: second.link } }
  t.match(await found([third, fourth, fifth], moved), { position: 3, because: 'ends' }, 'ends that nobody sealed')
  const cut = { ...ends, last: { position: 3, link: third.link } }
  t.match(await found([first, second, third], cut), { because: 'ends' })
  t.match((await verifyChain(Buffer.alloc(32, 'other'), ends, each(events))).broken, { because: 'ends' })
})

t.test('the order in which a database gives the members of details is of no account', async (t) => {
  const [event] = chain().events as [Linked]
  const one = follow(key, origin, { ...event, details: { a: 1, b: 2 } })
  t.same(follow(key, origin, { ...event, details: { b: 2, a: 1 } }), one)
})
