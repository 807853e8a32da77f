import { existsSync, readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
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

/** The threads that are given something, as often as they are. */
function given(t: Test): Worker[] {
  const workers: Worker[] = []
  const { postMessage } = Worker.prototype
  Worker.prototype.postMessage = function (this: Worker, ...message: Parameters<Worker['postMessage']>) {
    workers.push(this)
    return postMessage.apply(this, message)
  }
  t.teardown(() => {
    Worker.prototype.postMessage = postMessage
  })
  return workers
}

t.test('a thread has what it does next before it is done, and a free one comes first', async (t) => {
  const queue = new HashQueue({ concurrency: 2, maxWaiting: 100, maxWait: 10_000 })
  t.teardown(() => queue.close())
  const workers = given(t)
  const waited: number[] = []
  const work = Array.from({ length: 6 }, (_, n) =>
    queue.run(
      { kind: 'hash', password: `${n}`, options: { algorithm: 2, memoryCost: 8, timeCost: 1, parallelism: 1 } },
      () => waited.push(n)
    )
  )
  t.same(workers, [workers[0], workers[1], workers[0], workers[1]], 'two for each')
  t.not(workers[0], workers[1])
  t.equal(queue.waiting, 4, 'what is next still waits')
  t.same(waited, [0, 1])
  await Promise.all(work)
  t.same(waited.toSorted(), [0, 1, 2, 3, 4, 5], 'and all have begun')
  t.equal(queue.threads, 2)
})

t.test('a thread that dies takes along what it did, and nothing else', async (t) => {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 100, maxWait: 10_000 })
  t.teardown(() => queue.close())
  const workers = given(t)
  const slow = hashOn(queue, 65_536, 20)
  const others = [hashOn(queue, 8, 1), hashOn(queue, 8, 1)]
  t.equal(workers.length, 2)
  const ended = t.rejects(slow, { message: 'hash worker ended' })
  await workers[0]!.terminate()
  await ended
  t.match(await Promise.all(others), [/^\$argon2id/, /^\$argon2id/])
  t.not(workers.at(-1), workers[0])
})

t.test('whoever waits when it is closed is told, also what a thread would have done next', async (t) => {
  const queue = new HashQueue({ concurrency: 1, maxWaiting: 100, maxWait: 10_000 })
  const work = [hashOn(queue, 65_536, 20), hashOn(queue, 8, 1), hashOn(queue, 8, 1)]
  const told = Promise.allSettled(work)
  await queue.close()
  t.match(await told, [
    { status: 'rejected', reason: { message: 'hash worker ended' } },
    { status: 'rejected', reason: { message: 'hash worker ended' } },
    { status: 'rejected', reason: { code: 'service_unavailable' } }
  ])
})

t.test('whoever may wait too long is given to no thread before its turn', async (t) => {
  const { queue } = slowQueue(t)
  const workers = given(t)
  const run = (memoryCost: number, timeCost: number) =>
    queue.run({
      kind: 'hash',
      password: 'correct horse battery',
      options: { algorithm: 2, memoryCost, timeCost, parallelism: 1 }
    })
  // From here on each is thought to take longer than anybody may wait.
  for (let n = 0; n < 3; n++) await run(65_536, 4)
  const before = workers.length
  const first = run(65_536, 4)
  const second = run(8, 1)
  t.equal(workers.length - before, 1)
  await t.rejects(second, { code: 'overloaded', because: 'waited too long to be hashed' })
  await first
})
