/** How many accounts were signed in to, and for how many others a password was wrong. */
export interface Outcomes {
  readonly failed: number
  readonly succeeded: number
}

/** Milliseconds in which accounts are counted, each once for each outcome. */
export const stuffingWindow = 600_000
/** Milliseconds for which a range is held to less, once it was seen. */
export const heldFor = 3_600_000
/** Milliseconds over which is learnt what is usual. */
export const usualWindow = 7 * 86_400_000

/** What is expected of people where nothing was learnt yet, and how many sign-ins it takes to learn otherwise. */
const expected = 0.8
const weight = 200

/** The accounts that must have failed, and the part of the usual share of successes that is suspicious. */
const rules = {
  /** Of one range: an office, a school or a carrier's NAT has as many successes as everybody. */
  range: { failed: 20, share: 1 / 4 },
  /** Of one range while it is seen everywhere: attackers then come from many. */
  rangeOfMany: { failed: 5, share: 1 / 4 },
  /** Of all together, where people go on to sign in meanwhile. */
  everywhere: { failed: 100, share: 1 / 2 }
} as const

/** The share of sign-ins that go well, after what was learnt. */
export function usualShare({ failed, succeeded }: Outcomes): number {
  return (succeeded + expected * weight) / (succeeded + failed + weight)
}

/**
 * Whether somebody tries the passwords of other services (OWASP, Credential Stuffing Prevention): many accounts, one or two
 * passwords each, of which hardly any is right. Nothing of it shows on any one account.
 */
export function isStuffing({ failed, succeeded }: Outcomes, usual: number, where: keyof typeof rules): boolean {
  const rule = rules[where]
  return failed >= rule.failed && succeeded / (failed + succeeded) <= usual * rule.share
}
