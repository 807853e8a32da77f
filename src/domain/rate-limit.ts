/** How often somebody may do something. */
export interface Rate {
  readonly max: number
  /** Milliseconds. */
  readonly window: number
}

/** How somebody stands by one limit. */
export interface Standing {
  /** The limit's name, in letters, digits, - and _. */
  readonly policy: string
  readonly rate: Rate
  /** How often they may still do it. */
  readonly remaining: number
  /** Seconds until they may do it as often as at first. */
  readonly reset: number
}

/** What an answer says of the limits that its request was counted by (draft-ietf-httpapi-ratelimit-headers-10). */
export function rateLimitHeaders(standings: readonly Standing[]): Record<string, string> {
  if (standings.length === 0) return {}
  const policies = standings.map(({ policy, rate }) => `"${policy}";q=${rate.max};w=${Math.ceil(rate.window / 1000)}`)
  const limits = standings.map(({ policy, remaining, reset }) => `"${policy}";r=${remaining};t=${reset}`)
  return { 'ratelimit-policy': policies.join(', '), ratelimit: limits.join(', ') }
}
