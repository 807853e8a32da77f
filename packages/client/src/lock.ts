import type { Timing } from './clock.js'

/** Runs one thing at a time. `contended` tells it that somebody else was there before. */
export type Lock = <T>(run: (contended: boolean) => Promise<T>) => Promise<T>

type Request = (options: LockOptions, run: (lock: unknown) => unknown) => Promise<unknown>

/** One tab's own queue, where the browser has no Web Locks. */
function queue(): Request {
  const waiting: Array<() => void> = []
  let busy = false
  return async ({ ifAvailable }, run) => {
    if (busy) {
      if (ifAvailable) return await run(null)
      await new Promise<void>((resolve) => void waiting.push(resolve))
    }
    busy = true
    try {
      return await run(true)
    } finally {
      const next = waiting.shift()
      if (next) next()
      else busy = false
    }
  }
}

/**
 * A lock over all tabs of an origin that may delay and never blocks: after `patience` milliseconds whoever waits goes on
 * without it, since a tab that sleeps may hold it for ever. The service sorts out refreshes that come together; the lock only
 * saves them.
 */
export function createLock(name: string, clock: Timing, patience: number, onPassed: () => void): Lock {
  const locks = globalThis.navigator?.locks as LockManager | undefined
  const request: Request = locks ? (options, run) => locks.request(name, options, run) : queue()
  return <T>(run: (contended: boolean) => Promise<T>) =>
    new Promise<T>((resolve, reject) => {
      const waiting = new AbortController()
      let running: Promise<T> | undefined
      const enter = (contended: boolean) => {
        cancel()
        running ??= run(contended)
        return running
      }
      const cancel = clock.after(patience, () => {
        waiting.abort()
        onPassed()
        resolve(enter(true))
      })
      const wait = async () => {
        let busy = false
        await request({ ifAvailable: true }, (lock) => {
          busy = lock === null
          return busy ? undefined : enter(false)
        })
        if (busy) await request({ signal: waiting.signal }, () => enter(true))
      }
      // Told once the lock is free. It may be refused, as in a frame without an origin, or given up.
      wait()
        .catch(() => {})
        .then(() => enter(true))
        .then(resolve, reject)
    })
}
