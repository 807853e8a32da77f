import { apiTokenDigest, isApiToken } from '../domain/api-token.js'
import { principalOf } from '../domain/principal.js'
import { whyOver } from '../domain/rotation.js'
import { isUuid } from '../domain/uuid.js'
import * as apiTokens from '../storage/api-tokens.js'
import * as revocations from '../storage/revocations.js'
import * as sessions from '../storage/sessions.js'
import type { Tools } from './flow.js'

/** RFC 7662 §2.2; undefined for whatever is not active, so that nobody learns why. */
export interface Introspection {
  readonly sub: string
  readonly username: string
  readonly token_type: 'Bearer' | 'DPoP' | 'Token'
  readonly scope: string
  readonly client_id?: string
  readonly iss?: string
  readonly aud?: string | readonly string[]
  readonly jti: string
  readonly sid?: string
  readonly exp?: number
  readonly iat: number
  readonly auth_time?: number
  readonly amr?: readonly string[]
  readonly acr?: string
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly user_id?: string
  /** The key whose proof whoever asks must see beside the token (RFC 9449 §6.2). */
  readonly cnf?: { readonly jkt: string }
}

/**
 * What a token stands for at this moment: its session, its account and every revocation are asked of the database.
 * Access tokens and API tokens; a refresh token is for nobody but this service, so it is never active here.
 */
export async function introspect(tools: Tools, token: string): Promise<Introspection | undefined> {
  return isApiToken(token) ? await introspectApiToken(tools, token) : await introspectAccessToken(tools, token)
}

async function introspectAccessToken(tools: Tools, token: string): Promise<Introspection | undefined> {
  const claims = await tools.judgeAccessToken(token)
  if (claims === undefined || !isUuid(claims.sid)) return undefined
  const [found, ended] = await Promise.all([
    sessions.findHeld(tools.db, claims.sid),
    revocations.endedSince(tools.db, principalOf(claims))
  ])
  if (ended || found === undefined || whyOver(found.held, tools.clock()) !== null) return undefined
  return {
    sub: claims.sub,
    username: found.account.username,
    token_type: claims.cnf === undefined ? 'Bearer' : 'DPoP',
    scope: claims.scope,
    client_id: claims.client_id,
    iss: claims.iss,
    aud: claims.aud,
    jti: claims.jti,
    sid: claims.sid,
    exp: claims.exp,
    iat: claims.iat,
    auth_time: claims.auth_time,
    amr: claims.amr,
    acr: claims.acr,
    roles: claims.roles,
    permissions: claims.permissions,
    ...(claims.user_id === undefined ? {} : { user_id: claims.user_id }),
    ...(claims.cnf === undefined ? {} : { cnf: claims.cnf })
  }
}

async function introspectApiToken(tools: Tools, key: string): Promise<Introspection | undefined> {
  const found = await apiTokens.findByDigest(tools.db, apiTokenDigest(key))
  if (found === undefined || found.account.disabledAt !== null) return undefined
  const { token, account, grants } = found
  if (token.expiresAt !== null && token.expiresAt <= tools.clock()) return undefined
  return {
    sub: account.id,
    username: account.username,
    token_type: 'Token',
    scope: token.scopes.join(' '),
    jti: token.id,
    ...(token.expiresAt === null ? {} : { exp: Math.floor(token.expiresAt.getTime() / 1000) }),
    iat: Math.floor(token.createdAt.getTime() / 1000),
    roles: account.roles,
    permissions: grants.permissions
  }
}
