import { sql } from 'kysely'
import type { ImportedAccount, ImportedRole, ImportedToken } from '../domain/imported-user.js'
import type { Db, Trx } from './tables.js'

export interface NewImportedAccount extends ImportedAccount {
  readonly id: string
}

/** Adds what is not there yet, by any of its unique names; tells the ids of those that were added by their external ids. */
export async function insertMissing(
  trx: Trx,
  accounts: readonly NewImportedAccount[]
): Promise<ReadonlyMap<string, string>> {
  const rows = await trx
    .insertInto('account')
    .values(
      accounts.map((account) => ({
        id: account.id,
        username: account.username,
        username_key: account.usernameKey,
        email: account.email,
        email_key: account.emailKey,
        email_verified_at: account.emailVerifiedAt,
        password_hash: account.passwordHash,
        // Nobody knows when; it is as old as the account at most.
        password_changed_at: account.passwordHash === null ? null : account.createdAt,
        roles: [...account.roles],
        permissions: [...account.permissions],
        external_id: account.externalId,
        disabled_at: account.disabledAt,
        created_at: account.createdAt,
        last_login_at: account.lastLoginAt
      }))
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning(['id', 'external_id'])
    .execute()
  return new Map(rows.map((row) => [row.external_id!, row.id]))
}

/** Adds keys of Django REST framework, at most one an account; tells how many. */
export async function insertTokens(
  trx: Trx,
  tokens: ReadonlyArray<ImportedToken & { readonly id: string; readonly accountId: string }>
): Promise<number> {
  if (tokens.length === 0) return 0
  const result = await trx
    .insertInto('api_token')
    .values(
      tokens.map((token) => ({
        id: token.id,
        digest: token.digest,
        account_id: token.accountId,
        kind: 'authtoken' as const,
        // Beside it the account may be given the one that this service can tell again.
        name: 'authtoken of Django',
        hint: token.hint,
        created_at: token.createdAt,
        expires_at: null,
        last_used_at: null
      }))
    )
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return Number(result.numInsertedOrUpdatedRows ?? 0n)
}

export interface Taken {
  /** With the usernames' keys of their accounts. */
  readonly externalIds: ReadonlyMap<string | null, string>
  readonly usernameKeys: ReadonlySet<string>
  readonly emailKeys: ReadonlySet<string | null>
}

/** Which names of these belong to accounts that are there. */
export async function findTaken(db: Db, accounts: readonly ImportedAccount[]): Promise<Taken> {
  const externalIds = accounts.map(({ externalId }) => externalId)
  const usernameKeys = accounts.map(({ usernameKey }) => usernameKey)
  const emailKeys = accounts.flatMap(({ emailKey }) => emailKey ?? [])
  const rows = await db
    .selectFrom('account')
    .select(['external_id', 'username_key', 'email_key'])
    .where(
      sql<boolean>`external_id = any (${externalIds}::text[]) or username_key = any (${usernameKeys}::text[])
        or email_key = any (${emailKeys}::text[])`
    )
    .execute()
  return {
    externalIds: new Map(rows.map((row) => [row.external_id, row.username_key])),
    usernameKeys: new Set(rows.map((row) => row.username_key)),
    emailKeys: new Set(rows.map((row) => row.email_key))
  }
}

/** The permissions of those roles that are there, by their names. */
export async function findRoles(db: Db, names: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await db
    .selectFrom('role')
    .select(['name', 'permissions'])
    .where(sql<boolean>`name = any (${[...names]}::text[])`)
    .execute()
  return new Map(rows.map((row) => [row.name, row.permissions]))
}

/** Adds roles that are not there; those that are stay as they are. */
export async function insertMissingRoles(db: Db, roles: readonly ImportedRole[], createdAt: Date): Promise<void> {
  if (roles.length === 0) return
  await db
    .insertInto('role')
    .values(
      roles.map(({ name, description, permissions }) => ({
        name,
        description,
        permissions: [...permissions],
        created_at: createdAt
      }))
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
