import type { AccessTokenClaims } from './access-token.js'

/** Who a request speaks for, whichever authenticator said so. */
export interface Principal {
  readonly accountId: string
  readonly sessionId: string
  readonly tokenId: string
  readonly clientId: string
  readonly scopes: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
  readonly authenticatedAt: Date
  readonly amr: readonly string[]
  readonly acr: string
  readonly expiresAt: Date
}

export function principalOf(claims: AccessTokenClaims): Principal {
  return {
    accountId: claims.sub,
    sessionId: claims.sid,
    tokenId: claims.jti,
    clientId: claims.client_id,
    scopes: new Set(claims.scope === '' ? [] : claims.scope.split(' ')),
    roles: new Set(claims.roles),
    authenticatedAt: new Date(claims.auth_time * 1000),
    amr: claims.amr,
    acr: claims.acr,
    expiresAt: new Date(claims.exp * 1000)
  }
}
