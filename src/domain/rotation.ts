/** A session as far as its refresh tokens are concerned, as the database remembers it. */
export interface HeldSession {
  /** The generation of the token that is current. */
  readonly generation: number
  readonly rotatedAt: Date
  readonly idleExpiresAt: Date
  readonly expiresAt: Date
  readonly endedBecause: string | null
  /** Whether the token lies where no script can read it (the HttpOnly cookie), or is bound to a key (DPoP). */
  readonly bound: boolean
  readonly accountDisabled: boolean
}

export interface RotationRules {
  /** Milliseconds in which the immediate predecessor gets its successor again. */
  readonly replayWindow: number
  /** What a bound session's predecessor deserves after that window, while its successor was never presented. */
  readonly lostResponse: 'recover' | 'strict'
}

/** A time in which whoever judges had no database to ask: what was done in it has been answered to nobody. */
export interface Outage {
  readonly since: Date
  readonly until: Date
}

/** The request that a refresh token came in, where it may have waited for long: in a socket, or for a machine that slept. */
export interface Arrival {
  readonly receivedAt: Date
  /** Whether whoever sent it has hung up since. */
  readonly isAbandoned: boolean
  /** The last one, also where it lasts. */
  readonly outage?: Outage | null
}

export type RotationVerdict =
  | { readonly kind: 'rotate' }
  | { readonly kind: 'replay'; readonly late: boolean }
  /** Nothing is known of it yet: it has to be asked again. */
  | { readonly kind: 'retry' }
  | { readonly kind: 'refuse'; readonly because: 'ended' | 'disabled' | 'expired' }
  | { readonly kind: 'revoke'; readonly because: 'refresh_reused' }

/** Why a session speaks for nobody any more, or null. */
export function whyOver(held: HeldSession, now: Date): 'ended' | 'disabled' | 'expired' | null {
  if (held.endedBecause !== null) return 'ended'
  if (held.accountDisabled) return 'disabled'
  return held.expiresAt <= now || held.idleExpiresAt <= now ? 'expired' : null
}

/** Milliseconds since the rotation in which its answer could be asked for again. */
function timeToAsk({ rotatedAt }: HeldSession, now: Date, outage: Outage | null): number {
  const age = now.getTime() - rotatedAt.getTime()
  if (outage === null) return age
  const [since, until] = [Math.max(rotatedAt.getTime(), outage.since.getTime()), Math.min(+now, +outage.until)]
  return age - Math.max(0, until - since)
}

/**
 * Decides what a presented refresh token, whose MAC was right, deserves.
 *
 * Rotation is the WHERE clause of `rotations.rotate`; this says the same for tests, and the rest for the flow. A token
 * of a later generation than the row's is current: only a database that lost its last commits (a failover, a restored
 * backup) can be behind a token that we made, and nobody is to be signed out for that.
 *
 * A request that was overtaken by a rotation while it waited here, or that nobody waits for any more (its client gave it
 * up, asked another replica and went on), is no proof of a copy, since its token may have been good when it was sent.
 * Whoever has a copy learns nothing by such an answer, and is found out when they ask again.
 */
export function judgeRefresh(
  held: HeldSession,
  generation: number,
  rules: RotationRules,
  now: Date,
  arrival: Arrival = { receivedAt: now, isAbandoned: false }
): RotationVerdict {
  const over = whyOver(held, now)
  if (over !== null) return { kind: 'refuse', because: over }
  if (generation >= held.generation) return { kind: 'rotate' }
  // The predecessor alone can have lost its answer: that its successor is current means that it was never presented.
  if (generation === held.generation - 1) {
    if (timeToAsk(held, now, arrival.outage ?? null) <= rules.replayWindow) return { kind: 'replay', late: false }
    if (held.bound && rules.lostResponse === 'recover') return { kind: 'replay', late: true }
  }
  const mayBeLate = arrival.isAbandoned || arrival.receivedAt < held.rotatedAt
  return mayBeLate ? { kind: 'retry' } : { kind: 'revoke', because: 'refresh_reused' }
}
