import type { FastifyReply } from 'fastify'
import { type AuditEvent, needsAttention } from '../domain/audit-event.js'
import type { MadeClient } from '../flows/clients.js'
import type { IssuedTokens } from '../flows/tokens.js'
import type { Account } from '../storage/accounts.js'
import type { ApiToken } from '../storage/api-tokens.js'
import type { LiveClient } from '../storage/clients.js'
import type { Role } from '../storage/roles.js'

/** What is said on the wire, in snake_case, out of what the flows answer. */

export function toUser(account: Account) {
  return {
    id: account.id,
    username: account.username,
    email: account.email,
    email_verified: account.emailVerifiedAt !== null,
    roles: [...account.roles],
    permissions: [...account.permissions],
    disabled: account.disabledAt !== null,
    created_at: account.createdAt.toISOString(),
    last_login_at: account.lastLoginAt?.toISOString() ?? null
  }
}

export function toRole(role: Role) {
  return { name: role.name, description: role.description, permissions: [...role.permissions] }
}

/** What an API token is made from, as it comes in a body. */
export function fromNewApiToken(body: {
  readonly name: string
  readonly scopes?: readonly string[]
  /** Seconds. */
  readonly expires_in?: number
}) {
  return {
    name: body.name,
    scopes: body.scopes,
    lifetime: body.expires_in === undefined ? undefined : body.expires_in * 1000
  }
}

export function toApiToken(token: ApiToken) {
  return {
    id: token.id,
    name: token.name,
    kind: token.kind,
    hint: token.hint,
    scopes: [...token.scopes],
    created_at: token.createdAt.toISOString(),
    expires_at: token.expiresAt?.toISOString() ?? null,
    last_used_at: token.lastUsedAt?.toISOString() ?? null
  }
}

export function toClientBody({ client, account }: LiveClient) {
  return {
    id: client.id,
    account_id: client.accountId,
    name: client.name,
    authentication: client.jwks === null ? ('secret' as const) : ('keys' as const),
    jwks: client.jwks === null ? null : { keys: [...client.jwks.keys] },
    scopes: [...client.scopes],
    audience: [...client.audience],
    roles: [...account.roles],
    permissions: [...account.permissions],
    disabled: client.disabledAt !== null || account.disabledAt !== null,
    created_at: client.createdAt.toISOString(),
    last_used_at: client.lastUsedAt?.toISOString() ?? null
  }
}

export function toMadeClient({ client, secret }: MadeClient) {
  return { client: toClientBody(client), ...(secret === undefined ? {} : { client_secret: secret }) }
}

/** The tokens; the refresh token only where it travels in bodies. */
export function toTokens(issued: IssuedTokens) {
  return {
    access_token: issued.accessToken,
    token_type: issued.tokenType,
    expires_in: issued.expiresIn,
    ...(issued.transport === 'body' ? { refresh_token: issued.refreshToken } : {}),
    refresh_token_timeout: issued.refreshTokenTimeout,
    authorization_expires_in: issued.authorizationExpiresIn,
    user: toUser(issued.account)
  }
}

/** An event as the owner of the account may see it: of an administrator who did it, that it was one. */
export function toSecurityEvent(event: AuditEvent) {
  const isByOther = event.actorId !== null || event.source === 'command'
  return {
    ...toHappened(event),
    ...(isByOther ? { session_id: null, client_id: null, address: null, user_agent: null, amr: [] } : {}),
    by_administrator: isByOther,
    attention: needsAttention(event)
  }
}

export function toAuditEvent(event: AuditEvent) {
  return {
    ...toHappened(event),
    account_id: event.accountId,
    actor_id: event.actorId,
    source: event.source,
    details: event.details
  }
}

function toHappened(event: AuditEvent) {
  return {
    id: event.id,
    event: event.event,
    outcome: event.outcome,
    happened_at: event.at.toISOString(),
    session_id: event.sessionId,
    client_id: event.clientId,
    address: event.address,
    user_agent: event.userAgent,
    amr: [...event.amr],
    reason: event.reason
  }
}

/** Done, and nothing to say. A body of null would be sent as the word. */
export function noContent(reply: FastifyReply, status: 200 | 204 = 204): never {
  return reply.code(status).header('cache-control', 'no-store').send() as never
}
