import t, { type Test } from 'tap'
import { HashQueue } from '../../src/hashing/queue.js'

/** One password at a time, each of which takes longer than anybody may wait. */
function slowQueue(t: Test) {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 100, maxWait: 10 })
  t.teardown(() => queue.close())
  const options = { algorithm: 2, memoryCost: 65_536, timeCost: 4, parallelism: 1 }
  const hash = () => queue.admit(() => queue.run({ kind: 'hash', password: 'correct horse battery', options }))
  return { queue, hash }
}

t.test('whoever would have to wait too long is refused at once, by what the last ones took', async (t) => {
  const { queue, hash } = slowQueue(t)
  await hash()
  t.equal(queue.whyFull(), null, 'with nobody in front there is no wait')
  const first = hash()
  t.match(queue.whyFull(), { code: 'overloaded', because: 'would wait too long to be hashed', retryAfter: Number })
  await t.rejects(hash(), { code: 'overloaded' })
  t.equal(queue.waiting, 0, 'and it never waited')
  await first
  t.equal(queue.whyFull(), null)
})

t.test('a place is free again however the work ended', async (t) => {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 0, maxWait: 1_000 })
  t.teardown(() => queue.close())
  await t.rejects(
    queue.admit(async () => {
      t.match(queue.whyFull(), { because: 'hash queue full' })
      throw new Error('of the work')
    }),
    { message: 'of the work' }
  )
  t.equal(queue.whyFull(), null)
})
