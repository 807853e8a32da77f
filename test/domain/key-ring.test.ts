import fc from 'fast-check'
import t from 'tap'
import {
  joseAlgorithm,
  type KeyTimes,
  keyStates,
  planRotation,
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
