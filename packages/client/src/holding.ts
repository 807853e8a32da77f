import type { Issued } from './answers.js'
import { elapsed, type Moment, type Timing } from './clock.js'
import type { Credential } from './transport.js'
import type { SessionInfo, SessionUser } from './types.js'

/** An access token and its life, measured from before it was asked for: it is never taken for younger than it is. */
export interface HeldToken extends Credential {
  readonly askedAt: Moment
  /** Milliseconds. */
  readonly life: number
  /** Milliseconds of its life after which the next is asked for. */
  readonly ahead: number
  /** Milliseconds before its end in which it is not used any more: a request takes time. */
  readonly margin: number
}

/** The session that this tab is in. */
export interface Holding {
  readonly user: SessionUser
  readonly session: SessionInfo
  readonly token: HeldToken
  /** Whether a service said that the token counts no more, whatever the clocks say. */
  readonly isSpent: boolean
}

export function holdToken(
  credential: Credential,
  life: number,
  askedAt: Moment,
  refreshAhead: number,
  random: number
): HeldToken {
  const margin = Math.min(10_000, life / 10)
  const ahead = Math.min(life * refreshAhead * (0.9 + random / 5), life - margin)
  const { accessToken, scheme } = credential
  return { accessToken, scheme, life, askedAt, ahead, margin }
}

/** Milliseconds that the token may be used for. */
export const remaining = ({ life, askedAt, margin }: HeldToken, clock: Timing): number =>
  life - margin - elapsed(askedAt, clock)

/** Milliseconds until the next token should be asked for. */
export const untilDue = ({ ahead, askedAt }: HeldToken, clock: Timing): number => ahead - elapsed(askedAt, clock)

export const isUsable = (held: Holding | undefined, clock: Timing, minValidity = 0): held is Holding =>
  held !== undefined && !held.isSpent && remaining(held.token, clock) > minValidity

/** What a tab holds by an answer of the service, or by what another tab has of one. */
export function hold(
  former: Holding | undefined,
  { user, session }: { user: SessionUser; session: SessionInfo },
  token: HeldToken
): Holding {
  // The same objects where nothing changed, so that whoever compares by identity sees no change.
  const isSameUser = JSON.stringify(former?.user) === JSON.stringify(user)
  // The end of a session never moves; told in whole seconds, it would seem to.
  const isSameSession = former?.session.id === session.id
  return {
    user: former && isSameUser ? former.user : user,
    session: isSameSession ? former.session : session,
    token,
    isSpent: false
  }
}

export function sessionOf(issued: Issued, now: number): SessionInfo {
  return { id: issued.sessionId, authTime: issued.authTime, amr: issued.amr, expiresAt: now + issued.sessionLife }
}
