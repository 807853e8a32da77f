import { isObject, type Problem } from './problem.js'
import type { SessionUser, SignedOutReason } from './types.js'

/** What a sign-in and a refresh answer with. */
export interface Issued {
  readonly accessToken: string
  readonly scheme: 'Bearer' | 'DPoP'
  /** Milliseconds that the access token is good for. */
  readonly life: number
  readonly refreshToken: string | undefined
  readonly sessionId: string
  readonly authTime: number
  readonly amr: readonly string[]
  /** Milliseconds until the session's absolute end. */
  readonly sessionLife: number
  readonly user: SessionUser
}

type Json = Record<string, unknown>

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []

/** What the access token says; it is not verified here, and nothing but display rests on it. */
export function claimsOf(token: string): Json | undefined {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (one) =>
      one.charCodeAt(0)
    )
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isObject(claims) ? claims : undefined
  } catch {
    return undefined
  }
}

export function readUser(user: unknown, permissions?: unknown): SessionUser | undefined {
  if (!isObject(user) || typeof user.id !== 'string' || typeof user.username !== 'string') return undefined
  return {
    id: user.id,
    username: user.username,
    email: typeof user.email === 'string' ? user.email : null,
    emailVerified: user.email_verified === true,
    roles: strings(user.roles),
    permissions: strings(permissions ?? user.permissions)
  }
}

/** The tokens of an answer; undefined where it is not one of the service. */
export function readTokens(body: unknown): Issued | undefined {
  if (!isObject(body) || typeof body.access_token !== 'string') return undefined
  const { access_token: accessToken, token_type: scheme, expires_in: expiresIn, refresh_token: refreshToken } = body
  const claims = claimsOf(accessToken)
  const user = readUser(body.user, claims?.permissions)
  if (claims === undefined || user === undefined || claims.sub !== user.id || typeof claims.sid !== 'string') {
    return undefined
  }
  if ((scheme !== 'Bearer' && scheme !== 'DPoP') || typeof expiresIn !== 'number' || !(expiresIn > 0)) return undefined
  return {
    accessToken,
    scheme,
    life: expiresIn * 1000,
    refreshToken: typeof refreshToken === 'string' ? refreshToken : undefined,
    sessionId: claims.sid,
    authTime: Number(claims.auth_time) * 1000,
    amr: strings(claims.amr),
    sessionLife: Number(body.authorization_expires_in) * 1000,
    user
  }
}

/** The refusals of a refresh that end a session. Nothing else does. */
const ends: Readonly<Record<string, SignedOutReason>> = {
  account_disabled: 'account_disabled',
  dpop_key_required: 'key_lost',
  refresh_reused: 'reuse_detected',
  session_expired: 'expired',
  session_revoked: 'revoked',
  token_invalid: 'token_invalid'
}

/** Why a session is over by this problem; undefined where the problem says nothing of the kind. */
export function endOf({ status, code }: Problem): SignedOutReason | undefined {
  return status === 401 && Object.hasOwn(ends, code) ? ends[code] : undefined
}
