import t from 'tap'
import { makeIdEntropy } from '../../src/plugins/id-entropy.js'

t.test('no bytes are given out twice, nor change once they were given out', async (t) => {
  const bytes = makeIdEntropy()
  const given = Array.from({ length: 2_000 }, (_, n) => bytes(n % 3 === 0 ? 16 : 13))
  const texts = given.map((one) => one.toString('hex'))
  t.equal(new Set(texts).size, 2_000)
  bytes(4096)
  t.same(
    given.map((one) => one.toString('hex')),
    texts
  )
  t.ok(given.every((one, n) => one.length === (n % 3 === 0 ? 16 : 13)))
  t.throws(() => bytes(4097), /an id of 4097 bytes/)
})

t.test('bytes are spread as chance has it', async (t) => {
  const bytes = makeIdEntropy()
  const counts = new Array<number>(256).fill(0)
  for (let n = 0; n < 16_384; n++) for (const one of bytes(16)) counts[one]!++
  // 1,024 of each are expected; six standard deviations are 192.
  t.ok(counts.every((count) => Math.abs(count - 1_024) < 192))
})
