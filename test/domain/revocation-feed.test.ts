import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { composeFeed } from '../../src/domain/feed-page.js'
import type { Revocation } from '../../src/domain/revocation.js'
import { origin } from '../../src/domain/revocation-cursor.js'
import {
  type FeedExpectation,
  feedMaxEntries,
  feedMaxLength,
  feedType,
  judgeFeed,
  passFeedGate
} from '../../src/domain/revocation-feed.js'
import { cursorOf } from '../../src/domain/revocation-log.js'
import { forge } from '../support/forge.js'

const now = new Date('2030-01-01T12:00:00Z')
const epoch = now.getTime() / 1000
const issuer = 'https://auth.test'
const entry = (id: number): Revocation => ({
  id,
  kind: 'session',
  subject: `session-${id}`,
  because: 'logout',
  expiresAt: new Date(now.getTime() + 600_400)
})
const cursor = (id: number) => cursorOf(entry(id))
const expected: FeedExpectation = { issuer, since: cursor(7), issuedAt: epoch - 30, leeway: 5 }
const entries = [entry(8), entry(9), entry(12)]
const good = composeFeed({ since: cursor(7), entries, cursor: cursor(12) }, issuer, now)

t.test('a page says what is new, and how far it goes', async (t) => {
  t.same(good, {
    iss: issuer,
    iat: epoch,
    exp: epoch + 60,
    since: cursor(7),
    cursor: cursor(12),
    complete: true,
    entries: [8, 9, 12].map((id) => ({ id, kind: 'session', sub: `session-${id}`, exp: epoch + 601 }))
  })
  t.notOk(JSON.stringify(good).includes('logout'), 'why is for nobody else')
})

t.test('a full page goes as far as its last entry, and says that more follows', async (t) => {
  const full = Array.from({ length: feedMaxEntries }, (_, n) => entry(n + 1))
  const page = composeFeed({ since: origin, entries: full, cursor: cursor(9_999) }, issuer, now)
  t.match(page, { complete: false, cursor: cursor(feedMaxEntries) })
  t.ok(JSON.stringify(page).length * 1.4 < feedMaxLength)
  t.match(judgeFeed(page, { ...expected, since: origin }, now), { kind: 'add', complete: false })
})

t.test('a cursor that means nothing is told to begin anew, without a word of anything else', async (t) => {
  const reset = composeFeed({ since: cursor(7), entries: undefined, cursor: cursor(3) }, issuer, now)
  t.match(reset, { reset: true, cursor: origin, complete: false, entries: [] })
  t.same(judgeFeed(reset, expected, now), { kind: 'reset', issuedAt: epoch })
})

t.test('what a reader accepts', async (t) => {
  t.same(judgeFeed(good, expected, now), {
    kind: 'add',
    entries: entries.map(({ id, subject }) => ({
      id,
      kind: 'session',
      subject,
      because: 'feed',
      expiresAt: new Date((epoch + 601) * 1000)
    })),
    cursor: cursor(12),
    complete: true,
    issuedAt: epoch,
    unknown: 0
  })
  const idle = composeFeed({ since: cursor(7), entries: [], cursor: cursor(7) }, issuer, now)
  t.match(judgeFeed(idle, expected, now), { kind: 'add', entries: [], cursor: cursor(7) })
  const further = composeFeed({ since: cursor(7), entries: [entry(8)], cursor: cursor(20) }, issuer, now)
  t.match(judgeFeed(further, expected, now), { kind: 'add', cursor: cursor(20) }, 'the last entry of all has expired')
  const slow = { ...good, iat: epoch - 33, exp: epoch + 27 }
  t.match(judgeFeed(slow, expected, now), { kind: 'add', issuedAt: epoch - 30 }, 'a replica whose clock is behind')
  const foreign = { ...good, entries: [{ ...good.entries[0], kind: 'whim' }, ...good.entries.slice(1)] }
  t.match(judgeFeed(foreign, expected, now), { kind: 'add', unknown: 1, entries: { length: 2 } })
})

const bad: Array<[string, unknown, string, Partial<FeedExpectation>?]> = [
  ['nothing', null, 'malformed'],
  ['a list', [good], 'malformed'],
  ['claims of an access token', { iss: issuer, sub: 'ada', iat: epoch, exp: epoch + 60 }, 'malformed'],
  ['a status list', { iss: issuer, sub: issuer, iat: epoch, exp: epoch + 60, status_list: {} }, 'malformed'],
  ['entries that are none', { ...good, entries: [null] }, 'malformed'],
  ['an entry without an id', { ...good, entries: [{ kind: 'session', sub: 'x', exp: epoch }] }, 'malformed'],
  ['an id in a text', { ...good, entries: [{ ...good.entries[0], id: '8' }] }, 'malformed'],
  ['a subject without end', { ...good, entries: [{ ...good.entries[0], sub: 'x'.repeat(65) }] }, 'malformed'],
  ['an end in no number', { ...good, entries: [{ ...good.entries[0], exp: Number.POSITIVE_INFINITY }] }, 'malformed'],
  ['a cursor without its check', { ...good, cursor: '12' }, 'malformed'],
  ['exp as a text', { ...good, exp: String(good.exp) }, 'malformed'],
  ['more entries than there can be', { ...good, entries: Array(feedMaxEntries + 1).fill(null) }, 'too_many_entries'],
  ['of another issuer', { ...good, iss: 'https://other.test' }, 'issuer_wrong'],
  ['of the same issuer with a slash', { ...good, iss: `${issuer}/` }, 'issuer_wrong'],
  ['expired', { ...good, iat: epoch - 66, exp: epoch - 5 }, 'expired'],
  ['of the future', { ...good, iat: epoch + 6, exp: epoch + 66 }, 'not_yet_valid'],
  ['that lives for a day', { ...good, exp: epoch + 86_400 }, 'life_too_long'],
  ['that ends before it begins', { ...good, exp: epoch }, 'life_too_long'],
  ['from before the last one', good, 'older_than_the_last', { issuedAt: epoch + 6 }],
  ['of an older cursor, replayed', { ...good, since: cursor(3) }, 'since_wrong'],
  ['of the origin, replayed', { ...good, since: origin }, 'since_wrong'],
  ['of the same id before the database was lost', { ...good, since: '7.AAAAAAAA' }, 'since_wrong'],
  [
    'a reset for another cursor',
    { ...good, since: cursor(3), cursor: origin, reset: true, entries: [] },
    'since_wrong'
  ],
  ['a reset with entries', { ...good, cursor: origin, reset: true }, 'malformed'],
  [
    'a reset of the origin',
    { ...good, since: origin, cursor: origin, reset: true, entries: [] },
    'order_wrong',
    { since: origin }
  ],
  ['that goes back', { ...good, cursor: cursor(6), entries: [] }, 'order_wrong'],
  ['with an entry of before', { ...good, entries: [{ ...good.entries[0], id: 7 }] }, 'order_wrong'],
  ['with an entry twice', { ...good, entries: [good.entries[0], good.entries[0]] }, 'order_wrong'],
  ['with an entry beyond its cursor', { ...good, cursor: cursor(9) }, 'order_wrong'],
  ['with a hole before what follows', { ...good, complete: false, cursor: cursor(20) }, 'order_wrong'],
  ['that promises more and goes nowhere', { ...good, complete: false, cursor: cursor(7), entries: [] }, 'order_wrong']
]
for (const [title, payload, because, change] of bad) {
  t.test(`a document is refused: ${title}`, async (t) => {
    t.same(judgeFeed(payload, { ...expected, ...change }, now), { kind: 'refuse', because })
  })
}

t.test('before its signature is looked at, a text has to be a document of the feed', async (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = { alg: 'ES256', kid: 'k', typ: feedType }
  const text = forge('ES256', privateKey, header, good)
  t.match(passFeedGate(text), { ok: true, header })
  const refused: Array<[string, string, string]> = [
    ['an access token', forge('ES256', privateKey, { ...header, typ: 'at+jwt' }, good), 'type_wrong'],
    ['a status list', forge('ES256', privateKey, { ...header, typ: 'statuslist+jwt' }, good), 'type_wrong'],
    ['an event', forge('ES256', privateKey, { ...header, typ: 'secevent+jwt' }, good), 'type_wrong'],
    ['without a type', forge('ES256', privateKey, { alg: 'ES256', kid: 'k' }, good), 'type_wrong'],
    ['unsigned', `${text.split('.').slice(0, 2).join('.')}.`, 'not_canonical'],
    ['by no algorithm', forge('ES256', privateKey, { ...header, alg: 'none' }, good), 'algorithm_refused'],
    ['by a shared secret', forge('HS256', 'secret', { ...header, alg: 'HS256' }, good), 'algorithm_refused'],
    ['with a key of its own', forge('ES256', privateKey, { ...header, jwk: {} }, good), 'header_member_unknown'],
    ['too long', `${text}${'A'.repeat(feedMaxLength)}`, 'too_long'],
    ['empty', '', 'not_a_compact_jws']
  ]
  for (const [title, one, because] of refused) t.match(passFeedGate(one), { ok: false, because }, title)
})
