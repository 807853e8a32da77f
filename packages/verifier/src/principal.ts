import type { AccessTokenClaims } from '../../../src/domain/access-token.js'
import { type Principal, principalOf } from '../../../src/domain/principal.js'
import { deepFreeze, frozenSet } from './frozen.js'

/** Who a token speaks for: the principal of the service itself, and what the token said. Frozen with all that is in it. */
export interface VerifiedPrincipal<C extends object = object> extends Principal {
  readonly claims: Readonly<AccessTokenClaims & Record<string, unknown>> & C
  readonly issuedAt: Date
  readonly expiresAt: Date
  /** The key that signed the token. */
  readonly keyId: string
}

/** Dates cannot be frozen, so each look makes a new one. */
export function verifiedPrincipal<C extends object>(
  claims: AccessTokenClaims,
  more: C | undefined,
  keyId: string
): VerifiedPrincipal<C> {
  const { scopes, roles, permissions, amr, authenticatedAt: _, expiresAt: __, ...rest } = principalOf(claims)
  const { auth_time: signIn, exp, iat } = claims
  return Object.freeze({
    ...rest,
    scopes: frozenSet(scopes),
    roles: frozenSet(roles),
    permissions: frozenSet(permissions),
    amr: Object.freeze([...amr]),
    get authenticatedAt() {
      return signIn === undefined ? null : new Date(signIn * 1000)
    },
    get issuedAt() {
      return new Date(iat * 1000)
    },
    get expiresAt() {
      return new Date(exp * 1000)
    },
    claims: deepFreeze({ ...claims, ...more }) as VerifiedPrincipal<C>['claims'],
    keyId
  })
}
