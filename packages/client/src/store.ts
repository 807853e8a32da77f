import type { Context } from './context.js'
import type { AuthEvent, AuthState } from './types.js'

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
export function createStore(log: Context['log']): Store {
  let state: AuthState = Object.freeze({ status: 'loading' })
  let telling = false
  const untold: AuthEvent[] = []
  const listeners = new Set<(event: AuthEvent) => void>()

  const call = (listener: (event: AuthEvent) => void, event: AuthEvent) => {
    try {
      listener(event)
    } catch (error) {
      globalThis.reportError?.(error)
      log('error', 'listener_failed')
    }
  }
  // Each by itself: one function may be given twice, and taken back once.
  const on = (listener: (event: AuthEvent) => void) => {
    const own = (event: AuthEvent) => listener(event)
    listeners.add(own)
    return () => void listeners.delete(own)
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
        for (const listener of [...listeners]) call(listener, event)
      }
      telling = false
    },
    subscribe: (listener) => on(({ type }) => type === 'state' && listener()),
    on
  }
}
