/**
 * What sessions are, in the words of the design and without its database: who has presented what, and what each presented
 * token deserves. It is told of time, and decides nothing by itself.
 */
import type { RotationRules } from '../../src/domain/rotation.js'

export type Transport = 'body' | 'cookie'

export interface Account {
  readonly name: string
  readonly id: string
  password: string
  disabled: boolean
  /** The step at which all of its sessions were last ended together; access tokens issued before are dead. */
  endedAllAt: number
}

export interface Session {
  readonly id: string
  readonly account: Account
  readonly transport: Transport
  readonly signedInAt: number
  readonly expiresAt: number
  idleUntil: number
  /** The text of each generation's refresh token that anybody was ever given. */
  readonly texts: Map<number, string>
  /** When each generation was first presented. As many as there were rotations: the next one is current. */
  readonly presentedAt: number[]
  readonly accessTokens: AccessToken[]
  /** Whether a thief has ever had a token of it. */
  stolen: boolean
  endedBecause: string | null
}

export interface AccessToken {
  readonly text: string
  readonly session: Session
  /** The step at which it was issued. */
  readonly issuedAt: number
  /** Milliseconds. */
  readonly expiresAt: number
}

/** Somebody with a refresh token: its owner, or a thief. */
export interface Holder {
  readonly name: string
  readonly honest: boolean
  readonly session: Session
  /** The generation that it holds now, and those that it held before. */
  readonly generations: number[]
  readonly sessionCookie: string | undefined
}

export interface Model {
  readonly rules: RotationRules
  readonly lifetimes: { readonly idle: number; readonly session: number }
  readonly accounts: Account[]
  readonly sessions: Session[]
  readonly holders: Holder[]
  /** Counts what happened, so that before and after are told without a clock. */
  step: number
}

/** What a request is answered with: `successor`, or the code of its refusal. */
export type Verdict =
  | 'successor'
  | 'session_revoked'
  | 'account_disabled'
  | 'session_expired'
  | 'refresh_reused'
  | 'service_unavailable'

export const held = (holder: Holder): number => holder.generations.at(-1)!
export const current = (session: Session): number => session.presentedAt.length
export const lastPresentedAt = (session: Session): number => session.presentedAt.at(-1) ?? session.signedInAt
const wasPresented = (session: Session, generation: number) => session.presentedAt[generation] !== undefined

/** Why a session speaks for nobody at this moment of a replica's clock, or null. */
export function whyOver(
  session: Session,
  now: number
): 'session_revoked' | 'account_disabled' | 'session_expired' | null {
  if (session.endedBecause !== null) return 'session_revoked'
  if (session.account.disabled) return 'account_disabled'
  return now >= session.idleUntil || now >= session.expiresAt ? 'session_expired' : null
}

/** What a refresh token of a generation deserves at this moment of a replica's clock. */
export function judge({ rules }: Model, session: Session, generation: number, now: number): Verdict {
  const over = whyOver(session, now)
  if (over !== null) return over
  if (!wasPresented(session, generation)) return 'successor'
  // Somebody has its successor for certain, so whoever comes with this one is somebody else.
  // But for a request that was there before the last rotation, and is to be sent again.
  if (wasPresented(session, generation + 1)) {
    return now < lastPresentedAt(session) ? 'service_unavailable' : 'refresh_reused'
  }
  const since = now - session.presentedAt[generation]!
  const mayHaveLostItsAnswer =
    since <= rules.replayWindow || (session.transport === 'cookie' && rules.lostResponse === 'recover')
  return mayHaveLostItsAnswer ? 'successor' : 'refresh_reused'
}

/** A token was presented, and was answered by its successor. */
export function succeed(model: Model, session: Session, generation: number, now: number): void {
  if (wasPresented(session, generation)) return
  // A clock that steps back does not move the session's past.
  session.presentedAt.push(Math.max(now, lastPresentedAt(session)))
  session.idleUntil = Math.min(now + model.lifetimes.idle, session.expiresAt)
}

export function end(session: Session, because: string): void {
  session.endedBecause ??= because
}

/** Ends every session of an account together, and what was issued from them. */
export function endAll(model: Model, account: Account, because: string): void {
  for (const session of model.sessions) if (session.account === account) end(session, because)
  account.endedAllAt = model.step
}

/** What a replica that has read the revocations answers an access token: `good`, or the code of its refusal. */
export function judgeAccess({ session, issuedAt, expiresAt }: AccessToken, now: number, leeway: number) {
  if (now >= expiresAt + leeway) return 'token_expired'
  return session.endedBecause !== null || issuedAt <= session.account.endedAllAt ? 'token_revoked' : 'good'
}

/**
 * Why an honest holder may be refused, or undefined: then it was signed out by accident. Looks at what happened, by true
 * time; the judgement above takes no part.
 */
export function explanation({ rules }: Model, holder: Holder, now: number, skew: number): string | undefined {
  const { session } = holder
  const because = session.endedBecause
  if (because !== null && because !== 'refresh_reused') return because
  if (session.stolen) return 'its session was stolen'
  if (session.account.disabled) return 'disabled'
  if (now + skew >= session.expiresAt) return 'the absolute end'
  if (now + skew >= session.idleUntil) return 'idle'
  const lost = session.presentedAt[held(holder)]
  const isForgiven = session.transport === 'cookie' && rules.lostResponse === 'recover'
  if (lost !== undefined && !isForgiven && now - lost + skew > rules.replayWindow) return 'came back after the window'
  return undefined
}
