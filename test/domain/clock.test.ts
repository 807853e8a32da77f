import fc from 'fast-check'
import t from 'tap'
import { adjustOffset } from '../../src/domain/clock.js'

t.test('the first reading is taken in the middle of its bounds', async (t) => {
  t.equal(adjustOffset(undefined, { askedAt: 100, answeredAt: 110, time: 1_105 }), 1_000)
})

t.test('an offset within the bounds of a reading stands; outside them it moves to the nearer one', async (t) => {
  const reading = { askedAt: 100, answeredAt: 120, time: 1_110 }
  t.equal(adjustOffset(1_003, reading), 1_003)
  t.equal(adjustOffset(0, reading), 990)
  t.equal(adjustOffset(5_000, reading), 1_010)
})

t.test('whatever the readings took, the error is no greater than the quickest one since the last step', async (t) => {
  const delays = fc.tuple(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 900 }))
  const property = fc.property(fc.integer(), fc.array(delays, { minLength: 1, maxLength: 20 }), (truth, readings) => {
    let offset: number | undefined
    let at = 1_000
    for (const [there, back] of readings) {
      offset = adjustOffset(offset, { askedAt: at, answeredAt: at + there + back, time: at + there + truth })
      at += 1_000
    }
    const quickest = Math.min(...readings.map(([there, back]) => there + back))
    return Math.abs(offset! - truth) <= quickest
  })
  t.doesNotThrow(() => fc.assert(property))
})
