import {
  type ApiTokenKind,
  apiTokenDigest,
  apiTokenEntropy,
  formatApiToken,
  hintOf,
  isApiToken,
  judgeApiToken
} from '../domain/api-token.js'
import { type Principal, principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { later } from '../domain/session.js'
import { isUuid, uuidV7 } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as apiTokens from '../storage/api-tokens.js'
import type { Db } from '../storage/tables.js'
import { noteIn } from './audit.js'
import type { Tools } from './flow.js'

/** Long-lived keys, for scripts and services. */

/** As many as one account may have alive of one kind. */
const maxAlive = 100

export interface MadeApiToken {
  readonly token: apiTokens.ApiToken
  /** Shown this once: a digest is all that is kept. */
  readonly key: string
}

/** Makes a key for an account. Without scopes it is good for all that the account may do, without a lifetime for ever. */
export async function createApiToken(
  tools: Tools,
  accountId: string,
  input: {
    readonly name: string
    readonly scopes?: readonly string[] | undefined
    /** Milliseconds. */
    readonly lifetime?: number | undefined
    readonly kind?: Exclude<ApiTokenKind, 'authtoken'>
    /** Refuses where so many are alive already. */
    readonly limit?: number | undefined
  }
): Promise<MadeApiToken> {
  const kind = input.kind ?? 'personal'
  const scopes = [...new Set(input.scopes ?? [])].sort()
  const errors = judgeApiToken({ name: input.name, scopes: input.scopes ?? [] })
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  const now = tools.clock()
  // knox has always written 64 hexadecimal digits, and its clients may have made room for just that.
  const key = kind === 'knox' ? tools.entropy(32).toString('hex') : formatApiToken(tools.entropy(apiTokenEntropy))
  const token = {
    id: uuidV7(now, tools.idEntropy(16)),
    accountId,
    kind,
    name: input.name,
    hint: hintOf(key),
    scopes,
    createdAt: now,
    expiresAt: input.lifetime === undefined ? null : later(now, input.lifetime)
  }
  const digest = apiTokenDigest(key)
  const refused = await tools.db.transaction().execute(async (trx) => {
    // Many who ask at once take turns: each counts what the others have made.
    if (!(await accounts.lock(trx, accountId))) return 'not_found' as const
    if ((await apiTokens.count(trx, accountId, kind, now)) >= (input.limit ?? maxAlive)) return 'limit_reached' as const
    await apiTokens.insert(trx, { ...token, digest })
    await noteIn(tools, trx, 'api_token.created', { account: accountId, token: token.id, kind })
    return null
  })
  if (refused !== null) throw new Refusal(refused, { because: `${kind} tokens` })
  return { token: { ...token, lastUsedAt: null }, key }
}

/** The account's authtoken, made where there is none: the same key each time (Django's `Token.objects.get_or_create`). */
export function obtainAuthtoken(tools: Tools, accountId: string): Promise<MadeApiToken> {
  return insertAuthtoken(tools, tools.db, accountId)
}

export async function insertAuthtoken(tools: Tools, db: Db, accountId: string): Promise<MadeApiToken> {
  const now = tools.clock()
  const id = uuidV7(now, tools.idEntropy(16))
  const key = tools.authtokenKey(id)
  const found = await apiTokens.insertAuthtoken(db, {
    id,
    digest: apiTokenDigest(key),
    accountId,
    kind: 'authtoken',
    name: 'authtoken',
    hint: hintOf(key),
    scopes: [],
    createdAt: now,
    expiresAt: null
  })
  if (found === undefined) throw new Refusal('not_found', { because: 'account deleted meanwhile' })
  const { digest, ...token } = found
  const told = tools.authtokenKey(token.id)
  // Made under another master key: the old key is lost, and one that nobody can use must not be told.
  if (!digest.equals(apiTokenDigest(told))) {
    await apiTokens.changeKey(db, token.id, { digest: apiTokenDigest(told), hint: hintOf(told) })
  }
  return { token: { ...token, hint: hintOf(told) }, key: told }
}

export function listApiTokens(tools: Tools, accountId: string): Promise<apiTokens.ApiToken[]> {
  return isUuid(accountId) ? apiTokens.list(tools.db, accountId) : Promise.resolve([])
}

/** Removes one of an account's tokens; another account's is as unknown as none (404). */
export async function deleteApiToken(tools: Tools, accountId: string, id: string): Promise<void> {
  if (!isUuid(id) || !isUuid(accountId)) throw new Refusal('not_found')
  if ((await remove(tools, { accountId, id })).length === 0) throw new Refusal('not_found')
}

/** Removes all tokens of one kind of an account; how many there were. */
export async function deleteApiTokens(tools: Tools, accountId: string, kind: ApiTokenKind): Promise<number> {
  return (await remove(tools, { accountId, kind })).length
}

async function remove(
  tools: Tools,
  which: { readonly accountId: string; readonly id?: string; readonly kind?: ApiTokenKind }
): Promise<string[]> {
  const now = tools.clock()
  return await tools.db.transaction().execute(async (trx) => {
    const removed = await apiTokens.remove(trx, which, now, later(now, tools.settings.revocationLifetime))
    if (removed.length > 0) {
      await noteIn(tools, trx, 'api_token.removed', { account: which.accountId, tokens: removed })
    }
    return removed
  })
}

/** Who a key speaks for: one indexed read, and none where the text cannot be a key. */
export async function authenticateApiToken(tools: Tools, key: string): Promise<Principal> {
  if (!isApiToken(key)) throw new Refusal('token_invalid', { because: 'not an API token' })
  const found = await apiTokens.findByDigest(tools.db, apiTokenDigest(key))
  if (found === undefined) throw new Refusal('token_invalid', { because: 'unknown API token' })
  const { token, account, clientId, grants } = found
  const now = tools.clock()
  if (account.disabledAt !== null) throw new Refusal('account_disabled')
  if (token.expiresAt !== null && token.expiresAt <= now) throw new Refusal('token_expired', { because: 'API token' })
  if (token.lastUsedAt === null || now.getTime() - token.lastUsedAt.getTime() > 60_000) {
    // For its owner's eyes: nobody waits for it, and no request fails because of it.
    apiTokens.touch(tools.db, token.id, now).catch((error) => {
      tools.log('api_token.not_touched', { token: token.id, because: (error as Error).message })
    })
  }
  return principal({
    accountId: account.id,
    authenticator: 'token',
    tokenId: token.id,
    clientId,
    scopes: new Set(token.scopes),
    roles: new Set(account.roles),
    permissions: new Set(grants.permissions),
    expiresAt: token.expiresAt,
    revision: grants.revision
  })
}
