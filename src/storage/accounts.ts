import { type Selectable, sql } from 'kysely'
import type { Guesses } from '../domain/guessing.js'
import { prepared } from './prepared.js'
import type { AccountTable, Db, Trx } from './tables.js'

export interface Account {
  readonly id: string
  readonly username: string
  readonly email: string | null
  readonly emailVerifiedAt: Date | null
  readonly roles: readonly string[]
  /** Its own, beside those of its roles. */
  readonly permissions: readonly string[]
  /** Where it came from and its id there: `django:42`. */
  readonly externalId: string | null
  readonly disabledAt: Date | null
  readonly createdAt: Date
  readonly lastLoginAt: Date | null
}

/** An account with what proves that somebody is its owner. */
export interface AccountWithPassword extends Account {
  readonly passwordHash: string | null
}

export interface NewAccount {
  readonly id: string
  readonly username: string
  readonly usernameKey: string
  readonly email: string | null
  readonly emailKey: string | null
  readonly passwordHash: string | null
  readonly roles: readonly string[]
  readonly createdAt: Date
}

/** Which unique name a new or changed account would take from another. */
export type NameTaken = 'username' | 'email'

/** What every read of an account takes. */
const accountColumns = [
  'id',
  'username',
  'email',
  'email_verified_at',
  'roles',
  'permissions',
  'external_id',
  'disabled_at',
  'created_at',
  'last_login_at'
] as const

export type AccountRow = Pick<Selectable<AccountTable>, (typeof accountColumns)[number]>

export function toAccount(row: AccountRow): Account {
  return {
    id: row.id,
    username: row.username,
    email: row.email,
    emailVerifiedAt: row.email_verified_at,
    roles: row.roles,
    permissions: row.permissions,
    externalId: row.external_id,
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
    lastLoginAt: row.last_login_at
  }
}

function toAccountWithPassword(row: AccountRow & Pick<Selectable<AccountTable>, 'password_hash'>): AccountWithPassword {
  return { ...toAccount(row), passwordHash: row.password_hash }
}

/** Runs a statement, and says which name was taken where a unique constraint refused it. */
async function orNameTaken<T>(statement: Promise<T>): Promise<T | NameTaken> {
  try {
    return await statement
  } catch (error) {
    const { code, constraint } = error as { code?: string; constraint?: string }
    if (code === '23505' && constraint === 'account_username_key_key') return 'username'
    if (code === '23505' && constraint === 'account_email_key_key') return 'email'
    throw error
  }
}

export async function insert(db: Db, account: NewAccount): Promise<Account | NameTaken> {
  const row = await orNameTaken(
    db
      .insertInto('account')
      .values({
        id: account.id,
        username: account.username,
        username_key: account.usernameKey,
        email: account.email,
        email_key: account.emailKey,
        email_verified_at: null,
        password_hash: account.passwordHash,
        password_changed_at: account.passwordHash === null ? null : account.createdAt,
        roles: [...account.roles],
        disabled_at: null,
        created_at: account.createdAt,
        last_login_at: null
      })
      .returning(accountColumns)
      .executeTakeFirstOrThrow()
  )
  return typeof row === 'string' ? row : toAccount(row)
}

export async function find(db: Db, id: string): Promise<AccountWithPassword | undefined> {
  const row = await db
    .selectFrom('account')
    .select([...accountColumns, 'password_hash'])
    .where('id', '=', id)
    .executeTakeFirst()
  return row && toAccountWithPassword(row)
}

/** Until the transaction ends, others who lock the same account wait; false where it is not there. */
export async function lock(trx: Trx, id: string): Promise<boolean> {
  const row = await trx.selectFrom('account').select('id').where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
  return row !== undefined
}

export async function findByName(
  db: Db,
  name: { readonly usernameKey: string } | { readonly emailKey: string }
): Promise<AccountWithPassword | undefined> {
  const query = db.selectFrom('account').select([...accountColumns, 'password_hash'])
  const row = await ('usernameKey' in name
    ? query.where('username_key', '=', name.usernameKey)
    : query.where('email_key', '=', name.emailKey)
  ).executeTakeFirst()
  return row && toAccountWithPassword(row)
}

/** Who signs in, and what was guessed for them: on their device where they come from one, or for a name that nobody has. */
export interface SigningIn {
  readonly account: AccountWithPassword | undefined
  /** Whose failures these are. */
  readonly who: string
  readonly guesses: Guesses | undefined
}

interface Whose {
  readonly device: { readonly accountId: string; readonly who: string } | null
  readonly nobody: string
}

type SigningInRow = AccountRow & { password_hash: string | null } & {
  who: string
  failures: number | null
  retry_at: Date | null
}

const selectSigningIn = (column: 'username_key' | 'email_key') =>
  prepared<{ readonly key: string; readonly whose: Whose }, SigningInRow>(
    (value) => sql`
      select ${sql.join(accountColumns.map((name) => sql.ref(`a.${name}`)))}, a.password_hash, w.who, g.failures, g.retry_at
      from (values (1)) as one
        left join account as a on ${sql.ref(`a.${column}`)} = ${value(({ key }) => key)}
        cross join lateral (
          select case
            when a.id is null then ${value(({ whose }) => whose.nobody)}::text
            when a.id = ${value(({ whose }) => whose.device?.accountId ?? null)}::uuid
              then ${value(({ whose }) => whose.device?.who ?? null)}::text
            else a.id::text
          end as who
        ) as w
        left join password_guess as g on g.who = w.who`
  )
const signingInByUsername = selectSigningIn('username_key')
const signingInByEmail = selectSigningIn('email_key')

/** The account of a name with the failures that count for this sign-in, by one statement. */
export async function findSigningIn(
  db: Db,
  name: { readonly usernameKey: string } | { readonly emailKey: string },
  whose: Whose
): Promise<SigningIn> {
  const rows =
    'usernameKey' in name
      ? await signingInByUsername(db, { key: name.usernameKey, whose })
      : await signingInByEmail(db, { key: name.emailKey, whose })
  const [row] = rows
  const { who, failures, retry_at: retryAt } = row!
  return {
    account: row!.id === null ? undefined : toAccountWithPassword(row!),
    who,
    guesses: failures === null || retryAt === null ? undefined : { failures, retryAt }
  }
}

export async function changeNames(
  db: Db,
  id: string,
  names: { username?: string; usernameKey?: string; email?: string | null; emailKey?: string | null }
): Promise<Account | NameTaken | undefined> {
  const row = await orNameTaken(
    db
      .updateTable('account')
      .set({
        ...(names.username === undefined ? {} : { username: names.username, username_key: names.usernameKey! }),
        // A new address has not been verified, whatever the old one was.
        ...(names.email === undefined
          ? {}
          : { email: names.email, email_key: names.emailKey!, email_verified_at: null })
      })
      .where('id', '=', id)
      .returning(accountColumns)
      .executeTakeFirst()
  )
  return typeof row === 'string' ? row : row && toAccount(row)
}

/** Replaces the hash only where it is still the one that was checked, so that two changes cannot both win. */
export async function changePasswordHash(
  db: Db,
  id: string,
  hash: { readonly from: string | null; readonly to: string; readonly changedAt?: Date }
): Promise<boolean> {
  const result = await db
    .updateTable('account')
    .set({ password_hash: hash.to, ...(hash.changedAt === undefined ? {} : { password_changed_at: hash.changedAt }) })
    .where('id', '=', id)
    .where(sql<boolean>`password_hash is not distinct from ${hash.from}`)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

export async function setDisabled(trx: Trx, id: string, at: Date | null): Promise<Account | undefined> {
  const row = await trx
    .updateTable('account')
    .set({ disabled_at: at === null ? null : sql<Date>`coalesce(disabled_at, ${at})` })
    .where('id', '=', id)
    .returning(accountColumns)
    .executeTakeFirst()
  return row && toAccount(row)
}

export async function setRoles(trx: Trx, id: string, roles: readonly string[]): Promise<Account | undefined> {
  const row = await trx
    .updateTable('account')
    .set({ roles: [...roles] })
    .where('id', '=', id)
    .returning(accountColumns)
    .executeTakeFirst()
  return row && toAccount(row)
}

export async function setPermissions(
  trx: Trx,
  id: string,
  permissions: readonly string[]
): Promise<Account | undefined> {
  const row = await trx
    .updateTable('account')
    .set({ permissions: [...permissions] })
    .where('id', '=', id)
    .returning(accountColumns)
    .executeTakeFirst()
  return row && toAccount(row)
}

/** Takes a role from everybody who has it. */
export async function removeRole(trx: Trx, role: string): Promise<void> {
  await sql`update account set roles = array_remove(roles, ${role}) where roles @> array[${role}]::text[]`.execute(trx)
}

export async function remove(trx: Trx, id: string): Promise<boolean> {
  const result = await trx.deleteFrom('account').where('id', '=', id).executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** One page, in the order of creation; ids are ordered by time, so the last id of a page is the cursor to the next. */
export async function list(
  db: Db,
  page: { readonly after?: string | undefined; readonly limit: number; readonly startsWith?: string | undefined }
): Promise<Account[]> {
  let query = db.selectFrom('account').select(accountColumns).orderBy('id').limit(page.limit)
  if (page.after !== undefined) query = query.where('id', '>', page.after)
  if (page.startsWith !== undefined) {
    const pattern = `${page.startsWith.replace(/[\\%_]/g, '\\$&')}%`
    query = query.where((eb) => eb.or([eb('username_key', 'like', pattern), eb('email_key', 'like', pattern)]))
  }
  return (await query.execute()).map(toAccount)
}

export async function hasActiveAdministrator(db: Db): Promise<boolean> {
  const row = await db
    .selectFrom('account')
    .select('id')
    .where(sql<boolean>`'admin' = any (roles)`)
    .where('disabled_at', 'is', null)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

export async function isLastAdministrator(trx: Trx, id: string): Promise<boolean> {
  const rows = await trx
    .selectFrom('account')
    .select('id')
    .where(sql<boolean>`'admin' = any (roles)`)
    .where('disabled_at', 'is', null)
    .limit(2)
    .execute()
  return rows.length === 1 && rows[0]!.id === id
}

/** Until the transaction ends, no other one that asks the same changes who is an administrator. */
export async function lockAdministrators(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('keyturn:administrators'))`.execute(trx)
}
