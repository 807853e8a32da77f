import type { Context } from './context.js'
import type { Outgoing } from './transport.js'
import type { RefreshTokenStore } from './types.js'

/** Where the refresh token is, and how it travels. */
export interface Carrier {
  /** What a sign-in asks for. */
  readonly wanted: 'cookie' | 'body'
  /** What of a request carries the refresh token; null where there is none. Rejects where that cannot be known. */
  carry(): Promise<Pick<Outgoing, 'cookies' | 'body'> | null>
  /** Keeps the refresh token of an answer. Never rejects. */
  keep(token: string | undefined): Promise<void>
  /** Forgets it. Never rejects. */
  clear(): Promise<void>
}

export function createCarrier(transport: 'cookie' | 'memory' | RefreshTokenStore, log: Context['log']): Carrier {
  const wanted = transport === 'cookie' ? 'cookie' : 'body'
  const store = typeof transport === 'object' ? transport : undefined
  /** All that there is without a store; beside one, a token that it would not take: the one that it has was used already. */
  let kept: string | undefined

  async function inStore(use: (store: RefreshTokenStore) => Promise<void>): Promise<boolean> {
    try {
      await (store && use(store))
      return store !== undefined
    } catch {
      log('error', 'store_failed')
      return false
    }
  }

  return {
    wanted,
    async carry() {
      // Whether the browser has a cookie, the service alone knows.
      if (wanted === 'cookie') return { cookies: true }
      const token = kept ?? (await store?.get())
      return token ? { body: { refresh_token: token } } : null
    },
    async keep(token) {
      kept = token
      if (token !== undefined && (await inStore((one) => one.set(token)))) kept = undefined
    },
    async clear() {
      kept = undefined
      await inStore((one) => one.clear())
    }
  }
}
