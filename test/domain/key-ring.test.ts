import fc from 'fast-check'
import t from 'tap'
import {
  isAlive,
  joseAlgorithm,
  type KeyTimes,
  keyStates,
  nextKey,
  planRevocation,
  planRotation,
  planScheduledRotation,
  signingKey,
  verifierCache
} from '../../src/domain/key-ring.js'

const start = Date.parse('2030-01-01T00:00:00Z')
const at = (seconds: number) => new Date(start + seconds * 1000)
const times = { publishAhead: 300_000, accessLifetime: 605_000 }

const one: KeyTimes = { kid: 'one', signsFrom: at(0), goneAt: null }

t.test('a key is next, then signing, then retiring, then gone', async (t) => {
  const plan = planRotation(times, at(1000))
  t.strictSame(plan, { signsFrom: at(1600), predecessorGoneAt: at(2805) })
  const keys = [
    { ...one, goneAt: plan.predecessorGoneAt },
    { kid: 'two', signsFrom: plan.signsFrom, goneAt: null }
  ]
  for (const [seconds, first, second] of [
    [1000, 'signing', 'next'],
    [1599.999, 'signing', 'next'],
    [1600, 'retiring', 'signing'],
    [2804.999, 'retiring', 'signing'],
    [2805, 'gone', 'signing']
  ] as const) {
    t.strictSame(Object.fromEntries(keyStates(keys, at(seconds))), { one: first, two: second }, `${seconds} s`)
  }
})

t.test('the order in which keys are listed does not count', async (t) => {
  const keys = [at(0), at(10), at(20)].map((signsFrom, n): KeyTimes => ({ kid: String(n), signsFrom, goneAt: null }))
  const orders = fc.shuffledSubarray(keys, { minLength: 3 })
  fc.assert(
    fc.property(orders, fc.integer({ min: -5, max: 40 }), (order, seconds) => {
      const expected = seconds < 10 ? '0' : seconds < 20 ? '1' : '2'
      return signingKey(order, at(seconds))?.kid === expected
    })
  )
  t.pass()
})

t.test('exactly one key signs while any is alive, and none that is gone', async (t) => {
  const keys = fc.uniqueArray(
    fc.record({
      kid: fc.string({ minLength: 1 }),
      signsFrom: fc.integer({ min: 0, max: 100 }).map(at),
      goneAt: fc.option(fc.integer({ min: 0, max: 100 }).map(at))
    }),
    { selector: ({ kid }) => kid, maxLength: 6 }
  )
  fc.assert(
    fc.property(keys, fc.integer({ min: -10, max: 110 }), (keys, seconds) => {
      const now = at(seconds)
      const states = [...keyStates(keys, now)]
      const signing = states.filter(([, state]) => state === 'signing')
      const alive = keys.filter(({ goneAt }) => goneAt === null || goneAt > now)
      return (
        signing.length === (alive.length > 0 ? 1 : 0) &&
        keys.every(
          ({ kid, goneAt }) =>
            (states.find(([one]) => one === kid)![1] === 'gone') === (goneAt !== null && goneAt <= now)
        )
      )
    }),
    { numRuns: 2_000 }
  )
  t.pass()
})

t.test('a replica whose clock is behind signs with the first key to come', async (t) => {
  t.equal(signingKey([{ kid: 'b', signsFrom: at(20), goneAt: null }, one], at(-60))?.kid, 'one')
  t.equal(signingKey([], at(0)), undefined)
  t.equal(signingKey([{ ...one, goneAt: at(5) }], at(5)), undefined)
})

interface MadeKey extends KeyTimes {
  readonly createdAt: Date
}

/** The ring after planned rotations, as the service makes them: none while there is a next key already. */
function rotate(
  plans: readonly number[],
  rotation: typeof times
): { keys: MadeKey[]; history: MadeKey[][]; until: number } {
  let keys: MadeKey[] = [{ ...one, createdAt: at(0) }]
  const history = [keys]
  let now = 0
  for (const wait of plans) {
    now += wait
    if (keys.some(({ signsFrom }) => signsFrom > at(now))) continue
    const plan = planRotation(rotation, at(now))
    const made: MadeKey = { kid: `${now}-${keys.length}`, createdAt: at(now), signsFrom: plan.signsFrom, goneAt: null }
    keys = [...keys.map((key) => (key.goneAt === null ? { ...key, goneAt: plan.predecessorGoneAt } : key)), made]
    history.push(keys)
  }
  return { keys, history, until: now + 10_000 }
}

/** What the key set said at an instant: the keys that were made by then, and were not gone. */
function publishedAt(history: readonly MadeKey[][], instant: Date): Set<string> {
  const known = history.findLast((keys) => keys.at(-1)!.createdAt <= instant) ?? history[0]!
  return new Set(known.filter(({ goneAt }) => goneAt === null || goneAt > instant).map(({ kid }) => kid))
}

t.test('a verifier that keeps the key set for its full time never meets a key that it does not know', async (t) => {
  const seconds = (max: number) => fc.integer({ min: 0, max })
  fc.assert(
    fc.property(
      fc.array(seconds(4_000), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 10, max: 3_600 }),
      fc.integer({ min: 30, max: 3_600 }),
      fc.array(
        fc.tuple(
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.double({ min: 0, max: 1, noNaN: true })
        ),
        { minLength: 20, maxLength: 20 }
      ),
      (plans, publishAhead, accessLifetime, samples) => {
        const rotation = { publishAhead: publishAhead * 1000, accessLifetime: accessLifetime * 1000 }
        const cache = Math.max(rotation.publishAhead, verifierCache) / 1000
        const { history, until } = rotate(plans, rotation)
        return samples.every(([when, age, staleness]) => {
          const signedAt = when * until
          const current = history.findLast((keys) => keys.at(-1)!.createdAt <= at(signedAt)) ?? history[0]!
          const signer = signingKey(current, at(signedAt))!
          const verifiedAt = signedAt + age * accessLifetime
          const fetchedAt = Math.max(0, verifiedAt - staleness * cache)
          return publishedAt(history, at(fetchedAt)).has(signer.kid)
        })
      }
    ),
    { numRuns: 2_000 }
  )
  t.pass()
})

t.test('a key stays until the last token it signed has expired, and a cache life more', async (t) => {
  const rotations = fc.record({
    publishAhead: fc.integer({ min: 0, max: 1e8 }),
    accessLifetime: fc.integer({ min: 0, max: 1e8 })
  })
  fc.assert(
    fc.property(rotations, (rotation) => {
      const { signsFrom, predecessorGoneAt } = planRotation(rotation, at(0))
      return (
        signsFrom.getTime() - start >= Math.max(rotation.publishAhead, verifierCache) &&
        predecessorGoneAt.getTime() - signsFrom.getTime() >= rotation.accessLifetime + verifierCache
      )
    })
  )
  t.pass()
})

t.test('Ed25519 goes by the name that every verifier knows', async (t) => {
  t.strictSame(
    ['ES256', 'Ed25519', 'RS256', 'PS256'].map((one) => joseAlgorithm(one as 'ES256')),
    ['ES256', 'EdDSA', 'RS256', 'PS256']
  )
})

const interval = 90 * 86_400_000
const due = interval / 1000
/** 600 s before the turn. */
const madeAt = due - 600
const key = (kid: string, signsFrom: number, goneAt: number | null = null, revokedBecause: string | null = null) => ({
  kid,
  signsFrom: at(signsFrom),
  goneAt: goneAt === null ? null : at(goneAt),
  revokedBecause
})

t.test('the calendar makes one key, one cache life before its turn', async (t) => {
  const rows: Array<[string, KeyTimes[], number, number | null, number | null]> = [
    ['nobody signs: at once', [], 500, interval, 500],
    ['nobody signs, and the calendar is off', [], 500, null, 500],
    ['all are gone', [key('one', 0, 100)], 500, interval, 500],
    ['all were revoked', [key('one', 0, 9_000, 'leaked')], 500, interval, 500],
    ['long before it is due', [one], 1_000, interval, null],
    ['a moment too early', [one], madeAt - 0.001, interval, null],
    ['in time', [one], madeAt, interval, due],
    ['a little late', [one], madeAt + 30, interval, due + 30],
    ['several intervals were missed: one key, and verifiers can know it', [one], 5 * due, interval, 5 * due + 600],
    ['it is off', [one], 5 * due, null, null],
    ['the next one waits already', [key('one', 0, due + 1205), key('two', due)], madeAt, interval, null],
    ['a command was first: its turn counts', [key('one', 0, 9_000), key('two', 8_000)], madeAt, interval, null],
    [
      'and the next is due an interval after that',
      [key('one', 0, 9_000), key('two', 8_000)],
      madeAt + 8_000,
      interval,
      due + 8_000
    ],
    [
      'another algorithm was configured meanwhile: its key waits',
      [key('one', 0, 4_000), key('two', 2_000, 5_000), key('three', 2_500)],
      1_500,
      interval,
      null
    ],
    [
      'the next one was revoked before its turn',
      [one, key('two', due, madeAt, 'leaked')],
      madeAt + 10,
      interval,
      due + 10
    ],
    [
      'the clock stepped back after the key was made',
      [key('one', 0, due + 1205), key('two', due)],
      -5_000,
      interval,
      null
    ],
    ['the clock stepped back behind the first key', [key('one', 0)], -5_000, interval, null],
    ['the clock stepped ahead: one key', [one], 40 * due, interval, 40 * due + 600],
    [
      'and then back: a turn in ten years stops nothing',
      [key('one', 0, 41 * due), key('two', 40 * due)],
      madeAt,
      interval,
      due
    ],
    ['the very first key was made by a clock of ten years ahead', [key('one', 40 * due)], 0, interval, 600],
    ['the one that signs ends, and nobody follows', [key('one', 0, 90_000)], 1_000, interval, 1_600],
    [
      'who would follow ends before its turn',
      [key('one', 0, 90_000), key('two', 80_000, 70_000)],
      1_000,
      interval,
      1_600
    ]
  ]
  for (const [title, keys, now, interval, turn] of rows) {
    const plan = planScheduledRotation(keys, times, interval, at(now))
    t.equal(plan === null ? null : (plan.signsFrom.getTime() - start) / 1000, turn, title)
    if (plan) t.equal(plan.predecessorGoneAt.getTime() - plan.signsFrom.getTime(), 1_205_000, title)
  }
})

t.test('the next key is the one that will have its turn', async (t) => {
  const kids = (keys: KeyTimes[], now: number) => nextKey(keys, times, interval, at(now))?.kid
  t.equal(kids([one], 10), undefined)
  t.equal(kids([key('one', 20)], 10), undefined, 'the first one signs although its turn is to come')
  t.equal(kids([one, key('two', 20)], 10), 'two')
  t.equal(kids([one, key('two', 20, 15)], 10), undefined, 'it ends before')
  t.equal(kids([one, key('two', 20, 90, 'leaked')], 10), undefined)
  t.equal(kids([one, key('three', 30), key('two', 20, 25)], 10), 'two')
})

t.test('a key that was revoked is gone whatever the clock says', async (t) => {
  const keys = [key('one', 0, 50, 'leaked'), key('two', 50)]
  for (const now of [-1_000, 0, 49, 50, 9_000]) {
    t.strictSame(Object.fromEntries(keyStates(keys, at(now))), { one: 'gone', two: 'signing' }, `${now} s`)
    t.notOk(isAlive(keys[0]!, at(now)))
  }
})

t.test('the key before a revoked one takes over its turn, until the one after', async (t) => {
  const keys = [key('one', 0, 3_000), key('two', 2_000, 4_000), key('three', 2_500)]
  const heir = (kid: string, now: number) => planRevocation(keys, kid, times, at(now))
  t.strictSame(heir('three', 100), { kid: 'two', goneAt: null })
  t.strictSame(heir('two', 100), { kid: 'one', goneAt: at(2_500 + 1_205) })
  t.equal(heir('one', 2_600), null, 'it has handed over')
  t.equal(heir('one', 100), null, 'nobody is before it')
})

t.test('whatever is done to the ring by the rules, every live token verifies with every key set in use', async (t) => {
  const access = 605
  const step = fc.record({
    wait: fc.integer({ min: 0, max: 4_000 }),
    what: fc.constantFrom('calendar', 'calendar', 'command', 'settings', 'revoke')
  })
  const unit = fc.double({ min: 0, max: 1, noNaN: true })
  const samples = fc.array(fc.tuple(unit, unit, unit), { minLength: 30, maxLength: 30 })
  const property = fc.property(
    fc.array(step, { minLength: 1, maxLength: 14 }),
    fc.integer({ min: 10, max: 3_600 }),
    fc.integer({ min: 600, max: 9_000 }),
    samples,
    (steps, publishAhead, interval, samples) => {
      const rules = { publishAhead: publishAhead * 1000, accessLifetime: access * 1000 }
      const cache = Math.max(publishAhead, verifierCache / 1000)
      let keys: KeyTimes[] = [one]
      const history = [{ from: 0, keys }]
      let now = 0
      for (const { wait, what } of steps) {
        now += wait
        const waiting = nextKey(keys, rules, interval * 1000, at(now))
        const plan =
          what === 'calendar'
            ? planScheduledRotation(keys, rules, interval * 1000, at(now))
            : what === 'settings' || (what === 'command' && waiting === undefined)
              ? planRotation(rules, at(now))
              : null
        if (plan !== null) {
          keys = keys.map((old) =>
            old.goneAt === null || old.goneAt > plan.predecessorGoneAt
              ? { ...old, goneAt: plan.predecessorGoneAt }
              : old
          )
          keys = [...keys, { kid: `${keys.length}`, signsFrom: plan.signsFrom, goneAt: null }]
        } else if (what === 'revoke' && waiting !== undefined) {
          const heir = planRevocation(keys, waiting.kid, rules, at(now))!
          keys = keys.map((old) =>
            old.kid === heir.kid
              ? { ...old, goneAt: heir.goneAt }
              : old === waiting
                ? { ...old, goneAt: at(now), revokedBecause: 'leaked' }
                : old
          )
        }
        history.push({ from: now, keys })
      }
      const ringAt = (seconds: number) => history.findLast(({ from }) => from <= seconds)!.keys
      return samples.every(([when, age, staleness]) => {
        const signedAt = when * (now + 5_000)
        const { kid } = signingKey(ringAt(signedAt), at(signedAt))!
        const verifiedAt = signedAt + age * access
        const fetchedAt = Math.max(0, verifiedAt - staleness * cache)
        return ringAt(fetchedAt).some((one) => one.kid === kid && isAlive(one, at(fetchedAt)))
      })
    }
  )
  fc.assert(property, { numRuns: 3_000 })
  t.pass()
})
