import { apiTokenDigest, isApiToken } from '../domain/api-token.js'
import { principalOf } from '../domain/principal.js'
import { later } from '../domain/session.js'
import * as apiTokens from '../storage/api-tokens.js'
import * as revocations from '../storage/revocations.js'
import { deleteApiToken } from './api-tokens.js'
import { noteIn } from './audit.js'
import { isFresh } from './authenticate.js'
import type { AuthenticatedClient } from './client-authentication.js'
import { ending, type Tools } from './flow.js'

/**
 * Ends what a token stands for, for the client that it belongs to (RFC 7009): a refresh token's session with all that was
 * issued from it, an access token, an API token. A token that is unknown, over or another client's changes nothing, and
 * that is no error: the caller learns nothing of it. Where nothing could be written it throws, and never says that it
 * was (CVE-2020-15223).
 */
export async function revokeToken(tools: Tools, token: string, client: AuthenticatedClient): Promise<void> {
  const refresh = tools.readRefreshToken(token)
  if (refresh !== null) await endSession(tools, refresh.sessionId, client)
  else if (isApiToken(token)) await removeApiToken(tools, token, client)
  else await endAccessToken(tools, token, client)
}

/** Whatever the token's generation: one that was rotated long ago proves as well that its owner wants to leave. */
async function endSession(tools: Tools, sessionId: string, client: AuthenticatedClient): Promise<void> {
  const found = await tools.findSession(sessionId)
  if (found === undefined || found.session.clientId !== client.id) return
  const ended = await tools.endSession({
    id: sessionId,
    ending: ending(tools, 'revoked_by_client', tools.clock())
  })
  if (ended) tools.log('session.ended', { session: sessionId, because: 'revoked_by_client', client: client.id })
}

/** A client's own key, and with the public client a person's: those are made through it. */
async function removeApiToken(tools: Tools, key: string, client: AuthenticatedClient): Promise<void> {
  const found = await apiTokens.findByDigest(tools.db, apiTokenDigest(key))
  if (found === undefined || (found.clientId ?? tools.settings.clientId) !== client.id) return
  await deleteApiToken(tools, found.account.id, found.token.id).catch((error) => {
    // Somebody was faster.
    if ((error as { code?: string }).code !== 'not_found') throw error
  })
}

async function endAccessToken(tools: Tools, token: string, client: AuthenticatedClient): Promise<void> {
  const claims = await tools.judgeAccessToken(token)
  if (claims === undefined || claims.client_id !== client.id) return
  // One that is over, alone or with its session, needs no entry, which everybody would have to remember.
  if (!(await isFresh(tools, principalOf(claims)))) return
  const now = tools.clock()
  await tools.db.transaction().execute(async (trx) => {
    await noteIn(tools, trx, 'token.revoked', {
      account: claims.sub,
      session: claims.sid,
      client: client.id,
      token: claims.jti,
      because: 'revoked_by_client'
    })
    await revocations.insert(trx, {
      kind: 'token',
      subject: claims.jti,
      because: 'revoked_by_client',
      createdAt: now,
      expiresAt: later(now, tools.settings.revocationLifetime)
    })
  })
}
