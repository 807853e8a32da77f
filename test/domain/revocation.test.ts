import fc from 'fast-check'
import t from 'tap'
import { principal } from '../../src/domain/principal.js'
import { type Revocation, type RevocationKind, RevocationSet } from '../../src/domain/revocation.js'

const now = new Date('2030-01-01T12:00:00Z')
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)
const entry = (id: number, kind: RevocationKind, subject: string, expiresAt = at(600)): Revocation => ({
  id,
  kind,
  subject,
  because: `entry ${id}`,
  expiresAt
})
const ada = principal({
  accountId: 'ada',
  authenticator: 'bearer',
  sessionId: 'session-1',
  tokenId: 'token-1',
  roles: new Set(['editor', 'author']),
  revision: 10
})

function setOf(...entries: Revocation[]): RevocationSet {
  const set = new RevocationSet()
  for (const one of entries) set.add(one)
  return set
}

const cases: Array<[string, Revocation, boolean]> = [
  ['the session, whenever it ended', entry(1, 'session', 'session-1'), true],
  ['the API token, whenever it was removed', entry(1, 'api_token', 'token-1'), true],
  ['the account, since', entry(11, 'account', 'ada'), true],
  ['the account, before', entry(9, 'account', 'ada'), false],
  ['the account, by the entry that was there', entry(10, 'account', 'ada'), false],
  ['a role, since', entry(11, 'role', 'author'), true],
  ['a role, before', entry(10, 'role', 'author'), false],
  ['another session', entry(11, 'session', 'session-2'), false],
  ['another API token', entry(11, 'api_token', 'token-2'), false],
  ['another account', entry(11, 'account', 'bob'), false],
  ['a role that it has not', entry(11, 'role', 'admin'), false],
  ['an account by the name of the session', entry(11, 'account', 'session-1'), false],
  ['a session by the id of the account', entry(11, 'session', 'ada'), false],
  ['a role by the id of the account', entry(11, 'role', 'ada'), false]
]
for (const [title, one, isEnded] of cases) {
  t.test(`an entry ends ${title}: ${isEnded}`, async (t) => {
    t.equal(setOf(one).find(ada), isEnded ? one : undefined)
  })
}

t.test('who has neither session nor token is found by account and roles alone', async (t) => {
  const set = setOf(entry(1, 'session', ''), entry(2, 'api_token', 'null'), entry(11, 'role', 'editor'))
  const service = principal({ accountId: 'ada', authenticator: 'basic', revision: 0 })
  t.equal(set.find(service), undefined)
  t.match(set.find({ ...service, roles: new Set(['editor']) }), { id: 11 })
})

t.test('the later entry of a subject counts, in whatever order they come', async (t) => {
  const [early, late] = [entry(9, 'account', 'ada', at(900)), entry(12, 'account', 'ada', at(300))]
  for (const order of [
    [early, late],
    [late, early]
  ]) {
    t.match(setOf(...order).find(ada), { id: 12 })
  }
})

t.test('what two entries of a subject end is remembered until the longer of both', async (t) => {
  const [early, late] = [entry(9, 'account', 'ada', at(900)), entry(12, 'account', 'ada', at(300))]
  for (const order of [
    [early, late],
    [late, early]
  ]) {
    const set = setOf(...order)
    set.prune(at(899))
    t.match(set.find(ada), { id: 12 })
    set.prune(at(900))
    t.equal(set.find(ada), undefined)
  }
})

t.test('an entry is forgotten on the instant at which what it ends has expired, and the cursor stays', async (t) => {
  const set = setOf(entry(11, 'session', 'session-1'), entry(12, 'role', 'editor', at(700)))
  t.equal(set.size, 2)
  set.prune(at(599))
  t.equal(set.size, 2)
  set.prune(at(600))
  t.equal(set.size, 1)
  t.equal(set.find({ ...ada, roles: new Set() }), undefined)
  set.prune(at(700))
  t.equal(set.size, 0)
  t.equal(set.cursor, 12)
})

t.test('names that objects have by themselves are names like others', async (t) => {
  const set = setOf(entry(11, 'role', 'constructor'))
  t.equal(set.find({ ...ada, roles: new Set(['__proto__', 'toString']) }), undefined)
  t.match(set.find({ ...ada, roles: new Set(['constructor']) }), { id: 11 })
})

t.test('by whatever entries: ended is who holds a session or token that is named, or was issued before', async (t) => {
  const kind = fc.constantFrom<RevocationKind>('session', 'account', 'role', 'api_token')
  const subject = fc.constantFrom('a', 'b', 'c')
  const entries = fc
    .array(fc.tuple(kind, subject), { maxLength: 12 })
    .map((list) => list.map(([k, s], index) => entry(index + 1, k, s)))
  const who = fc.record({
    accountId: subject,
    sessionId: fc.option(subject),
    tokenId: fc.option(subject),
    roles: fc.subarray(['a', 'b', 'c']).map((roles) => new Set(roles)),
    revision: fc.nat(13)
  })
  fc.assert(
    fc.property(entries, who, fc.infiniteStream(fc.nat()), (list, one, chance) => {
      const shuffled = list.map((e) => [chance.next().value, e] as const).sort(([a], [b]) => a - b)
      const set = setOf(...shuffled.map(([, e]) => e))
      const isEnded = list.some(
        ({ id, kind, subject }) =>
          (kind === 'session' && subject === one.sessionId) ||
          (kind === 'api_token' && subject === one.tokenId) ||
          (kind === 'account' && subject === one.accountId && id > one.revision) ||
          (kind === 'role' && one.roles.has(subject) && id > one.revision)
      )
      return (set.find(one) !== undefined) === isEnded && set.cursor === list.length
    }),
    { numRuns: 3_000 }
  )
  t.pass()
})
