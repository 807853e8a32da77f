import type { Proof } from '../domain/dpop-proof.js'
import { Refusal, type RefusalCode } from '../domain/refusal.js'
import { type HeldSession, judgeRefresh, type RotationVerdict } from '../domain/rotation.js'
import { narrow, scopesOf } from '../domain/scope.js'
import { later, type RefreshTransport } from '../domain/session.js'
import type * as sessions from '../storage/sessions.js'
import type { LiveSession } from '../storage/sessions.js'
import { note } from './audit.js'
import { ending, inPerson, type Requester, type Tools } from './flow.js'
import { spendProof } from './proof.js'
import { type IssuedTokens, issueTokens } from './tokens.js'

/**
 * Throws `dpop_key_required` where a session is bound to another key than the one that was proven. It comes before the
 * judgement of the token: whoever has an old copy of one and not the key must not be taken for a thief who has both, and
 * end the session of its owner.
 */
export function assertKey(session: sessions.Session, jkt: string | null): void {
  if (session.jkt === null || session.jkt === jkt) return
  throw new Refusal('dpop_key_required', { because: jkt === null ? 'no proof' : 'another key' })
}

/** What a token of this generation deserves that this requester sent, at the time when its flow began. */
export function judgePresented(
  { settings, outage }: Tools,
  held: HeldSession,
  generation: number,
  now: Date,
  requester: Requester
): RotationVerdict {
  const arrival = { receivedAt: requester.receivedAt ?? now, isAbandoned: requester.hasLeft(), outage: outage() }
  return judgeRefresh(held, generation, settings.rotation, now, arrival)
}

/** The refusals of a session that is over. */
export const overRefusals: Record<'ended' | 'disabled' | 'expired', RefusalCode> = {
  ended: 'session_revoked',
  disabled: 'account_disabled',
  expired: 'session_expired'
}

/** What a request asks for besides. */
export interface RefreshTerms {
  readonly requester?: Requester | undefined
  /** The client that the token must belong to. */
  readonly clientId?: string | undefined
  /** What the access token of this answer is limited to: some of the session's scopes, as they were sent. */
  readonly scope?: string | undefined
}

/**
 * Trades a refresh token for the next tokens. The common case is one statement; only a token that could not rotate is
 * looked at a second time, and judged.
 *
 * A proof is spent whether or not the session asks for one. It binds nothing: a session is bound at its sign-in or never
 * (RFC 9449 §5), or else a copied token could be bound to the key of whoever copied it.
 */
export async function refresh(
  tools: Tools,
  text: string,
  transport: RefreshTransport,
  proof: Proof | null = null,
  terms: RefreshTerms = {}
): Promise<IssuedTokens> {
  const read = tools.readRefreshToken(text)
  if (read === null) throw new Refusal('token_invalid', { because: 'not a refresh token of ours' })
  const { clientId, scope, requester = inPerson } = terms
  // Before anything waits: a request that is overtaken is told by when it came.
  const now = tools.clock()
  if (proof !== null) await spendProof(tools, proof)
  const jkt = proof?.jkt ?? null
  const rotated = await tools.rotate({
    sessionId: read.sessionId,
    generation: read.generation,
    transport,
    jkt,
    clientId,
    scope,
    idleExpiresAt: later(now, tools.settings.lifetimes.refreshIdle),
    now
  })
  if (rotated !== undefined) return await issueTokens(tools, rotated, now, narrowed(rotated, scope))

  const found = await tools.findSession(read.sessionId)
  if (found === undefined) throw new Refusal('session_revoked', { because: 'unknown' })
  // A token from a cookie cannot be in a body unless somebody took it out of a browser.
  if (found.session.transport !== transport) throw new Refusal('token_invalid', { because: `sent by ${transport}` })
  // Before it is judged: what another client does with a token must not end a session.
  if (clientId !== undefined && found.session.clientId !== clientId) {
    throw new Refusal('token_invalid', { because: `of another client than ${clientId}` })
  }
  assertKey(found.session, jkt)
  const verdict = judgePresented(tools, found.held, read.generation, now, requester)
  const who = { account: found.account.id, session: found.session.id }
  switch (verdict.kind) {
    case 'replay': {
      const limit = narrowed(found, scope)
      noteReplay(tools, who, verdict.late)
      return await issueTokens(tools, found, now, limit)
    }
    case 'refuse':
      throw new Refusal(overRefusals[verdict.because], { because: found.held.endedBecause ?? verdict.because })
    case 'revoke':
      // A statement of its own, committed before the refusal is thrown: the thief's token dies with the victim's.
      await tools.endSession({ id: found.session.id, ending: ending(tools, verdict.because, now) })
      note(tools, 'refresh.reuse_detected', who)
      throw new Refusal('refresh_reused')
    case 'retry':
      throw new Refusal('service_unavailable', { because: 'overtaken by a rotation', retryAfter: 1 })
    case 'rotate':
      // Not rotated for scopes that were not granted: the token is as good as before.
      narrowed(found, scope)
      // The clock or the row moved between the two statements. Asking again is safe; a loop here would not be.
      throw new Refusal('service_unavailable', { because: 'state changed between two statements', retryAfter: 1 })
  }
}

/** One within the replay window is a tab or a train's tunnel; one that comes later is told to the audit as well. */
function noteReplay(tools: Tools, who: { readonly account: string; readonly session: string }, late: boolean): void {
  if (late) note(tools, 'refresh.replayed', { ...who, late })
  else tools.log('refresh.replayed', { ...who, late })
}

/** The scopes of the answer's access token; throws where a request would widen what was granted. */
function narrowed({ session }: LiveSession, asked: string | undefined): string {
  const scopes = narrow([...scopesOf(session.scope)], asked)
  if (scopes === undefined) throw new Refusal('invalid_scope', { because: 'more than the session was granted' })
  return asked === undefined ? session.scope : scopes.join(' ')
}
