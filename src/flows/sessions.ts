import { Refusal } from '../domain/refusal.js'
import { whyOver } from '../domain/rotation.js'
import { isUuid } from '../domain/uuid.js'
import * as endings from '../storage/endings.js'
import * as sessions from '../storage/sessions.js'
import { ending, type Tools } from './flow.js'

/**
 * Ends the session that a refresh token belongs to, whatever its generation: also a token that was rotated long ago
 * proves that its owner wants to leave. A text that is no token of ours ends nothing, and that is no error.
 *
 * True once a session is over for certain; only then may a cookie be cleared.
 */
export async function logout(tools: Tools, refreshToken: string): Promise<boolean> {
  const presented = tools.readRefreshToken(refreshToken)
  if (presented === null) return false
  await endOne(tools, presented.sessionId)
  return true
}

/** The value of the cookie that speaks for a session on pages. */
export function formatSessionCookie(tools: Tools, sessionId: string): string {
  return tools.formatSessionCookie(sessionId)
}

/** The session that a session cookie names, alive or not; null where it is not one of ours. */
export function readSessionCookie(tools: Tools, cookie: string): string | null {
  return tools.readSessionCookie(cookie)
}

/** Ends one session by its id, for a caller who proved to be in it. */
export async function endOne(tools: Tools, sessionId: string): Promise<void> {
  const ended = await tools.endSession({ id: sessionId, ending: ending(tools, 'logout', tools.clock()) })
  if (ended) tools.log('session.ended', { session: sessionId, because: 'logout' })
}

/** Ends all sessions of the account that a refresh token belongs to; true once the token's own is over for certain. */
export async function logoutAllByRefreshToken(tools: Tools, refreshToken: string): Promise<boolean> {
  const presented = tools.readRefreshToken(refreshToken)
  if (presented === null) return false
  await logoutAllBySession(tools, presented.sessionId)
  return true
}

/** Ends all sessions of the account that one of them belongs to, for a caller who proved to be in it. */
export async function logoutAllBySession(tools: Tools, sessionId: string): Promise<void> {
  const found = await tools.findSession(sessionId)
  // A token of a session that is over must not end the others: who stole it once would keep that power for ever.
  if (found === undefined || whyOver(found.held, tools.clock()) !== null) return
  const ended = await endings.endAll(tools.db, found.account.id, ending(tools, 'logout_all', tools.clock()))
  tools.log('session.ended_all', { account: found.account.id, because: 'logout_all', sessions: ended })
}

export function listDevices(tools: Tools, accountId: string): Promise<sessions.Device[]> {
  return isUuid(accountId) ? sessions.listLive(tools.db, accountId, tools.clock()) : Promise.resolve([])
}

/** Ends one of the account's own sessions. Another account's is as unknown as none (404). */
export async function endOwn(tools: Tools, accountId: string, sessionId: string): Promise<void> {
  if (!isUuid(sessionId) || !isUuid(accountId)) throw new Refusal('not_found')
  const ended = await tools.endSession({
    id: sessionId,
    accountId,
    ending: ending(tools, 'ended_by_owner', tools.clock())
  })
  if (!ended) throw new Refusal('not_found')
  tools.log('session.ended', { account: accountId, session: sessionId, because: 'ended_by_owner' })
}
