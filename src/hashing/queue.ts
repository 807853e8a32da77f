import { Worker } from 'node:worker_threads'
import type { LegacyCheck } from '../domain/legacy-password.js'
import { Refusal } from '../domain/refusal.js'

export type HashJob =
  | {
      readonly kind: 'hash'
      readonly password: string
      readonly options: { algorithm: number; memoryCost: number; timeCost: number; parallelism: number }
    }
  | { readonly kind: 'verify'; readonly password: string; readonly hash: string }
  | { readonly kind: 'verify-legacy'; readonly password: string; readonly check: LegacyCheck }

interface Waiting {
  readonly job: HashJob
  readonly since: number
  readonly onStart: ((waited: number) => void) | undefined
  resolve(value: unknown): void
  reject(error: Error): void
}

export interface HashQueueOptions {
  /** Worker threads, each hashing one password at a time. They begin with the first passwords that need them. */
  readonly concurrency: number
  /** How many may wait beyond those; the next one is refused. */
  readonly maxWaiting: number
  /** Milliseconds after which one who waits is refused: its client has given up by then. */
  readonly maxWait: number
  /** Milliseconds after which a thread ends that has nothing to do; a minute where it is left out. */
  readonly idleFor?: number
}

/** Of so many jobs, the last ones, the median is what a job is thought to take: one that was held up says nothing of the next. */
const remembered = 9
const minute = 60_000
/** Before so many are done, nothing is thought: the first ones also pay for a thread that has just begun. */
const enough = 3

/**
 * Runs hash jobs in worker threads, in the order in which they came, and refuses what it cannot do in time: at the door
 * (`admit`), so that nothing is spent on a request that is refused.
 */
export class HashQueue {
  readonly #options: HashQueueOptions
  /** The one that has done nothing for longest is the first. */
  readonly #idle: { readonly worker: Worker; readonly since: number }[] = []
  /** What each thread does, and the one that it has been given to do next. The one that began first is the first. */
  readonly #busy = new Map<Worker, readonly [Waiting, Waiting?]>()
  readonly #waiting: Waiting[] = []
  #admitted = 0
  /** Milliseconds that the last jobs took, the newest at the end. */
  readonly #took: number[] = []
  #duration = 0
  #retiring: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: HashQueueOptions) {
    this.#options = options
  }

  /** Worker threads that there are now. */
  get threads(): number {
    return this.#idle.length + this.#busy.size
  }

  /** Also those that a thread has been given to do next. */
  get waiting(): number {
    let given = 0
    for (const [, following] of this.#busy.values()) if (following !== undefined) given++
    return this.#waiting.length + given
  }

  /** Milliseconds that whoever came now would wait for a worker, as it looks. */
  #expectedWait(): number {
    const ahead = Math.max(0, this.#admitted - this.#options.concurrency + 1)
    return (ahead * this.#duration) / this.#options.concurrency
  }

  /** Why there is no place for one more: there are too many, or its turn would come too late. Null where there is one. */
  whyFull(): Refusal | null {
    const { concurrency, maxWaiting, maxWait } = this.#options
    const wait = this.#expectedWait()
    if (this.#admitted < concurrency + maxWaiting && wait <= maxWait) return null
    const because = wait > maxWait ? 'would wait too long to be hashed' : 'hash queue full'
    return new Refusal('overloaded', { because, retryAfter: Math.max(1, Math.ceil(wait / 1000)) })
  }

  /**
   * Does work whose passwords have a place here from its beginning to its end. Throws `overloaded` before any of it where
   * there is none.
   */
  async admit<T>(work: () => Promise<T>): Promise<T> {
    const full = this.whyFull()
    if (full !== null) throw full
    this.#admitted++
    try {
      return await work()
    } finally {
      this.#admitted--
    }
  }

  /** Does a job, once it is its turn; `onStart` is told how many milliseconds that took. */
  run(job: HashJob, onStart?: (waited: number) => void): Promise<unknown> {
    if (this.#closed) return Promise.reject(new Refusal('service_unavailable', { because: 'closing', retryAfter: 1 }))
    // Those who were let in find a place; this is for whoever did not come by the door.
    const { concurrency, maxWaiting } = this.#options
    if (this.#busy.size >= concurrency && this.waiting >= maxWaiting) {
      return Promise.reject(new Refusal('overloaded', { because: 'hash queue full', retryAfter: 1 }))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, since: performance.now(), onStart, resolve, reject })
      this.#next()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retiring)
    const closing = new Refusal('service_unavailable', { because: 'closing', retryAfter: 1 })
    for (const { reject } of this.#waiting.splice(0)) reject(closing)
    await Promise.all(
      [...this.#idle.map(({ worker }) => worker), ...this.#busy.keys()].map((worker) => worker.terminate())
    )
  }

  #spawn(): Worker {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] })
    worker.on('message', ({ value, error, took }: { value?: unknown; error?: string; took: number }) => {
      const [done, following] = this.#busy.get(worker) ?? []
      this.#busy.delete(worker)
      if (following !== undefined) this.#begins(worker, following)
      else {
        this.#idle.push({ worker, since: performance.now() })
        this.#retireLater()
        worker.unref()
      }
      this.#learn(took)
      if (error === undefined) done?.resolve(value)
      else done?.reject(new Error(error))
      this.#next()
    })
    worker.on('error', (error) => this.#replace(worker, error))
    worker.on('exit', () => this.#replace(worker, new Error('hash worker ended')))
    // Only a worker that has something to do keeps the process alive.
    worker.unref()
    return worker
  }

  #learn(took: number): void {
    this.#took.push(took)
    if (this.#took.length > remembered) this.#took.shift()
    if (this.#took.length < enough) return
    this.#duration = this.#took.toSorted((a, b) => a - b)[this.#took.length >> 1]!
  }

  /** A worker that died takes what it did with it; the others go on, and so does the one that it would have done next. */
  #replace(worker: Worker, error: Error): void {
    const [lost, following] = this.#busy.get(worker) ?? []
    const at = this.#idle.findIndex((one) => one.worker === worker)
    if (lost === undefined && at < 0) return
    this.#busy.delete(worker)
    if (at >= 0) this.#idle.splice(at, 1)
    lost?.reject(error)
    if (this.#closed) following?.reject(error)
    else {
      if (following !== undefined) this.#waiting.unshift(following)
      this.#next()
    }
  }

  /** Ends threads that had nothing to do for a while, but for the last one: each is memory that nobody uses. */
  #retireLater(): void {
    if (this.#retiring !== undefined || this.threads < 2) return
    const { idleFor = minute } = this.#options
    this.#retiring = setTimeout(() => {
      this.#retiring = undefined
      const over = this.#idle.filter(({ since }) => performance.now() - since >= idleFor).slice(0, this.threads - 1)
      for (const { worker } of this.#idle.splice(0, over.length)) worker.terminate()
      this.#retireLater()
    }, idleFor).unref()
  }

  #begins(worker: Worker, waiting: Waiting): void {
    this.#busy.set(worker, [waiting])
    waiting.onStart?.(performance.now() - waiting.since)
  }

  /**
   * Where all threads are busy each is given the one that it does next, and has no pause while this thread is told of the
   * last result: where all cores hash, 4 % more sign-ins.
   */
  #give(waiting: Waiting): boolean {
    const { concurrency, maxWait } = this.#options
    const free = this.#idle.pop()?.worker ?? (this.#busy.size < concurrency ? this.#spawn() : undefined)
    if (free !== undefined) {
      this.#begins(free, waiting)
      free.ref()
      free.postMessage(waiting.job)
      return true
    }
    // Whoever may have to be refused when the turn comes is not given away.
    if (performance.now() - waiting.since + this.#duration > maxWait) return false
    for (const [worker, [current, following]] of this.#busy) {
      if (following !== undefined) continue
      this.#busy.set(worker, [current, waiting])
      worker.postMessage(waiting.job)
      return true
    }
    return false
  }

  #next(): void {
    for (;;) {
      const [waiting] = this.#waiting
      if (waiting === undefined) return
      if (performance.now() - waiting.since > this.#options.maxWait) {
        waiting.reject(new Refusal('overloaded', { because: 'waited too long to be hashed', retryAfter: 1 }))
      } else if (!this.#give(waiting)) return
      this.#waiting.shift()
    }
  }
}
