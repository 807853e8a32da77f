/** How wrong passwords in a row make the next attempt wait. */
export interface GuessRules {
  /** Failures after which nobody waits yet. */
  readonly free: number
  /** Failures after which no password is looked at any more (NIST SP 800-63B-4 §3.2.2: 100 at most). */
  readonly max: number
}

/** What is remembered of the failures since the last right password. */
export interface Guesses {
  readonly failures: number
  /** Until when no password is looked at. */
  readonly retryAt: Date
}

/** Milliseconds of the first wait, and of the longest. */
export const firstWait = 30_000
export const longestWait = 3_600_000

/** Milliseconds that the next attempt has to wait after so many failures: each wait is twice the one before. */
export function waitAfter(failures: number, { free }: GuessRules): number {
  return failures < free ? 0 : Math.min(firstWait * 2 ** Math.min(failures - free, 20), longestWait)
}

export type GuessVerdict =
  | { readonly kind: 'try' }
  /** Milliseconds. */
  | { readonly kind: 'wait'; readonly left: number }
  | { readonly kind: 'locked' }

/** Whether a password is looked at, before it is: a right one does not count either while it has to wait. */
export function judgeGuess(guesses: Guesses | undefined, { max }: GuessRules, now: Date): GuessVerdict {
  if (guesses === undefined) return { kind: 'try' }
  if (guesses.failures >= max) return { kind: 'locked' }
  const left = guesses.retryAt.getTime() - now.getTime()
  return left > 0 ? { kind: 'wait', left } : { kind: 'try' }
}
