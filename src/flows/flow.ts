import type { AccessTokenClaims, AccessTokenSubject } from '../domain/access-token.js'
import type { Caller, EventFacts, EventName } from '../domain/audit-event.js'
import type { ClientKey } from '../domain/client.js'
import type { Device } from '../domain/device-cookie.js'
import type { GuessRules } from '../domain/guessing.js'
import type { PasswordPolicy } from '../domain/password-policy.js'
import type { Rate } from '../domain/rate-limit.js'
import type { RefreshTokenContent } from '../domain/refresh-token.js'
import type { Revocable, Revocation } from '../domain/revocation.js'
import type { Outage, RotationRules } from '../domain/rotation.js'
import { type Lifetimes, later } from '../domain/session.js'
import type { LiveClient } from '../storage/clients.js'
import type { EndedBecause, Ending, EndingOfOne } from '../storage/endings.js'
import type { Rotation } from '../storage/rotations.js'
import type { FoundSession, LiveSession } from '../storage/sessions.js'
import type { Db } from '../storage/tables.js'
import { type AuditTrail, auditRow } from './audit.js'

/** Passwords are hashed elsewhere, a few at a time; `overloaded` and its Refusal where too many wait. */
export interface PasswordHasher {
  /**
   * Does work that hashes or checks passwords, which have a place from its beginning to its end. Throws `overloaded` before
   * any of it: whoever is refused has cost no look into the database, and learns nothing of what is in there.
   */
  admit<T>(work: () => Promise<T>): Promise<T>
  hash(password: string): Promise<string>
  verify(hash: string, password: string): Promise<boolean>
  /** The same work as `verify`, for an account that is not there. */
  verifyNothing(password: string): Promise<false>
  needsRehash(hash: string): boolean
}

/** Counts of things that happen, in windows that all replicas share; nothing is asked, memory answers. */
export interface Counts {
  /** Counts one of a kind for a key, in a window of so many milliseconds. */
  hit(policy: string, key: string, length: number): { readonly hits: number; readonly left: number }
  /** The same without counting. */
  look(policy: string, key: string): { readonly hits: number; readonly left: number }
  /** Whether this is the first of its window on this replica. */
  isFirst(policy: string, key: string, length: number): boolean
}

export interface SignedAccessToken {
  readonly token: string
  readonly expiresAt: Date
}

/** What every flow is given: the two sides of each are the service and the tests. */
export interface Tools {
  readonly db: Db
  readonly clock: () => Date
  /** Random bytes for what is secret. */
  readonly entropy: (bytes: number) => Buffer
  /** Random bytes for ids. */
  readonly idEntropy: (bytes: number) => Buffer
  /** Rotates a session; several that come at once share a statement. */
  readonly rotate: (rotation: Rotation) => Promise<LiveSession | undefined>
  /** A session as it is now; several that are asked for at once share a statement. */
  readonly findSession: (id: string) => Promise<FoundSession | undefined>
  /** A client as it is now, in the same way. */
  readonly findClient: (id: string) => Promise<LiveClient | undefined>
  /** Ends a session; several that come at once share a statement. False where it was over, or is not the account's that is given. */
  readonly endSession: (one: EndingOfOne) => Promise<boolean>
  /** What ended a principal's credential, with all that the database has committed until now; undefined where nothing did. */
  readonly revokedBy: (who: Revocable) => Promise<Revocation | undefined>
  /** The last time in which there was no database to ask; it counts towards no replay window. */
  readonly outage: () => Outage | null
  readonly passwords: PasswordHasher
  /** Whether a password leaked somewhere; false where nobody can be asked. */
  readonly isBreached: (password: string) => Promise<boolean>
  readonly counts: Counts
  readonly signAccessToken: (subject: AccessTokenSubject, now: Date) => Promise<SignedAccessToken>
  readonly formatRefreshToken: (content: RefreshTokenContent) => string
  readonly readRefreshToken: (text: string) => RefreshTokenContent | null
  readonly formatSessionCookie: (sessionId: string) => string
  readonly readSessionCookie: (text: string) => string | null
  readonly formatDeviceCookie: (device: Device) => string
  readonly readDeviceCookie: (text: string) => Device | null
  /** Stands for a name that nobody has, where its failures are counted. */
  readonly digestName: (name: string) => string
  /** The claims of an access token that is good at this moment by its form, signature and times. */
  readonly judgeAccessToken: (token: string) => Promise<AccessTokenClaims | undefined>
  /** Whether a JWS is by one of these keys; with none the same work of the algorithm is done for nothing. */
  readonly isSignedByOneOf: (token: string, keys: readonly ClientKey[], algorithm: string) => Promise<boolean>
  /** The key of an account's authtoken, by the id of its row. */
  readonly authtokenKey: (tokenId: string) => string
  /** Sealed under the master key; `context` must be the same to open it again. */
  readonly seal: (plain: Buffer, context: string) => Buffer
  /** Who asks, and from where. */
  readonly caller: Caller
  readonly audit: AuditTrail
  /** Tells the log and the metrics; `note` and `noteIn` tell the audit as well. */
  readonly log: (event: EventName, fields: EventFacts) => void
  readonly settings: FlowSettings
}

export interface FlowSettings {
  /** `iss` of every token, without a slash at its end. */
  readonly issuer: string
  /** The services that access tokens are for. */
  readonly audience: readonly string[]
  /** Seconds by which clocks may disagree. */
  readonly leeway: number
  readonly lifetimes: Lifetimes
  readonly rotation: RotationRules
  /** How many sessions an account may have at a time; null for as many as it likes. */
  readonly sessionsPerAccount: number | null
  readonly passwordPolicy: PasswordPolicy
  readonly guessing: GuessRules
  /** How many attempts a range may make once it was seen to try passwords of other services; null where nobody looks. */
  readonly stuffing: { readonly limit: Rate | null } | null
  readonly signUp: 'open' | 'closed' | 'invitation'
  /** Milliseconds for which everybody has to remember a revocation: the longest life of what it ends. */
  readonly revocationLifetime: number
  /** Whether every new account gets an API token (Django's `post_save` recipe). */
  readonly tokenOnRegister: boolean
  /** The client that first-party sign-ins speak for. */
  readonly clientId: string
  /** Whether new sessions get a place in a status list. */
  readonly statusList: boolean
  /** Whether receivers of events may be within this machine, without TLS. */
  readonly loopbackReceivers: boolean
}

/** Where a sign-in comes from, as the account's owner will see it in the list of devices. */
export interface Client {
  readonly userAgent: string | null
  readonly address: string | null
}

/** Whoever waits for an answer, or does not any more. */
export interface Requester {
  /** When the request came; null for this moment. */
  readonly receivedAt: Date | null
  hasLeft(): boolean
}

/** Somebody who asks within this process. */
export const inPerson: Requester = { receivedAt: null, hasLeft: () => false }

/** How the end of something at this moment is told to everybody. */
export function ending(tools: Tools, because: EndedBecause, at: Date): Ending {
  return {
    because,
    at,
    rememberedUntil: later(at, tools.settings.revocationLifetime),
    // Whose session it is, and which event, is said where it ends.
    audit: auditRow(tools, 'session.ended', { because })
  }
}
