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
  /** Worker threads, each hashing one password at a time. */
  readonly concurrency: number
  /** How many may wait beyond those; the next one is refused. */
  readonly maxWaiting: number
  /** Milliseconds after which one who waits is refused: its client has given up by then. */
  readonly maxWait: number
}

/** Runs hash jobs in worker threads, in the order in which they came, and refuses what it cannot do in time. */
export class HashQueue {
  readonly #options: HashQueueOptions
  readonly #idle: Worker[] = []
  readonly #busy = new Map<Worker, Waiting>()
  readonly #waiting: Waiting[] = []
  #closed = false

  constructor(options: HashQueueOptions) {
    this.#options = options
    for (let n = 0; n < options.concurrency; n++) this.#idle.push(this.#spawn())
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Does a job, once it is its turn; `onStart` is told how many milliseconds that took. */
  run(job: HashJob, onStart?: (waited: number) => void): Promise<unknown> {
    if (this.#closed) return Promise.reject(new Refusal('service_unavailable', { because: 'closing', retryAfter: 1 }))
    // Full is judged before anything is spent on the request.
    if (this.#idle.length === 0 && this.#waiting.length >= this.#options.maxWaiting) {
      return Promise.reject(new Refusal('overloaded', { because: 'hash queue full', retryAfter: 1 }))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, since: performance.now(), onStart, resolve, reject })
      this.#next()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const closing = new Refusal('service_unavailable', { because: 'closing', retryAfter: 1 })
    for (const { reject } of this.#waiting.splice(0)) reject(closing)
    await Promise.all([...this.#idle, ...this.#busy.keys()].map((worker) => worker.terminate()))
  }

  #spawn(): Worker {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] })
    worker.on('message', ({ value, error }: { value?: unknown; error?: string }) => {
      const done = this.#busy.get(worker)
      this.#busy.delete(worker)
      this.#idle.push(worker)
      worker.unref()
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

  /** A worker that died takes its one job with it; the others go on. */
  #replace(worker: Worker, error: Error): void {
    const lost = this.#busy.get(worker)
    const at = this.#idle.indexOf(worker)
    if (lost === undefined && at < 0) return
    this.#busy.delete(worker)
    if (at >= 0) this.#idle.splice(at, 1)
    lost?.reject(error)
    if (this.#closed) return
    this.#idle.push(this.#spawn())
    this.#next()
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const waiting = this.#waiting.shift()!
      if (performance.now() - waiting.since > this.#options.maxWait) {
        waiting.reject(new Refusal('overloaded', { because: 'waited too long to be hashed', retryAfter: 1 }))
        continue
      }
      waiting.onStart?.(performance.now() - waiting.since)
      const worker = this.#idle.pop()!
      this.#busy.set(worker, waiting)
      worker.ref()
      worker.postMessage(waiting.job)
    }
  }
}
