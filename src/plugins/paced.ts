/** A run that may be asked for more often than it is worth doing. */
export interface Paced {
  /** Runs at once where the last start is long enough ago, and once at the end of the interval where it is not. */
  ask(): void
  /** Nothing is run after this. */
  stop(): void
}

/**
 * Runs at most once per interval, in milliseconds, however often it is asked to. Each time it is asked a run begins
 * afterwards, so that what was new then is seen by it.
 */
export function paced(run: () => void, interval: number): Paced {
  let startedAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  let isStopped = false

  function start(): void {
    timer = undefined
    startedAt = performance.now()
    run()
  }

  return {
    ask() {
      if (timer !== undefined || isStopped) return
      const left = startedAt + interval - performance.now()
      if (left <= 0) start()
      else timer = setTimeout(start, left).unref()
    },
    stop() {
      isStopped = true
      clearTimeout(timer)
    }
  }
}
