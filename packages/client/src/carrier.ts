import type { Outgoing } from './transport.js'
import type { LogEvent, RefreshTokenStore } from './types.js'

/** What of a request carries the refresh token. */
type Carried = Pick<Outgoing, 'cookies' | 'body'>

/** Where the refresh token is, and how it travels. */
export interface Carrier {
  /** What a sign-in asks for. */
  readonly wanted: 'cookie' | 'body'
  /** For a request with the refresh token; null where there is none. Rejects where that cannot be known. */
  carry(): Promise<Carried | null>
  /** Keeps the refresh token of an answer. Never rejects. */
  keep(token: string | undefined): Promise<void>
  /** Forgets it. Never rejects. */
  clear(): Promise<void>
}

/** In the cookie: the browser keeps it, and no script sees it. Whether there is one, the service alone knows. */
const inCookie: Carrier = {
  wanted: 'cookie',
  carry: async () => ({ cookies: true }),
  keep: async () => {},
  clear: async () => {}
}

function inBodies(store: RefreshTokenStore, log: (event: LogEvent) => void): Carrier {
  // A token that the store would not take. The one that is in the store was used already.
  let unsaved: string | undefined
  const failed = () => log({ level: 'error', code: 'store_failed' })
  return {
    wanted: 'body',
    async carry() {
      const token = unsaved ?? (await store.get())
      return token ? { body: { refresh_token: token } } : null
    },
    async keep(token) {
      if (token === undefined) return
      unsaved = token
      try {
        await store.set(token)
        unsaved = undefined
      } catch {
        failed()
      }
    },
    async clear() {
      unsaved = undefined
      await store.clear().catch(failed)
    }
  }
}

function inMemory(): RefreshTokenStore {
  let kept: string | null = null
  const keep = async (token: string | null) => {
    kept = token
  }
  return { get: async () => kept, set: keep, clear: () => keep(null) }
}

export function createCarrier(
  transport: 'cookie' | 'memory' | RefreshTokenStore,
  log: (event: LogEvent) => void
): Carrier {
  if (transport === 'cookie') return inCookie
  return inBodies(transport === 'memory' ? inMemory() : transport, log)
}
