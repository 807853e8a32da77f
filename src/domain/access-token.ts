import { isCanonicalBase64url } from './base64url.js'
import { later } from './session.js'
import type { StatusReference } from './status-list.js'

/** What an access token says (RFC 9068 §2.2). No personal data: every service that verifies it can read it. */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string | readonly string[]
  readonly exp: number
  readonly iat: number
  readonly jti: string
  readonly client_id: string
  /**
   * The session that it was issued from; everything issued from a session dies with it. It comes with `auth_time`, `amr`
   * and `acr`, and all four are absent where nobody signed in: a service asked for the token by itself (RFC 6749 §4.4).
   */
  readonly sid?: string
  readonly scope: string
  readonly roles: readonly string[]
  /** What the account may do, by its roles and of its own. */
  readonly permissions: readonly string[]
  /** The last revocation that was there when this was issued: a later one of its account or roles ends it. */
  readonly rev: number
  /** When the person signed in; a refresh never moves it (RFC 9068 §2.2.1). */
  readonly auth_time?: number
  readonly amr?: readonly string[]
  readonly acr?: string
  /** Lets Django REST Framework's simplejwt accept it as it is. */
  readonly token_type: 'access'
  /** The id that an account had in Django, for services that still look their users up by it. */
  readonly user_id?: string
  /** The thumbprint of the key without whose proof the token is worth nothing (RFC 9449 §6.1). */
  readonly cnf?: { readonly jkt: string }
  /** Where a status list says whether the session is over (Token Status List §6.1). */
  readonly status?: StatusReference
}

/** What the claims are made from. */
export type AccessTokenSubject = Holder & (SignIn | { readonly sessionId: null })

interface Holder {
  readonly accountId: string
  readonly clientId: string
  readonly scope: string
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly revision: number
  readonly userId: string | undefined
  /** The key that the session is bound to; null where it is not. */
  readonly jkt: string | null
  /** The services that it is for; all of this installation where it is left out. */
  readonly audience?: readonly string[]
}

interface SignIn {
  readonly sessionId: string
  readonly authenticatedAt: Date
  readonly amr: readonly string[]
  readonly acr: string
  /** The session's absolute end: no token outlives it. */
  readonly sessionExpiresAt: Date
  /** Null where the session has no place in a status list. */
  readonly statusIndex: number | null
}

export interface Issuance {
  readonly issuer: string
  readonly audience: string | readonly string[]
  /** Milliseconds. */
  readonly lifetime: number
}

const seconds = (date: Date) => Math.floor(date.getTime() / 1000)

/**
 * The claims of a new access token. Its life is shortened by up to 5 % so that clients that signed in together do not
 * refresh together; `random` is from 0 to 1.
 */
export function composeClaims(
  subject: AccessTokenSubject,
  issuance: Issuance,
  tokenId: string,
  random: number,
  now: Date,
  status?: StatusReference
): AccessTokenClaims {
  const lifetime = Math.ceil(issuance.lifetime * (1 - random * 0.05))
  const end = seconds(later(now, lifetime))
  const signIn = subject.sessionId === null ? undefined : subject
  const { audience } = subject
  return {
    iss: issuance.issuer,
    sub: subject.accountId,
    aud: audience === undefined ? issuance.audience : audience.length === 1 ? audience[0]! : audience,
    exp: signIn === undefined ? end : Math.min(end, seconds(signIn.sessionExpiresAt)),
    iat: seconds(now),
    jti: tokenId,
    client_id: subject.clientId,
    ...(signIn === undefined ? {} : { sid: signIn.sessionId }),
    scope: subject.scope,
    roles: subject.roles,
    permissions: subject.permissions,
    rev: subject.revision,
    ...(signIn === undefined ? {} : { auth_time: seconds(signIn.authenticatedAt), amr: signIn.amr, acr: signIn.acr }),
    token_type: 'access',
    ...(subject.userId === undefined ? {} : { user_id: subject.userId }),
    ...(subject.jkt === null ? {} : { cnf: { jkt: subject.jkt } }),
    ...(status === undefined ? {} : { status })
  }
}

export type ClaimsReason =
  | 'payload_not_an_object'
  | 'claim_missing_or_malformed'
  | 'issuer_wrong'
  | 'audience_wrong'
  | 'expired'
  | 'not_yet_valid'

export type ClaimsVerdict =
  | { readonly ok: true; readonly claims: AccessTokenClaims }
  | { readonly ok: false; readonly because: ClaimsReason; readonly claim?: string }

export interface ClaimsExpectation {
  readonly issuer: string
  /** The token must name at least one of these. */
  readonly audience: readonly string[]
  /** Seconds of leeway for clocks that disagree. */
  readonly leeway: number
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isInstant = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isTextList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

type Shapes<Claim extends string> = Record<Claim, (value: unknown) => boolean>
type SignInClaim = 'sid' | 'auth_time' | 'amr' | 'acr'

const shapes: Shapes<Exclude<keyof AccessTokenClaims, SignInClaim | 'user_id' | 'cnf' | 'status'>> = {
  iss: isText,
  sub: isText,
  aud: (value) => isText(value) || (isTextList(value) && value.length > 0),
  exp: isInstant,
  iat: isInstant,
  jti: isText,
  client_id: isText,
  scope: (value) => typeof value === 'string',
  roles: isTextList,
  permissions: isTextList,
  rev: isInstant,
  token_type: (value) => value === 'access'
}
const signInShapes: Shapes<SignInClaim> = { sid: isText, auth_time: isInstant, amr: isTextList, acr: isText }
const always = Object.entries(shapes)
const ofSignIns = Object.entries(signInShapes)
const withSignIn = [...always, ...ofSignIns]

/** Exactly what we say of a key (RFC 7800 §3): a confirmation that is not understood must not be passed over. */
function isConfirmation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false
  const { jkt } = value as { jkt?: unknown }
  return typeof jkt === 'string' && jkt.length === 43 && isCanonicalBase64url(jkt)
}

/**
 * Judges the claims of a token whose signature was right (RFC 9068 §4). Every claim is required and of its exact type, but
 * those of a sign-in, which are there together or not at all: an `exp` that is a string or Infinity has let tokens live
 * for ever elsewhere (CVE-2026-25537).
 */
export function judgeClaims(payload: unknown, expected: ClaimsExpectation, now: Date): ClaimsVerdict {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    return { ok: false, because: 'payload_not_an_object' }
  }
  const claims = payload as Record<string, unknown>
  // A token with some of a sign-in's claims would be a session's that no end of that session reaches.
  const isOfSignIn = ofSignIns.some(([claim]) => claims[claim] !== undefined)
  for (const [claim, hasShape] of isOfSignIn ? withSignIn : always) {
    if (!hasShape(claims[claim])) return { ok: false, because: 'claim_missing_or_malformed', claim }
  }
  // A token that was bound never becomes one that is not.
  if ('cnf' in claims && !isConfirmation(claims.cnf)) {
    return { ok: false, because: 'claim_missing_or_malformed', claim: 'cnf' }
  }
  const checked = payload as AccessTokenClaims
  if (checked.iss !== expected.issuer) return { ok: false, because: 'issuer_wrong', claim: 'iss' }
  const audience = typeof checked.aud === 'string' ? [checked.aud] : checked.aud
  if (!audience.some((one) => expected.audience.includes(one))) {
    return { ok: false, because: 'audience_wrong', claim: 'aud' }
  }
  return judgeTimes(checked, expected.leeway, now)
}

/** Judges claims by the time alone, where everything else about them was found good before. */
export function judgeTimes(claims: AccessTokenClaims, leeway: number, now: Date): ClaimsVerdict {
  const at = now.getTime() / 1000
  if (claims.exp + leeway <= at) return { ok: false, because: 'expired', claim: 'exp' }
  if (claims.iat - leeway > at) return { ok: false, because: 'not_yet_valid', claim: 'iat' }
  const { nbf: notBefore } = claims as { nbf?: unknown }
  if (notBefore !== undefined && !(isInstant(notBefore) && notBefore - leeway <= at)) {
    return { ok: false, because: 'not_yet_valid', claim: 'nbf' }
  }
  return { ok: true, claims }
}
