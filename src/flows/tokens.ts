import { type RefreshTransport, secondsUntil } from '../domain/session.js'
import type { Account } from '../storage/accounts.js'
import type { LiveSession } from '../storage/sessions.js'
import type { Tools } from './flow.js'

/** The id that an account had in Django; undefined for all others. */
export function djangoId(account: Pick<Account, 'externalId'>): string | undefined {
  return account.externalId?.startsWith('django:') ? account.externalId.slice('django:'.length) : undefined
}

/** What a sign-in and a refresh answer with. */
export interface IssuedTokens {
  readonly accessToken: string
  /** `DPoP` where it is worth nothing without a proof (RFC 9449 §5). */
  readonly tokenType: 'Bearer' | 'DPoP'
  /** Seconds. */
  readonly expiresIn: number
  readonly refreshToken: string
  /** Seconds until the refresh token goes unused for too long. */
  readonly refreshTokenTimeout: number
  /** Seconds until the session's absolute end. */
  readonly authorizationExpiresIn: number
  readonly transport: RefreshTransport
  readonly sessionId: string
  /** What the access token is limited to; empty where it is not. */
  readonly scope: string
  readonly account: Account
}

/**
 * The tokens of a session at its present generation. What the refresh token is follows from the session alone, so a
 * replay gets the same; the access token is new each time, and what it says of the sign-in never changes.
 */
export async function issueTokens(
  tools: Tools,
  { session, account, grants }: LiveSession,
  now: Date,
  scope = session.scope
): Promise<IssuedTokens> {
  const access = await tools.signAccessToken(
    {
      accountId: account.id,
      sessionId: session.id,
      clientId: session.clientId,
      scope,
      roles: account.roles,
      permissions: grants.permissions,
      revision: grants.revision,
      userId: djangoId(account),
      jkt: session.jkt,
      authenticatedAt: session.createdAt,
      amr: session.amr,
      acr: session.acr,
      statusIndex: session.statusIndex,
      sessionExpiresAt: session.expiresAt
    },
    now
  )
  return {
    accessToken: access.token,
    tokenType: session.jkt === null ? 'Bearer' : 'DPoP',
    expiresIn: secondsUntil(access.expiresAt, now),
    refreshToken: tools.formatRefreshToken({ sessionId: session.id, generation: session.generation }),
    refreshTokenTimeout: secondsUntil(session.idleExpiresAt, now),
    authorizationExpiresIn: secondsUntil(session.expiresAt, now),
    transport: session.transport,
    sessionId: session.id,
    scope,
    account
  }
}
