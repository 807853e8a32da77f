import type { AuthEvent, AuthState, LogEvent } from './types.js'

export interface Store {
  readonly state: AuthState
  /** Changes the state at once. Who listens hears of it at the next `flush`. */
  commit(next: AuthState): void
  emit(event: AuthEvent): void
  /** Tells what has happened since, in order. Called where no lock is held. */
  flush(): void
  subscribe(listener: () => void): () => void
  on(listener: (event: AuthEvent) => void): () => void
}

/** The state, who listens to it, and what they have not heard yet. */
export function createStore(log: (event: LogEvent) => void): Store {
  let state: AuthState = Object.freeze({ status: 'loading' })
  let telling = false
  const untold: AuthEvent[] = []
  const subscribers = new Set<() => void>()
  const listeners = new Set<(event: AuthEvent) => void>()

  const call = (run: () => unknown) => {
    try {
      run()
    } catch (error) {
      globalThis.reportError?.(error)
      log({ level: 'error', code: 'listener_failed' })
    }
  }
  const add = <T>(set: Set<T>, one: T) => {
    set.add(one)
    return () => void set.delete(one)
  }

  return {
    get state() {
      return state
    },
    commit(next) {
      const previous = state
      state = Object.freeze(next)
      untold.push({ type: 'state', state, previous })
    },
    emit: (event) => void untold.push(event),
    flush() {
      // A listener that calls back in finds its events told after this one.
      if (telling) return
      telling = true
      for (let event = untold.shift(); event !== undefined; event = untold.shift()) {
        const told = event
        if (told.type === 'state') for (const subscriber of [...subscribers]) call(subscriber)
        for (const listener of [...listeners]) call(() => listener(told))
      }
      telling = false
    },
    // Each by itself: one function may be given twice, and taken back once.
    subscribe: (listener) => add(subscribers, () => listener()),
    on: (listener) => add(listeners, (event) => listener(event))
  }
}
