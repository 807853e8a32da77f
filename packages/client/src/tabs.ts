import { isObject } from './problem.js'
import { parseSignOut } from './sign-out-mark.js'
import type { SessionInfo, SessionUser, SignedOutReason, TabSync } from './types.js'

/** What tabs tell each other. A refresh token is in none of it. */
export type TabMessage =
  | {
      readonly kind: 'tokens'
      readonly accessToken: string
      readonly scheme: 'Bearer' | 'DPoP'
      /** When it was asked for, by the machine's clock, which all tabs share. */
      readonly askedAt: number
      /** Milliseconds that it is good for. */
      readonly life: number
      readonly user: SessionUser
      readonly session: SessionInfo
    }
  | { readonly kind: 'signed_out'; readonly sessionId: string; readonly reason: SignedOutReason }

export interface Tabs {
  open(): void
  close(): void
  post(message: TabMessage): void
}

/** Scripts of this origin alone can post here: what is looked at is whether it is of our kind. */
const isMessage = (message: unknown): message is TabMessage =>
  isObject(message) &&
  (message.kind === 'signed_out' || (message.kind === 'tokens' && isObject(message.session) && isObject(message.user)))

/** A channel of the browser's own; nothing where it has none. */
function broadcast(name: string): TabSync {
  let channel: BroadcastChannel | undefined
  return {
    post: (message) => channel?.postMessage(message),
    subscribe(listener) {
      if (typeof BroadcastChannel === 'undefined') return () => {}
      const opened = new BroadcastChannel(name)
      opened.onmessage = ({ data }) => listener(data)
      channel = opened
      return () => {
        // An open channel keeps the page out of the browser's back/forward cache.
        opened.close()
        channel = undefined
      }
    }
  }
}

/**
 * The other tabs of this origin. Sign-outs also come by the storage event of their mark, for browsers without channels
 * and for tabs that share nothing else.
 */
export function createTabs(
  name: string,
  sync: boolean | TabSync,
  markKey: string,
  hear: (message: TabMessage) => void
): Tabs {
  const way = sync === true ? broadcast(name) : sync || undefined
  let leave: (() => void) | undefined

  const onMessage = (message: unknown) => {
    if (isMessage(message)) hear(message)
  }
  const onStorage = ({ key, newValue }: StorageEvent) => {
    const signOut = key === markKey ? parseSignOut(newValue) : undefined
    if (signOut) onMessage({ kind: 'signed_out', sessionId: signOut.sessionId, reason: 'user' })
  }

  return {
    open() {
      if (leave) return
      const unsubscribe = way?.subscribe(onMessage)
      globalThis.addEventListener?.('storage', onStorage)
      leave = () => {
        unsubscribe?.()
        globalThis.removeEventListener?.('storage', onStorage)
      }
    },
    close() {
      leave?.()
      leave = undefined
    },
    post(message) {
      try {
        way?.post(message)
      } catch {
        // The others refresh by themselves.
      }
    }
  }
}
