import type { AccessTokenClaims } from './access-token.js'
import { scopesOf } from './scope.js'

/** Who a request speaks for: the same shape whichever authenticator said so. */
export interface Principal {
  readonly accountId: string
  /** The name of the authenticator. */
  readonly authenticator: string
  /** Null where the credential belongs to no sign-in. */
  readonly sessionId: string | null
  /** `jti` of an access token, the id of an API token. */
  readonly tokenId: string | null
  readonly clientId: string | null
  /** What the credential is limited to; empty where it is good for all that its account may do. */
  readonly scopes: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
  readonly permissions: ReadonlySet<string>
  /** When a person signed in; null where nobody did. */
  readonly authenticatedAt: Date | null
  readonly amr: readonly string[]
  readonly acr: string | null
  readonly expiresAt: Date | null
  /** The thumbprint of the key that the credential is bound to (RFC 9449 §6.1); null where whoever holds it may use it. */
  readonly jkt: string | null
  /** The last revocation that was there when this was read from the database. */
  readonly revision: number
}

/** A principal of which little is known: what is left out is nothing, nobody and never. */
export function principal(known: Partial<Principal> & Pick<Principal, 'accountId' | 'authenticator'>): Principal {
  return {
    sessionId: null,
    tokenId: null,
    clientId: null,
    scopes: new Set(),
    roles: new Set(),
    permissions: new Set(),
    authenticatedAt: null,
    amr: [],
    acr: null,
    expiresAt: null,
    jkt: null,
    revision: Number.MAX_SAFE_INTEGER,
    ...known
  }
}

export function principalOf(claims: AccessTokenClaims): Principal {
  return {
    accountId: claims.sub,
    authenticator: 'bearer',
    sessionId: claims.sid ?? null,
    tokenId: claims.jti,
    clientId: claims.client_id,
    scopes: scopesOf(claims.scope),
    roles: new Set(claims.roles),
    permissions: new Set(claims.permissions),
    authenticatedAt: claims.auth_time === undefined ? null : new Date(claims.auth_time * 1000),
    amr: claims.amr ?? [],
    acr: claims.acr ?? null,
    expiresAt: new Date(claims.exp * 1000),
    jkt: claims.cnf?.jkt ?? null,
    revision: claims.rev
  }
}

/** Whether an access token speaks for a service that asked for it by itself: nobody signed in (RFC 6749 §4.4). */
export function isClientToken(who: Pick<Principal, 'authenticator' | 'sessionId'>): boolean {
  return who.authenticator === 'bearer' && who.sessionId === null
}
