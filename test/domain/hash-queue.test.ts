import { existsSync, readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { HashQueue } from '../../src/hashing/queue.js'
import { until } from '../support/until.js'

/** One password at a time, each of which takes longer than anybody may wait. */
function slowQueue(t: Test) {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 100, maxWait: 10 })
  t.teardown(() => queue.close())
  return { queue, hash: () => hashOn(queue, 65_536, 4) }
}

function hashOn(queue: HashQueue, memoryCost: number, timeCost: number) {
  const options = { algorithm: 2, memoryCost, timeCost, parallelism: 1 }
  return queue.admit(() => queue.run({ kind: 'hash', password: 'correct horse battery', options }))
}

t.test('whoever would have to wait too long is refused at once, by what the last ones took', async (t) => {
  const { queue, hash } = slowQueue(t)
  for (let n = 0; n < 3; n++) await hash()
  t.equal(queue.whyFull(), null, 'with nobody in front there is no wait')
  const first = hash()
  t.match(queue.whyFull(), { code: 'overloaded', because: 'would wait too long to be hashed', retryAfter: Number })
  await t.rejects(hash(), { code: 'overloaded' })
  t.equal(queue.waiting, 0, 'and it never waited')
  await first
  t.equal(queue.whyFull(), null)
})

t.test('one that was held up says nothing of how long the next ones wait', async (t) => {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 100, maxWait: 1_000 })
  t.teardown(() => queue.close())
  const quick = () => hashOn(queue, 8, 1)
  await hashOn(queue, 65_536, 20)
  const soon = Array.from({ length: 20 }, quick)
  t.equal(queue.whyFull(), null, 'nor the very first one, which waits for its thread')
  await Promise.all(soon)
  await hashOn(queue, 65_536, 20)
  const later = Array.from({ length: 20 }, quick)
  t.equal(queue.whyFull(), null)
  await Promise.all(later)
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

/** Where the system tells. */
const threadsOfProcess = () => (existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0)

t.test('threads begin with what needs them, and end where nothing does, but for one', async (t) => {
  const queue = new HashQueue({ concurrency: 3, maxWaiting: 100, maxWait: 10_000, idleFor: 50 })
  t.teardown(() => queue.close())
  const at = (many: number) => Array.from({ length: many }, () => hashOn(queue, 8, 1))
  t.equal(queue.threads, 0)
  for (const _ of [1, 2]) {
    const one = at(1)
    t.equal(queue.threads, 1, 'one for one, which is used again')
    await Promise.all(one)
  }
  for (const _ of [1, 2]) {
    const many = at(9)
    const most = threadsOfProcess()
    t.equal(queue.threads, 3, 'as many as there may be')
    await Promise.all(many)
    t.ok(await until(() => queue.threads === 1), 'once more where nothing needs them')
    t.ok(await until(() => threadsOfProcess() <= Math.max(0, most - 2)), 'and the others are gone')
  }
})
