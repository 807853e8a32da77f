import t from 'tap'
import { type HeldSession, judgeRefresh, type RotationRules, type RotationVerdict } from '../../src/domain/rotation.js'

const now = new Date('2030-01-01T12:00:00Z')
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)

const rules: RotationRules = { replayWindow: 30_000, lostResponse: 'recover' }
const strict: RotationRules = { ...rules, lostResponse: 'strict' }

/** A session that was rotated ten seconds ago, to generation 5. */
const held: HeldSession = {
  generation: 5,
  rotatedAt: at(-10),
  idleExpiresAt: at(3600),
  expiresAt: at(86_400),
  endedBecause: null,
  bound: false,
  accountDisabled: false
}
const bound: HeldSession = { ...held, bound: true }
const reuse: RotationVerdict = { kind: 'revoke', because: 'refresh_reused' }

const cases: Array<[string, HeldSession, number, RotationRules, RotationVerdict]> = [
  ['the current token rotates', held, 5, rules, { kind: 'rotate' }],
  ['a token ahead of a database that lost its last commits rotates', held, 6, rules, { kind: 'rotate' }],
  ['the predecessor gets its successor again', held, 4, rules, { kind: 'replay', late: false }],
  ['on the last instant of the window too', { ...held, rotatedAt: at(-30) }, 4, rules, { kind: 'replay', late: false }],
  ['after the window the predecessor is a copy', { ...held, rotatedAt: at(-31) }, 4, rules, reuse],
  ['in a cookie its answer was lost', { ...bound, rotatedAt: at(-7200) }, 4, rules, { kind: 'replay', late: true }],
  ['unless the setting is strict', { ...bound, rotatedAt: at(-31) }, 4, strict, reuse],
  ['strict keeps the window', bound, 4, strict, { kind: 'replay', late: false }],
  ['no window, no replay', { ...held, rotatedAt: at(-1) }, 4, { replayWindow: 0, lostResponse: 'strict' }, reuse],
  ['a token two generations old is a copy', held, 3, rules, reuse],
  ['also in a cookie', bound, 3, rules, reuse],
  ['also the very first one', held, 0, rules, reuse],
  ['a request that a rotation overtook is no copy', { ...held, rotatedAt: at(1) }, 3, rules, { kind: 'retry' }],
  ['not in a cookie either', { ...bound, rotatedAt: at(1) }, 0, strict, { kind: 'retry' }],
  [
    'a predecessor that was overtaken gets its successor',
    { ...held, rotatedAt: at(1) },
    4,
    rules,
    { kind: 'replay', late: false }
  ],
  ['in the very instant of a rotation a copy is a copy', { ...held, rotatedAt: now }, 3, rules, reuse],
  [
    'a session that is over stays over',
    { ...held, endedBecause: 'logout' },
    5,
    rules,
    { kind: 'refuse', because: 'ended' }
  ],
  ['and is not ended twice', { ...held, endedBecause: 'logout' }, 1, rules, { kind: 'refuse', because: 'ended' }],
  [
    'a disabled account gets nothing',
    { ...held, accountDisabled: true },
    5,
    rules,
    { kind: 'refuse', because: 'disabled' }
  ],
  ['not by a replay either', { ...held, accountDisabled: true }, 4, rules, { kind: 'refuse', because: 'disabled' }],
  [
    'an idle session expires on the instant',
    { ...held, idleExpiresAt: now },
    5,
    rules,
    { kind: 'refuse', because: 'expired' }
  ],
  ['an absolute end is an end', { ...held, expiresAt: now }, 5, rules, { kind: 'refuse', because: 'expired' }],
  ['for a replay too', { ...held, expiresAt: now }, 4, rules, { kind: 'refuse', because: 'expired' }]
]

t.test('a request that came before the rotation and is judged long after it is no copy', async (t) => {
  const arrival = { receivedAt: at(-11), isAbandoned: false }
  t.same(judgeRefresh(held, 3, rules, now, arrival), { kind: 'retry' })
  t.same(judgeRefresh(held, 3, rules, now, { ...arrival, receivedAt: held.rotatedAt }), reuse)
})

t.test('nor is one that nobody waits for any more, which gets nothing by that', async (t) => {
  const arrival = { receivedAt: now, isAbandoned: true }
  t.same(judgeRefresh(held, 3, rules, now, arrival), { kind: 'retry' })
  t.same(judgeRefresh({ ...held, endedBecause: 'logout' }, 3, rules, now, arrival), {
    kind: 'refuse',
    because: 'ended'
  })
})

t.test('its age gives nobody a longer window or a longer session', async (t) => {
  const arrival = { receivedAt: at(-60), isAbandoned: false }
  t.same(judgeRefresh({ ...held, rotatedAt: at(-31) }, 4, rules, now, arrival), { kind: 'retry' })
  t.same(judgeRefresh({ ...held, expiresAt: now }, 5, rules, now, arrival), { kind: 'refuse', because: 'expired' })
})

t.test('a time without a database does not count towards the window', async (t) => {
  const came = { receivedAt: now, isAbandoned: false }
  const rotated = { ...held, rotatedAt: at(-100) }
  const judge = (since: number, until: number, generation = 4) =>
    judgeRefresh(rotated, generation, rules, now, { ...came, outage: { since: at(since), until: at(until) } })
  const replay: RotationVerdict = { kind: 'replay', late: false }
  t.same(judge(-90, -20), replay, 'ten seconds before it and twenty after it')
  t.same(judge(-200, -30), replay, 'what was before the rotation is no matter')
  t.same(judge(-80, 10), replay, 'and it lasts until it is over')
  t.same(judge(-90, -21), reuse, 'a second more in which the answer could be asked for')
  t.same(judge(-200, -120), reuse, 'one before the rotation')
  t.same(judge(-90, -20, 3), reuse, 'a token two generations old')
})

for (const [title, session, generation, settings, verdict] of cases) {
  t.test(title, async (t) => {
    t.same(judgeRefresh(session, generation, settings, now), verdict)
  })
}
