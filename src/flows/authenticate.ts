import { isClientToken, type Principal, principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { whyOver } from '../domain/rotation.js'
import { scopesOf } from '../domain/scope.js'
import { earlier, later } from '../domain/session.js'
import { isUuid } from '../domain/uuid.js'
import type { Account } from '../storage/accounts.js'
import * as apiTokens from '../storage/api-tokens.js'
import * as clients from '../storage/clients.js'
import { findGrants } from '../storage/grants.js'
import * as sessions from '../storage/sessions.js'
import { note } from './audit.js'
import type { Tools } from './flow.js'
import { type Credentials, checkPassword } from './login.js'
import { overRefusals } from './refresh.js'
import { findUser } from './users.js'

/** Who a credential speaks for. An access token needs none of this: what it says is read from itself. */

/** Who a session cookie speaks for, asked of the live session: one read by its key. */
export async function authenticateSession(tools: Tools, cookie: string): Promise<Principal> {
  const sessionId = tools.readSessionCookie(cookie)
  if (sessionId === null) throw new Refusal('token_invalid', { because: 'not a session cookie of ours' })
  const found = await tools.findSession(sessionId)
  if (found === undefined) throw new Refusal('session_revoked', { because: 'unknown' })
  const now = tools.clock()
  const over = whyOver(found.held, now)
  if (over !== null) throw new Refusal(overRefusals[over], { because: found.held.endedBecause ?? over })
  const { session, account, grants } = found
  extendIdle(tools, session, now)
  return principal({
    accountId: account.id,
    authenticator: 'session',
    sessionId,
    clientId: session.clientId,
    scopes: scopesOf(session.scope),
    roles: new Set(account.roles),
    permissions: new Set(grants.permissions),
    authenticatedAt: session.createdAt,
    amr: session.amr,
    acr: session.acr,
    expiresAt: session.expiresAt,
    revision: grants.revision
  })
}

/**
 * Whoever uses pages alone never refreshes, so the cookie's use counts as the session's. Once in half of the idle time
 * is enough, and once more to reach the session's absolute end; nobody waits for it.
 */
function extendIdle(tools: Tools, session: sessions.Session, now: Date): void {
  const idle = tools.settings.lifetimes.refreshIdle
  const to = earlier(later(now, idle), session.expiresAt)
  const gained = to.getTime() - session.idleExpiresAt.getTime()
  if (gained <= 0 || (gained < idle / 2 && to < session.expiresAt)) return
  sessions.extendIdle(tools.db, session.id, to).catch((error) => {
    tools.log('session.not_extended', { session: session.id, because: (error as Error).message })
  })
}

/** Who a username and password speak for, without a session. */
export async function authenticatePassword(
  tools: Tools,
  credentials: Credentials,
  address: string | null
): Promise<Principal> {
  const account = await checkPassword(tools, credentials, address)
  note(tools, 'password.accepted', { account: account.id, amr: ['pwd'] })
  return await principalOfAccount(tools, account, 'basic', ['pwd'])
}

/**
 * Whom another system vouches for, by username, email or id: for authenticators of one's own. Throws `token_invalid` where
 * the account is not here.
 */
export async function principalOf(tools: Tools, name: string, authenticator: string): Promise<Principal> {
  const account = await findUser(tools, name).catch((error) => {
    if (error instanceof Refusal && error.code === 'not_found') {
      throw new Refusal('token_invalid', { because: `${authenticator}: no such account` })
    }
    throw error
  })
  return await principalOfAccount(tools, account, authenticator, [])
}

async function principalOfAccount(
  tools: Tools,
  account: Account,
  authenticator: string,
  amr: readonly string[]
): Promise<Principal> {
  const grants = await findGrants(tools.db, account.id)
  if (grants === undefined) throw new Refusal('account_disabled')
  return principal({
    accountId: account.id,
    authenticator,
    // Not those of the account, which was read before its password was checked.
    roles: new Set(grants.roles),
    permissions: new Set(grants.permissions),
    ...(amr.length === 0 ? {} : { authenticatedAt: tools.clock(), amr, acr: 'aal1' }),
    revision: grants.revision
  })
}

/**
 * Whether a principal is at this moment what its credential says, asked of the database: its session, API token or
 * client is alive, and neither its account nor one of its roles has changed since.
 */
export async function isFresh(tools: Tools, who: Principal): Promise<boolean> {
  const [alive, ended] = await Promise.all([isAlive(tools, who), tools.revokedBy(who)])
  return alive && ended === undefined
}

async function isAlive(tools: Tools, who: Principal): Promise<boolean> {
  const now = tools.clock()
  if (who.sessionId !== null) {
    const found = isUuid(who.sessionId) ? await tools.findSession(who.sessionId) : undefined
    return found !== undefined && whyOver(found.held, now) === null
  }
  if (who.authenticator === 'token') return await apiTokens.isAlive(tools.db, who.tokenId!, now)
  if (isClientToken(who)) return who.clientId !== null && (await clients.isAlive(tools.db, who.clientId))
  // Passwords and other systems are asked at each request.
  return true
}
