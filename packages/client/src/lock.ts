import type { Timing } from './clock.js'

/** Runs one thing at a time. `contended` tells it that somebody else was there before. */
export type Lock = <T>(run: (contended: boolean) => Promise<T>) => Promise<T>

type Request = (options: LockOptions, run: (lock: unknown) => unknown) => Promise<unknown>

/** One tab's own queue, where the browser has no Web Locks. */
function queue(): Request {
  let tail: Promise<unknown> | undefined
  return ({ ifAvailable }, run) => {
    if (ifAvailable && tail !== undefined) return Promise.resolve(run(null))
    const turn = Promise.resolve(tail).then(() => run(true))
    const end = turn
      .catch(() => {})
      .then(() => {
        if (tail === end) tail = undefined
      })
    tail = end
    return turn
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
  return (run) =>
    new Promise((resolve, reject) => {
      const waiting = new AbortController()
      let entered = false
      const enter = async (contended: boolean) => {
        if (entered) return
        entered = true
        cancel()
        await run(contended).then(resolve, reject)
      }
      const cancel = clock.after(patience, () => {
        waiting.abort()
        onPassed()
        void enter(true)
      })
      const wait = async () => {
        let busy = false
        await request({ ifAvailable: true }, (lock) => {
          busy = lock === null
          return busy ? undefined : enter(false)
        })
        if (busy) await request({ signal: waiting.signal }, () => enter(true))
      }
      // Refused, as in a frame without an origin, or given up.
      wait().catch(() => enter(true))
    })
}
