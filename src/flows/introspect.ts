import type { AccessTokenClaims } from '../domain/access-token.js'
import { apiTokenDigest, isApiToken } from '../domain/api-token.js'
import { isClientId } from '../domain/client.js'
import { type Principal, principalOf } from '../domain/principal.js'
import { whyOver } from '../domain/rotation.js'
import { isUuid } from '../domain/uuid.js'
import type { Account } from '../storage/accounts.js'
import * as apiTokens from '../storage/api-tokens.js'
import type { Tools } from './flow.js'

/** RFC 7662 §2.2; undefined for whatever is not active, so that nobody learns why. */
export interface Introspection {
  readonly sub: string
  readonly username: string
  readonly token_type: 'Bearer' | 'DPoP' | 'Token'
  readonly scope: string
  readonly client_id?: string | undefined
  readonly iss?: string | undefined
  readonly aud?: string | readonly string[] | undefined
  readonly jti: string
  readonly sid?: string | undefined
  readonly exp?: number | undefined
  readonly iat: number
  readonly auth_time?: number | undefined
  readonly amr?: readonly string[] | undefined
  readonly acr?: string | undefined
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly user_id?: string | undefined
  /** The key whose proof whoever asks must see beside the token (RFC 9449 §6.2). */
  readonly cnf?: { readonly jkt: string } | undefined
}

/**
 * What a token stands for at this moment: its session or client, its account and every revocation are asked of the
 * database. Access tokens and API tokens; a refresh token is for nobody but this service, so it is never active here.
 *
 * A client that has audiences of its own is told of access tokens for these alone (CVE-2026-37979). An API token is for
 * every service.
 */
export async function introspect(
  tools: Tools,
  token: string,
  caller: Pick<Principal, 'clientId'>
): Promise<Introspection | undefined> {
  return isApiToken(token) ? await introspectApiToken(tools, token) : await introspectAccessToken(tools, token, caller)
}

async function introspectAccessToken(
  tools: Tools,
  token: string,
  caller: Pick<Principal, 'clientId'>
): Promise<Introspection | undefined> {
  const claims = await tools.judgeAccessToken(token)
  if (claims === undefined) return undefined
  const [holder, ended, isCovered] = await Promise.all([
    findHolder(tools, claims),
    tools.revokedBy(principalOf(claims)),
    isMeantFor(tools, claims, caller)
  ])
  if (ended !== undefined || !isCovered || holder === undefined) return undefined
  return {
    sub: claims.sub,
    username: holder.username,
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
    user_id: claims.user_id,
    cnf: claims.cnf
  }
}

/** The account of a token whose session, or whose client where nobody signed in, is alive. */
async function findHolder(tools: Tools, claims: AccessTokenClaims): Promise<Account | undefined> {
  if (claims.sid === undefined) {
    const found = await tools.findClient(claims.client_id)
    return found?.client.disabledAt === null && found.account.disabledAt === null ? found.account : undefined
  }
  const found = isUuid(claims.sid) ? await tools.findSession(claims.sid) : undefined
  return found !== undefined && whyOver(found.held, tools.clock()) === null ? found.account : undefined
}

async function isMeantFor(
  tools: Tools,
  { aud }: AccessTokenClaims,
  { clientId }: Pick<Principal, 'clientId'>
): Promise<boolean> {
  if (clientId === null || !isClientId(clientId)) return true
  const found = await tools.findClient(clientId)
  if (found === undefined) return false
  const { audience } = found.client
  return audience.length === 0 || [aud].flat().some((one) => audience.includes(one))
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
    exp: token.expiresAt === null ? undefined : Math.floor(token.expiresAt.getTime() / 1000),
    iat: Math.floor(token.createdAt.getTime() / 1000),
    roles: account.roles,
    permissions: grants.permissions
  }
}
