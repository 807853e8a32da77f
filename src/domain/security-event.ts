/** Security events that are pushed to receivers: SETs (RFC 8417) of CAEP's kind, by RFC 8935. */

export const eventType = 'secevent+jwt'
const sessionRevoked = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
const verification = 'https://schemas.openid.net/secevent/ssf/event-type/verification'

/** The end of one session, or of all sessions of an account. */
export interface SessionEnd {
  /** `jti`: what is sent again is the same event. */
  readonly id: string
  readonly accountId: string
  /** Null where all of the account's sessions ended. */
  readonly sessionId: string | null
  readonly because: string
  readonly at: Date
}

interface Addressing {
  readonly issuer: string
  readonly audience: string
}

const seconds = (date: Date) => Math.floor(date.getTime() / 1000)

/** Who ended a session, in CAEP's words, and why, for an administrator. What is not listed the service did itself. */
const reasons: Readonly<Record<string, readonly [initiator: 'user' | 'admin' | 'policy', reason: string]>> = {
  logout: ['user', 'The user signed out.'],
  logout_all: ['user', 'The user signed out everywhere.'],
  ended_by_owner: ['user', 'The user ended the session from another device.'],
  password_changed: ['user', 'The password was changed.'],
  account_deleted: ['user', 'The account was deleted.'],
  revoked_by_client: ['user', 'The client revoked its token.'],
  ended_by_admin: ['admin', 'An administrator ended the session.'],
  account_disabled: ['admin', 'An administrator disabled the account.'],
  refresh_reused: ['policy', 'A refresh token was used twice: somebody has a copy.'],
  session_limit: ['policy', 'The account had too many sessions.']
}

/** No `sub` and no `exp` (SSF 1.0 §4.1): a SET is no token, and must not be taken for one. */
function compose(id: string, to: Addressing, subject: object, events: object, now: Date): Record<string, unknown> {
  return { iss: to.issuer, iat: seconds(now), jti: id, aud: to.audience, sub_id: subject, events }
}

/** CAEP session-revoked. Its subject is the user alone where all sessions ended, else the user and the session (RFC 9493 §3.3). */
export function composeSessionRevoked(event: SessionEnd, to: Addressing, now: Date): Record<string, unknown> {
  const user = { format: 'iss_sub', iss: to.issuer, sub: event.accountId }
  const subject =
    event.sessionId === null ? user : { format: 'complex', user, session: { format: 'opaque', id: event.sessionId } }
  const [initiator, reason] = reasons[event.because] ?? ['system', 'The session was ended.']
  return compose(
    event.id,
    to,
    subject,
    {
      [sessionRevoked]: {
        event_timestamp: seconds(event.at),
        initiating_entity: initiator,
        reason_admin: { en: reason }
      }
    },
    now
  )
}

/** SSF verification: says nothing, and shows a receiver that what comes later will arrive. */
export function composeVerification(id: string, receiverId: string, to: Addressing, now: Date) {
  return compose(id, to, { format: 'opaque', id: receiverId }, { [verification]: { state: id } }, now)
}

/** What became of a POST. */
export type PushOutcome =
  | {
      readonly status: number
      /** Of a body in JSON; undefined where there is none that could be read. */
      readonly body: unknown
      /** Milliseconds to wait, as Retry-After said; undefined where it did not. */
      readonly retryAfter: number | undefined
    }
  /** Nobody answered, or not in time. */
  | { readonly failure: string }

export type DeliveryVerdict =
  | { readonly kind: 'done' }
  /** The receiver will never take it, or has not for too long. */
  | { readonly kind: 'dead'; readonly error: string }
  | { readonly kind: 'retry'; readonly after: number; readonly error: string }

/** Milliseconds. */
const firstPause = 1_000
const longestPause = 15 * 60_000
const longestRetryAfter = 60 * 60_000
/** For how long an event is tried: the access tokens that it ends have expired long before. */
export const eventLifetime = 24 * 3_600_000

/** The error code that a receiver answered with (RFC 8935 §2.4), cut down to what may be kept and printed. */
function errorOf(body: unknown): string {
  const { err } = (typeof body === 'object' && body !== null ? body : {}) as { err?: unknown }
  return typeof err === 'string' && /^[\w.:-]{1,64}$/.test(err) ? err : 'invalid_request'
}

/**
 * What follows from a delivery. 400 is the receiver's last word (RFC 8935 §2.4); all else that is not a success may pass: a
 * wrong credential is mended, a redirect is a moved receiver, which an operator has to say. `attempt` counts from 1,
 * `age` is that of the event in milliseconds, `random` from 0 to 1.
 */
export function judgeDelivery(outcome: PushOutcome, attempt: number, age: number, random: number): DeliveryVerdict {
  if ('status' in outcome) {
    if (outcome.status >= 200 && outcome.status < 300) return { kind: 'done' }
    if (outcome.status === 400) return { kind: 'dead', error: errorOf(outcome.body) }
  }
  const error = 'status' in outcome ? `status ${outcome.status}` : outcome.failure.slice(0, 100)
  if (age >= eventLifetime) return { kind: 'dead', error: `given up after ${attempt} attempts: ${error}` }
  const pause = Math.min(firstPause * 2 ** Math.min(attempt - 1, 20), longestPause) * (0.5 + random / 2)
  const asked = Math.min(('status' in outcome ? outcome.retryAfter : undefined) ?? 0, longestRetryAfter)
  return { kind: 'retry', after: Math.max(pause, asked), error }
}

/** Milliseconds that a Retry-After header asks for (RFC 9110 §10.2.3); undefined where it cannot be read. */
export function readRetryAfter(text: string | null, now: Date): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now.getTime())
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** What is wrong with a receiver's address; null where it may be used. Plain http only within this machine, and only where that is allowed. */
export function refusalOfReceiverUrl(text: string, allowLoopback: boolean): string | null {
  if (text.length > 2000 || !URL.canParse(text)) return 'must be a URL of at most 2,000 characters'
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'must have no user: the authorization header is given apart'
  if (url.hash !== '') return 'must have no fragment'
  if (url.protocol === 'https:') return null
  if (url.protocol === 'http:' && loopback.test(url.hostname)) {
    return allowLoopback ? null : 'must be https: http within this machine is for development'
  }
  return 'must be https'
}
