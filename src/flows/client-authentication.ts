import { timingSafeEqual } from 'node:crypto'
import { clientSecretDigest, isClientId, isClientSecret } from '../domain/client.js'
import { assertionDigest, candidateKeys, judgeAssertion, readAssertion } from '../domain/client-assertion.js'
import type { ClientCredentials } from '../domain/client-credentials.js'
import { type Principal, principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import * as clients from '../storage/clients.js'
import * as usedIdentifiers from '../storage/used-identifiers.js'
import { note } from './audit.js'
import type { Tools } from './flow.js'

/** A client that proved who it is, or the public one, which cannot. */
export interface AuthenticatedClient {
  readonly id: string
  /** Null for the public client: whoever says its name. */
  readonly registered: clients.LiveClient | null
}

type Of<Method extends ClientCredentials['method']> = Extract<ClientCredentials, { readonly method: Method }>

/**
 * Finds out which client a request comes from. Whatever is wrong, the answer is the same `invalid_client`, after the same
 * work: neither words nor time tell which clients there are, which are disabled, and how each proves itself.
 */
export async function authenticateClient(tools: Tools, credentials: ClientCredentials): Promise<AuthenticatedClient> {
  if (credentials.method === 'none') {
    if (credentials.clientId === tools.settings.clientId) return { id: credentials.clientId, registered: null }
    throw wrong(tools, credentials.method, 'only the public client may send its id alone')
  }
  const found =
    credentials.method === 'private_key_jwt'
      ? await authenticateByAssertion(tools, credentials)
      : await authenticateBySecret(tools, credentials)
  touch(tools, found.client)
  return { id: found.client.id, registered: found }
}

async function authenticateBySecret(
  tools: Tools,
  { method, clientId, secret }: Of<'client_secret_basic' | 'client_secret_post'>
): Promise<clients.LiveClient> {
  if (!isClientId(clientId) || !isClientSecret(secret)) throw wrong(tools, method, 'not of their form')
  const found = await tools.findClient(clientId)
  const digest = clientSecretDigest(secret)
  // A client with keys has no digest, and nothing is compared with nothing.
  const isRight = timingSafeEqual(digest, found?.client.secretDigest ?? Buffer.alloc(digest.length))
  if (found === undefined || !isRight) throw wrong(tools, method, 'unknown, or another secret', found)
  return aliveOrWrong(tools, method, found)
}

async function authenticateByAssertion(
  tools: Tools,
  { method, clientId, assertion }: Of<'private_key_jwt'>
): Promise<clients.LiveClient> {
  const read = readAssertion(assertion)
  const subject = read?.claims.sub
  if (read === undefined || typeof subject !== 'string' || !isClientId(subject)) {
    throw wrong(tools, method, 'not an assertion')
  }
  if (clientId !== undefined && clientId !== subject) throw wrong(tools, method, 'client_id names another')
  const found = await tools.findClient(subject)
  const keys = candidateKeys(found?.client.jwks?.keys ?? [], read.header)
  const isSigned = await tools.isSignedByOneOf(assertion, keys, read.header.alg)
  if (found === undefined || !isSigned) throw wrong(tools, method, 'unknown, or signed by another key', found)
  const { issuer, leeway } = tools.settings
  const audience = [issuer, `${issuer}/oauth/token`]
  const verdict = judgeAssertion(read.claims, { clientId: subject, audience, leeway }, tools.clock())
  if (!verdict.ok) throw wrong(tools, method, verdict.because, found)
  aliveOrWrong(tools, method, found)
  // Last: only what the client itself has signed can use an identifier up. Of two that race one is told true.
  const isFirst = await usedIdentifiers.use(tools.db, assertionDigest(subject, verdict.jti), verdict.expiresAt)
  if (!isFirst) throw wrong(tools, method, 'used before', found)
  return found
}

function aliveOrWrong(tools: Tools, method: string, found: clients.LiveClient): clients.LiveClient {
  if (found.client.disabledAt === null && found.account.disabledAt === null) return found
  throw wrong(tools, method, 'disabled', found)
}

function wrong(tools: Tools, method: string, because: string, found?: clients.LiveClient): Refusal {
  note(tools, 'client.refused', { client: found?.client.id, account: found?.account.id, method, because })
  return new Refusal('invalid_client', { because: `${method}: ${because}` })
}

function touch(tools: Tools, client: clients.Client): void {
  const now = tools.clock()
  if (client.lastUsedAt !== null && now.getTime() - client.lastUsedAt.getTime() <= 60_000) return
  // For its owner's eyes: nobody waits for it, and no request fails because of it.
  clients.touch(tools.db, client.id, now).catch((error) => {
    tools.log('client.not_touched', { client: client.id, because: (error as Error).message })
  })
}

/** Who a client is as a caller, by its own credential: not limited to the scopes that its tokens are. */
export function principalOfClient(_tools: Tools, { id, registered }: AuthenticatedClient): Principal | null {
  if (registered === null) return null
  const { account, grants } = registered
  return principal({
    accountId: account.id,
    authenticator: 'client',
    clientId: id,
    roles: new Set(account.roles),
    permissions: new Set(grants.permissions),
    revision: grants.revision
  })
}
