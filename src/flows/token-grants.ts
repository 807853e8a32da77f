import type { Proof } from '../domain/dpop-proof.js'
import { Refusal, type RefusalCode } from '../domain/refusal.js'
import { narrow } from '../domain/scope.js'
import { secondsUntil } from '../domain/session.js'
import { note } from './audit.js'
import type { AuthenticatedClient } from './client-authentication.js'
import type { Requester, Tools } from './flow.js'
import { spendProof } from './proof.js'
import { refresh } from './refresh.js'
import type { IssuedTokens } from './tokens.js'

/** What the token endpoint gives (RFC 6749 §5.1). */

export interface GrantTerms {
  readonly client: AuthenticatedClient
  /** As it was sent; undefined for all that was granted. */
  readonly scope: string | undefined
  /** Of the key that the request was proven to be by; null where it carries no proof. */
  readonly proof: Proof | null
  readonly requester?: Requester | undefined
}

/** Refusals of a refresh token, which are all one to a client. */
const refreshRefusals: ReadonlySet<RefusalCode> = new Set([
  'account_disabled',
  'dpop_key_required',
  'refresh_reused',
  'session_expired',
  'session_revoked',
  'token_invalid'
])

/** The grant `refresh_token` (RFC 6749 §6). What a reuse ends is over before this is refused. */
export async function grantRefresh(tools: Tools, refreshToken: string, terms: GrantTerms): Promise<IssuedTokens> {
  try {
    return await refresh(tools, refreshToken, 'body', terms.proof, {
      clientId: terms.client.id,
      scope: terms.scope,
      requester: terms.requester
    })
  } catch (error) {
    if (!(error instanceof Refusal && refreshRefusals.has(error.code))) throw error
    throw new Refusal('invalid_grant', { because: `${error.code}: ${error.because ?? ''}` })
  }
}

export interface ClientToken {
  readonly accessToken: string
  /** `DPoP` where it is bound to the key of the proof that came with the request (RFC 9449 §5). */
  readonly tokenType: 'Bearer' | 'DPoP'
  /** Seconds. */
  readonly expiresIn: number
  readonly scope: string
}

/** The grant `client_credentials` (RFC 6749 §4.4): an access token of no session, and no refresh token. */
export async function grantClientCredentials(tools: Tools, terms: GrantTerms): Promise<ClientToken> {
  const { registered } = terms.client
  if (registered === null) throw new Refusal('unauthorized_client', { because: 'the public client' })
  const { client, account, grants } = registered
  const scopes = narrow(client.scopes, terms.scope)
  if (scopes === undefined) throw new Refusal('invalid_scope', { because: 'not the client’s' })
  // The setting may have lost an audience since the client was given it.
  const audience = client.audience.filter((one) => tools.settings.audience.includes(one))
  if (audience.length === 0 && client.audience.length > 0) {
    throw new Refusal('unauthorized_client', { because: 'AUTH_AUDIENCE names none of its audiences' })
  }
  if (terms.proof !== null) await spendProof(tools, terms.proof)
  const jkt = terms.proof?.jkt ?? null
  const now = tools.clock()
  const scope = scopes.join(' ')
  const signed = await tools.signAccessToken(
    {
      accountId: account.id,
      sessionId: null,
      clientId: client.id,
      scope,
      roles: account.roles,
      permissions: grants.permissions,
      revision: grants.revision,
      userId: undefined,
      jkt,
      ...(audience.length === 0 ? {} : { audience })
    },
    now
  )
  note(tools, 'client.token_issued', { client: client.id, account: account.id, scope })
  return {
    accessToken: signed.token,
    tokenType: jkt === null ? 'Bearer' : 'DPoP',
    expiresIn: secondsUntil(signed.expiresAt, now),
    scope
  }
}
