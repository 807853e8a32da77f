import { createPublicKey, type JsonWebKey } from 'node:crypto'
import {
  type ClientKeys,
  clientIdEntropy,
  clientSecretDigest,
  clientSecretEntropy,
  formatClientId,
  formatClientSecret,
  isClientId,
  judgeClient,
  readClientKeys
} from '../domain/client.js'
import { usernameKey } from '../domain/identity.js'
import { Refusal, type Violation } from '../domain/refusal.js'
import { uuidV7 } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as clients from '../storage/clients.js'
import * as endings from '../storage/endings.js'
import type { Trx } from '../storage/tables.js'
import { noteIn } from './audit.js'
import { ending, type Tools } from './flow.js'
import { orRefuseName } from './register.js'
import { refuseUnknownRoles, revokeIssued } from './roles.js'
import { guardLastAdministrator } from './users.js'

/** What administrators do with services that authenticate themselves. */

export interface MadeClient {
  readonly client: clients.LiveClient
  /** Shown this once: a digest is all that is kept. Undefined for a client with keys. */
  readonly secret: string | undefined
}

/** Keys as somebody sent them, not yet looked at. */
export interface SentKeys {
  readonly keys: readonly unknown[]
}

/** Makes a client and its account. Without keys it gets a secret. */
export async function createClient(
  tools: Tools,
  input: {
    readonly name: string
    readonly scopes?: readonly string[] | undefined
    readonly audience?: readonly string[] | undefined
    readonly roles?: readonly string[] | undefined
    readonly permissions?: readonly string[] | undefined
    readonly jwks?: SentKeys | undefined
  }
): Promise<MadeClient> {
  const { scopes = [], audience = [], roles = [], permissions = [] } = input
  refuseWrong(judgeClient(input, tools.settings.audience))
  const jwks = input.jwks === undefined ? null : readKeys(input.jwks)
  const secret = jwks === null ? formatClientSecret(tools.entropy(clientSecretEntropy)) : undefined
  const now = tools.clock()
  const id = formatClientId(tools.entropy(clientIdEntropy))
  const accountId = uuidV7(now, tools.idEntropy(16))
  await tools.db.transaction().execute(async (trx) => {
    await refuseUnknownRoles(trx, roles)
    // Named by its id, which nobody can have taken; and without a password nobody signs in as it.
    const account = {
      id: accountId,
      username: id,
      usernameKey: usernameKey(id),
      email: null,
      emailKey: null,
      passwordHash: null,
      roles: unique(roles),
      createdAt: now
    }
    orRefuseName(await accounts.insert(trx, account))
    if (permissions.length > 0) await accounts.setPermissions(trx, accountId, unique(permissions))
    await clients.insert(trx, {
      id,
      accountId,
      name: input.name,
      secretDigest: secret === undefined ? null : clientSecretDigest(secret),
      jwks,
      scopes: unique(scopes),
      audience: unique(audience),
      createdAt: now
    })
    await noteIn(tools, trx, 'client.created', { client: id, account: accountId })
  })
  return { client: await readClient(tools, id), secret }
}

export function listClients(tools: Tools): Promise<clients.LiveClient[]> {
  return clients.list(tools.db)
}

export async function readClient(tools: Tools, id: string): Promise<clients.LiveClient> {
  return orNotFound(isClientId(id) ? await clients.find(tools.db, id) : undefined)
}

/**
 * Changes a client. What was issued before is over where it says more than the client may now, or was got by a credential
 * that is replaced: the client asks for another token.
 */
export async function updateClient(
  tools: Tools,
  id: string,
  input: {
    readonly name?: string | undefined
    readonly scopes?: readonly string[] | undefined
    readonly audience?: readonly string[] | undefined
    /** In place of the keys or the secret that it has. */
    readonly jwks?: SentKeys | undefined
    readonly disabled?: boolean | undefined
  }
): Promise<clients.LiveClient> {
  refuseWrong(judgeClient(input, tools.settings.audience))
  const { name, scopes, audience, disabled } = input
  const keys = input.jwks === undefined ? {} : { jwks: readKeys(input.jwks), secretDigest: null }
  return await change(tools, id, async (trx, { account }) => {
    if (disabled === true && !(await guardLastAdministrator(trx, account.id))) return 'last_administrator'
    await clients.change(trx, id, {
      ...(name === undefined ? {} : { name }),
      ...(scopes === undefined ? {} : { scopes: unique(scopes) }),
      ...(audience === undefined ? {} : { audience: unique(audience) }),
      ...keys
    })
    if (disabled !== undefined) {
      const at = disabled ? tools.clock() : null
      // Its account with it, so that API tokens of that account are over too.
      await clients.setDisabled(trx, id, at)
      await accounts.setDisabled(trx, account.id, at)
    }
    const changed = Object.keys(input)
    await noteIn(tools, trx, 'client.changed', { client: id, account: account.id, changed })
    if (disabled === true) await endings.endAll(trx, account.id, ending(tools, 'account_disabled', tools.clock()))
    else if (scopes !== undefined || audience !== undefined || input.jwks !== undefined) {
      await revokeIssued(tools, trx, 'account', account.id, 'client_changed')
    }
    return null
  })
}

/**
 * Gives a client another secret. The old one is over at once, and so are the tokens that it got: a secret is replaced
 * because somebody else may have it. Clients that must never pause have keys, of which two can be registered.
 */
export async function rotateClientSecret(tools: Tools, id: string): Promise<MadeClient> {
  const secret = formatClientSecret(tools.entropy(clientSecretEntropy))
  const client = await change(tools, id, async (trx, found) => {
    if (found.client.jwks !== null) return 'client_has_keys'
    await clients.change(trx, id, { secretDigest: clientSecretDigest(secret) })
    await noteIn(tools, trx, 'client.secret_rotated', { client: id, account: found.account.id })
    await revokeIssued(tools, trx, 'account', found.account.id, 'client_secret_rotated')
    return null
  })
  return { client, secret }
}

/** Removes a client and its account, with all that hangs on it. */
export async function deleteClient(tools: Tools, id: string): Promise<void> {
  const outcome = await changed(tools, id, async (trx, { account }) => {
    if (!(await guardLastAdministrator(trx, account.id))) return 'last_administrator'
    await accounts.remove(trx, account.id)
    await noteIn(tools, trx, 'client.removed', { client: id, account: account.id })
    await revokeIssued(tools, trx, 'account', account.id, 'account_deleted')
    return null
  })
  if (outcome !== null) throw new Refusal(outcome)
}

const unique = (names: readonly string[]) => [...new Set(names)].sort()

function refuseWrong(errors: readonly Violation[]): void {
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
}

function readKeys(jwks: SentKeys): ClientKeys {
  const read = readClientKeys(jwks)
  if ('errors' in read) throw new Refusal('validation_failed', { errors: read.errors })
  const errors = read.keys.keys.flatMap((key, at) => {
    try {
      createPublicKey({ key: key as JsonWebKey, format: 'jwk' })
      return []
    } catch {
      return [{ pointer: `/jwks/keys/${at}`, code: 'invalid', detail: 'This is not a key: a member is wrong.' }]
    }
  })
  refuseWrong(errors)
  return read.keys
}

type Refused = 'last_administrator' | 'client_has_keys'

type Change = (trx: Trx, found: clients.LiveClient) => Promise<Refused | null>

/** Runs a change of a client that nobody else changes meanwhile; tells why it was not done. */
async function changed(tools: Tools, id: string, run: Change): Promise<Refused | 'not_found' | null> {
  if (!isClientId(id)) return 'not_found'
  return await tools.db.transaction().execute(async (trx) => {
    const found = await clients.findForUpdate(trx, id)
    return found === undefined ? 'not_found' : await run(trx, found)
  })
}

async function change(tools: Tools, id: string, run: Change): Promise<clients.LiveClient> {
  const outcome = await changed(tools, id, run)
  if (outcome !== null) throw new Refusal(outcome)
  return await readClient(tools, id)
}

function orNotFound(client: clients.LiveClient | undefined): clients.LiveClient {
  if (client === undefined) throw new Refusal('not_found')
  return client
}
