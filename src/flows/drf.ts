import type { AccessTokenClaims } from '../domain/access-token.js'
import { isClientToken, type Principal, principalOf } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { judgeRefresh, whyOver } from '../domain/rotation.js'
import { later } from '../domain/session.js'
import { isUuid } from '../domain/uuid.js'
import * as sessions from '../storage/sessions.js'
import { obtainAuthtoken } from './api-tokens.js'
import { note } from './audit.js'
import { isFresh } from './authenticate.js'
import { ending, inPerson, type Tools } from './flow.js'
import { type Credentials, checkPassword } from './login.js'
import { assertKey, judgePresented, overRefusals } from './refresh.js'
import { djangoId, type IssuedTokens, issueTokens } from './tokens.js'

/** What Django's packages do and this service does in another way. */

/**
 * A new access token for a refresh token that stays the same, as simplejwt does unless it is told to rotate. A token that
 * was rotated long ago is judged as everywhere: it ends the session.
 */
export async function renew(tools: Tools, text: string, requester = inPerson): Promise<IssuedTokens> {
  const presented = tools.readRefreshToken(text)
  if (presented === null) throw new Refusal('token_invalid', { because: 'not a refresh token of ours' })
  const { db, settings } = tools
  const now = tools.clock()
  const found = await tools.findSession(presented.sessionId)
  if (found === undefined) throw new Refusal('session_revoked', { because: 'unknown' })
  if (found.session.transport !== 'body') throw new Refusal('token_invalid', { because: 'taken out of a cookie' })
  // These clients know no proofs: a session that is bound to a key is not renewed here.
  assertKey(found.session, null)
  const verdict = judgePresented(tools, found.held, presented.generation, now, requester)
  if (verdict.kind === 'refuse') {
    throw new Refusal(overRefusals[verdict.because], { because: found.held.endedBecause ?? verdict.because })
  }
  if (verdict.kind === 'retry') {
    throw new Refusal('service_unavailable', { because: 'overtaken by a rotation', retryAfter: 1 })
  }
  if (verdict.kind === 'revoke') {
    await tools.endSession({ id: found.session.id, ending: ending(tools, verdict.because, now) })
    note(tools, 'refresh.reuse_detected', { account: found.account.id, session: found.session.id })
    throw new Refusal('refresh_reused')
  }
  await sessions.extendIdle(db, found.session.id, later(now, settings.lifetimes.refreshIdle))
  return await issueTokens(tools, found, now)
}

/** The key of an account's authtoken for its name and password, made where there is none (`obtain_auth_token`). */
export async function signInForAuthtoken(
  tools: Tools,
  credentials: Credentials,
  address: string | null
): Promise<string> {
  const account = await checkPassword(tools, credentials, address)
  const { key } = await obtainAuthtoken(tools, account.id)
  note(tools, 'password.accepted', { account: account.id, amr: ['pwd'] })
  return key
}

export type RefreshState = 'alive' | 'unreadable' | 'unknown' | 'ended' | 'disabled' | 'expired' | 'rotated'

/** How a refresh token stands, without using it. */
export async function inspectRefresh(tools: Tools, text: string): Promise<RefreshState> {
  const presented = tools.readRefreshToken(text)
  if (presented === null) return 'unreadable'
  const found = await tools.findSession(presented.sessionId)
  if (found === undefined) return 'unknown'
  const verdict = judgeRefresh(found.held, presented.generation, tools.settings.rotation, tools.clock())
  if (verdict.kind === 'refuse') return verdict.because
  return verdict.kind === 'revoke' ? 'rotated' : 'alive'
}

export type AccessState =
  | { readonly state: 'alive'; readonly principal: Principal }
  | { readonly state: 'unknown' | 'disabled' | 'password_changed' | 'ended' }

/** How an access token whose signature and times are good stands in the database: Django's packages ask at each request. */
export async function inspectAccess(tools: Tools, claims: AccessTokenClaims): Promise<AccessState> {
  const principal = principalOf(claims)
  if (isClientToken(principal))
    return (await isFresh(tools, principal)) ? { state: 'alive', principal } : { state: 'ended' }
  const { sid = '' } = claims
  const found = isUuid(sid) ? await tools.findSession(sid) : undefined
  if (found === undefined) return { state: 'unknown' }
  if (found.held.accountDisabled) return { state: 'disabled' }
  if (found.held.endedBecause === 'password_changed') return { state: 'password_changed' }
  const isOver = whyOver(found.held, tools.clock()) !== null || (await tools.revokedBy(principal)) !== undefined
  return isOver ? { state: 'ended' } : { state: 'alive', principal }
}

/** The id of an account as Django's clients know it: a number for those that came from there. */
export function drfId(
  _tools: Tools,
  account: { readonly id: string; readonly externalId: string | null }
): string | number {
  const id = djangoId(account)
  return id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : account.id
}
