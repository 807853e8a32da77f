import type { HeldToken } from '../principal.js'

/** `unknown`: it could not be found out, and the options say that it must be. */
export type Life = 'alive' | 'revoked' | 'unknown'

export interface RevocationHealth {
  readonly mode: 'feed' | 'push' | 'status-list' | 'introspect'
  /** Since when something may have ended that is not known here; null where it was never known, or is not kept. */
  readonly ageSeconds: number | null
  /** Whether that is within what the options allow. */
  readonly isKnown: boolean
  readonly entries?: number
  /** Of the mode `push`: whether the stream is open. */
  readonly streaming?: boolean
  readonly lastError?: string
}

/** A way to learn what has ended before it expired. */
export interface RevocationSource {
  /** Learns what is to be known at a start. Throws where that cannot be had. */
  ready(): Promise<void>
  /** Whether a token that was verified is alive; at once where it is known. */
  judge(held: HeldToken): Life | Promise<Life>
  /** Calls back whenever something may have ended. Returns how to stop that. */
  onChange(listener: () => void): () => void
  /** Milliseconds after which to look again, where nobody calls back. */
  readonly lookAgainAfter: number | undefined
  health(): RevocationHealth | undefined
  close(): void
}

/** Nothing ends before it expires. */
export const none: RevocationSource = {
  ready: async () => {},
  judge: () => 'alive',
  onChange: () => () => {},
  lookAgainAfter: undefined,
  health: () => undefined,
  close: () => {}
}

/** Does not keep a process alive that has nothing else to do. */
export function quietly(timer: ReturnType<typeof setTimeout>): ReturnType<typeof setTimeout> {
  // Only Node's timers are objects.
  if (typeof timer === 'object') timer.unref?.()
  return timer
}
