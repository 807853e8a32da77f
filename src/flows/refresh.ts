import { Refusal, type RefusalCode } from '../domain/refusal.js'
import { judgeRefresh } from '../domain/rotation.js'
import { later, type RefreshTransport } from '../domain/session.js'
import * as sessions from '../storage/sessions.js'
import { ending, type Tools } from './flow.js'
import { type IssuedTokens, issueTokens } from './tokens.js'

/** The refusals of a session that is over. */
export const overRefusals: Record<'ended' | 'disabled' | 'expired', RefusalCode> = {
  ended: 'session_revoked',
  disabled: 'account_disabled',
  expired: 'session_expired'
}

/**
 * Trades a refresh token for the next tokens. The common case is one statement; only a token that could not rotate is
 * looked at a second time, and judged.
 */
export async function refresh(tools: Tools, text: string, transport: RefreshTransport): Promise<IssuedTokens> {
  const read = tools.readRefreshToken(text)
  if (read === null) throw new Refusal('token_invalid', { because: 'not a refresh token of ours' })
  const presented = { ...read, transport }
  const { db, settings } = tools
  const now = tools.clock()

  const rotation = { ...presented, idleExpiresAt: later(now, settings.lifetimes.refreshIdle), now }
  const rotated = await tools.rotate(rotation)
  if (rotated !== undefined) return await issueTokens(tools, rotated, now)

  const found = await sessions.findHeld(db, presented.sessionId)
  if (found === undefined) throw new Refusal('session_revoked', { because: 'unknown' })
  // A token from a cookie cannot be in a body unless somebody took it out of a browser.
  if (found.session.transport !== transport) throw new Refusal('token_invalid', { because: `sent by ${transport}` })
  const verdict = judgeRefresh(found.held, presented.generation, settings.rotation, now)
  const who = { account: found.account.id, session: found.session.id }
  switch (verdict.kind) {
    case 'replay':
      tools.log('refresh.replayed', { ...who, late: verdict.late })
      return await issueTokens(tools, found, now)
    case 'refuse':
      throw new Refusal(overRefusals[verdict.because], { because: found.held.endedBecause ?? verdict.because })
    case 'revoke':
      // A statement of its own, committed before the refusal is thrown: the thief's token dies with the victim's.
      await sessions.end(db, found.session, ending(tools, verdict.because, now))
      tools.log('refresh.reuse_detected', who)
      throw new Refusal('refresh_reused')
    case 'rotate':
      // The clock or the row moved between the two statements. Asking again is safe; a loop here would not be.
      throw new Refusal('service_unavailable', { because: 'state changed between two statements', retryAfter: 1 })
  }
}
