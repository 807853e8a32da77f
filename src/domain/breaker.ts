/**
 * Whether anything is asked of a neighbour that does not answer. `closed`: yes, with how many failures there were in a row.
 * `open`: no. `probing`: one question alone is asked, and its answer decides.
 */
export type Breaker =
  | { readonly kind: 'closed'; readonly failures: number }
  | { readonly kind: 'open' }
  | { readonly kind: 'probing' }

export type BreakerEvent =
  /** An answer came, or none did, to what was asked by somebody. */
  | 'answered'
  | 'failed'
  /** The one question is asked, and its answer. */
  | 'probe'
  | 'probe_answered'
  | 'probe_failed'

export const closedBreaker: Breaker = { kind: 'closed', failures: 0 }

/**
 * What follows. Failures open it when there are `threshold` of them without an answer in between. Of what was asked before it
 * opened a late failure says nothing new, and a late answer nothing about now: only the probe closes it.
 */
export function nextBreaker(breaker: Breaker, event: BreakerEvent, threshold: number): Breaker {
  switch (event) {
    case 'answered':
      return breaker.kind === 'closed' && breaker.failures > 0 ? closedBreaker : breaker
    case 'failed': {
      if (breaker.kind !== 'closed') return breaker
      const failures = breaker.failures + 1
      return failures >= threshold ? { kind: 'open' } : { kind: 'closed', failures }
    }
    case 'probe':
      return breaker.kind === 'open' ? { kind: 'probing' } : breaker
    case 'probe_answered':
      return breaker.kind === 'probing' ? closedBreaker : breaker
    case 'probe_failed':
      return breaker.kind === 'probing' ? { kind: 'open' } : breaker
  }
}
