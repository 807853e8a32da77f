import type { AccessTokenClaims } from '../../../src/domain/access-token.js'
import { deepFreeze, frozenSet } from '../../../src/domain/frozen.js'
import { type Principal, principalOf } from '../../../src/domain/principal.js'

/** Who a token speaks for: the principal of the service itself, and what the token said. Frozen with all that is in it. */
export interface VerifiedPrincipal<C extends object = object> extends Principal {
  readonly claims: Readonly<AccessTokenClaims & Record<string, unknown>> & C
  readonly issuedAt: Date
  readonly expiresAt: Date
  /** The key that signed the token. */
  readonly keyId: string
}

/** A token that was verified, and what has to hold at each of its uses. */
export interface HeldToken<C extends object = object> {
  readonly token: string
  readonly principal: VerifiedPrincipal<C>
  /** Seconds, as the token says them. */
  readonly exp: number
  readonly notBefore: number
  /** When the service last said that it is alive, in milliseconds; kept by introspection. */
  confirmedAt?: number
}

/** Where a principal has its token: not to be listed, so that nothing which prints or copies it takes that along. */
const held = Symbol('token')

/** The token of a principal; undefined where it is a copy, or of somebody else's making. */
export function heldOf<C extends object>(principal: VerifiedPrincipal<C>): HeldToken<C> | undefined {
  return (principal as { [held]?: HeldToken<C> })[held]
}

/** What is kept of a token whose signature and claims are right; the claims are frozen. */
export function hold<C extends object>(
  token: string,
  claims: AccessTokenClaims,
  more: C | undefined,
  keyId: string
): HeldToken<C> {
  const { auth_time: signIn, exp, iat, nbf = 0 } = claims as AccessTokenClaims & { nbf?: number }
  const said = principalOf(claims)
  const principal = {
    accountId: said.accountId,
    authenticator: said.authenticator,
    sessionId: said.sessionId,
    tokenId: said.tokenId,
    clientId: said.clientId,
    scopes: frozenSet(said.scopes),
    roles: frozenSet(said.roles),
    permissions: frozenSet(said.permissions),
    // Dates cannot be frozen, so each look makes a new one.
    get authenticatedAt() {
      return signIn === undefined ? null : new Date(signIn * 1000)
    },
    amr: Object.isFrozen(said.amr) ? said.amr : Object.freeze([...said.amr]),
    acr: said.acr,
    get expiresAt() {
      return new Date(exp * 1000)
    },
    jkt: said.jkt,
    revision: said.revision,
    claims: deepFreeze(more === undefined ? claims : { ...claims, ...more }) as VerifiedPrincipal<C>['claims'],
    get issuedAt() {
      return new Date(iat * 1000)
    },
    keyId
  }
  const kept: HeldToken<C> = { token, principal, exp, notBefore: Math.max(iat, nbf) }
  Object.defineProperty(principal, held, { value: kept })
  Object.freeze(principal)
  return kept
}
