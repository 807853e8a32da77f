import type { Principal } from './principal.js'

/** A type of its own, so that no upstream's token is taken for an access token, nor the other way round (RFC 8725 §3.11). */
export const upstreamTokenType = 'upstream+jwt'

/** What a proxy's upstream can verify by the key set: who asks, and that this service said so a moment ago. */
export interface UpstreamTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string
  readonly iat: number
  readonly exp: number
  readonly jti: string
  readonly client_id?: string
  readonly sid?: string
  readonly scope: string
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly auth_time?: number
  readonly amr?: readonly string[]
  readonly acr?: string
}

export interface UpstreamIssuance {
  readonly issuer: string
  readonly audience: string
  /** Milliseconds. */
  readonly lifetime: number
}

const secondsOf = (milliseconds: number) => Math.floor(milliseconds / 1000)

/** It never outlives the credential that it was made of. */
export function composeUpstreamClaims(
  who: Principal,
  { issuer, audience, lifetime }: UpstreamIssuance,
  tokenId: string,
  now: Date
): UpstreamTokenClaims {
  const end = Math.min(now.getTime() + lifetime, who.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY)
  return {
    iss: issuer,
    sub: who.accountId,
    aud: audience,
    iat: secondsOf(now.getTime()),
    exp: secondsOf(end),
    jti: tokenId,
    ...(who.clientId === null ? {} : { client_id: who.clientId }),
    ...(who.sessionId === null ? {} : { sid: who.sessionId }),
    scope: [...who.scopes].join(' '),
    roles: [...who.roles],
    permissions: [...who.permissions],
    ...(who.authenticatedAt === null
      ? {}
      : {
          auth_time: secondsOf(who.authenticatedAt.getTime()),
          amr: who.amr,
          ...(who.acr === null ? {} : { acr: who.acr })
        })
  }
}
