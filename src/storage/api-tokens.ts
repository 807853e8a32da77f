import { sql } from 'kysely'
import type { ApiTokenKind } from '../domain/api-token.js'
import { type Account, type AccountRow, toAccount } from './accounts.js'
import { type Grants, type GrantsRow, grants, toGrants } from './grants.js'
import type { Db } from './tables.js'

export interface ApiToken {
  readonly id: string
  readonly accountId: string
  readonly kind: ApiTokenKind
  readonly name: string
  readonly hint: string
  readonly scopes: readonly string[]
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

export interface NewApiToken extends Omit<ApiToken, 'lastUsedAt'> {
  readonly digest: Buffer
}

/** An API token with the account that it speaks for, read in one statement. */
export interface LiveApiToken {
  readonly token: ApiToken
  readonly account: Account
  /** The client that the account belongs to; null for all others. */
  readonly clientId: string | null
  readonly grants: Grants
}

const columns = [
  'id',
  'account_id',
  'kind',
  'name',
  'hint',
  'scopes',
  'created_at',
  'expires_at',
  'last_used_at'
] as const

interface ApiTokenRow {
  id: string
  account_id: string
  kind: ApiTokenKind
  name: string
  hint: string
  scopes: string[]
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
}

function toApiToken(row: ApiTokenRow): ApiToken {
  return {
    id: row.id,
    accountId: row.account_id,
    kind: row.kind,
    name: row.name,
    hint: row.hint,
    scopes: row.scopes,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at
  }
}

function values(token: NewApiToken) {
  return {
    id: token.id,
    digest: token.digest,
    account_id: token.accountId,
    kind: token.kind,
    name: token.name,
    hint: token.hint,
    scopes: [...token.scopes],
    created_at: token.createdAt,
    expires_at: token.expiresAt,
    last_used_at: null
  }
}

export async function insert(db: Db, token: NewApiToken): Promise<void> {
  await db.insertInto('api_token').values(values(token)).execute()
}

/**
 * The account's authtoken: the one that it has, or this new one. Of two who ask at once both get the same. Undefined where
 * the account is not there any more.
 */
export async function insertAuthtoken(
  db: Db,
  token: NewApiToken
): Promise<(ApiToken & { readonly digest: Buffer }) | undefined> {
  const { rows } = await sql<ApiTokenRow & { digest: Buffer }>`
    insert into api_token (id, digest, account_id, kind, name, hint, scopes, created_at, expires_at)
    select ${token.id}::uuid, ${token.digest}::bytea, a.id, 'authtoken', ${token.name}, ${token.hint},
      ${[...token.scopes]}::text[], ${token.createdAt}::timestamptz, ${token.expiresAt}::timestamptz
    from account as a
    where a.id = ${token.accountId}
    for key share
    -- The condition stands here in full: with a parameter the index is found only until the plan becomes a generic one.
    -- What is set writes nothing new; without it the row that is there would not be returned.
    on conflict (account_id, name) where kind = 'authtoken' do update set name = api_token.name
    returning id, account_id, kind, name, hint, scopes, created_at, expires_at, last_used_at, digest`.execute(db)
  const row = rows[0]
  return row && { ...toApiToken(row), digest: row.digest }
}

/** Gives a token another key. */
export async function changeKey(
  db: Db,
  id: string,
  key: { readonly digest: Buffer; readonly hint: string }
): Promise<void> {
  await db.updateTable('api_token').set({ digest: key.digest, hint: key.hint }).where('id', '=', id).execute()
}

/** Finds a token by its digest, alive or not; its account and what that may do are read with it. */
export async function findByDigest(db: Db, digest: Buffer): Promise<LiveApiToken | undefined> {
  const { rows } = await sql<AccountRow & GrantsRow & { token: ApiTokenRow }>`
    select a.id, a.username, a.email, a.email_verified_at, a.roles, a.permissions, a.external_id, a.disabled_at,
      a.created_at, a.last_login_at, ${grants},
      t.id as token_id, t.kind, t.name, t.hint, t.scopes, t.created_at as token_created_at, t.expires_at, t.last_used_at,
      c.id as client_id
    from api_token as t
    join account as a on a.id = t.account_id
    left join client as c on c.account_id = a.id
    where t.digest = ${digest}`.execute(db)
  const row = rows[0] as
    | (AccountRow &
        GrantsRow &
        Omit<ApiTokenRow, 'id'> & {
          token_id: string
          token_created_at: Date
          client_id: string | null
        })
    | undefined
  return (
    row && {
      token: toApiToken({ ...row, id: row.token_id, account_id: row.id, created_at: row.token_created_at }),
      account: toAccount(row),
      clientId: row.client_id,
      grants: toGrants(row)
    }
  )
}

export async function isAlive(db: Db, id: string, now: Date): Promise<boolean> {
  const row = await db
    .selectFrom('api_token as t')
    .innerJoin('account as a', 'a.id', 't.account_id')
    .select('t.id')
    .where('t.id', '=', id)
    .where('a.disabled_at', 'is', null)
    .where((eb) => eb.or([eb('t.expires_at', 'is', null), eb('t.expires_at', '>', now)]))
    .executeTakeFirst()
  return row !== undefined
}

/** Notes that a token was used, to the minute: more would be a write for every request. */
export async function touch(db: Db, id: string, now: Date): Promise<void> {
  await db
    .updateTable('api_token')
    .set({ last_used_at: now })
    .where('id', '=', id)
    .where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', new Date(now.getTime() - 60_000))]))
    .execute()
}

/** The newest first. */
export async function list(db: Db, accountId: string): Promise<ApiToken[]> {
  const rows = await db
    .selectFrom('api_token')
    .select(columns)
    .where('account_id', '=', accountId)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .limit(500)
    .execute()
  return rows.map(toApiToken)
}

/** How many tokens of one kind are alive. */
export async function count(db: Db, accountId: string, kind: ApiTokenKind, now: Date): Promise<number> {
  const row = await db
    .selectFrom('api_token')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('account_id', '=', accountId)
    .where('kind', '=', kind)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)]))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Removes one token, or all of a kind, of an account; their ids. The caches of all replicas forget them. */
export async function remove(
  db: Db,
  which: { readonly accountId: string; readonly id?: string; readonly kind?: ApiTokenKind },
  now: Date,
  rememberedUntil: Date
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with removed as (
      delete from api_token
      where account_id = ${which.accountId}
        and (${which.id ?? null}::uuid is null or id = ${which.id ?? null}::uuid)
        and (${which.kind ?? null}::text is null or kind = ${which.kind ?? null}::text)
      returning id
    ), noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      select 'api_token', id::text, 'removed', ${now}::timestamptz, ${rememberedUntil}::timestamptz
      from removed
    )
    select id from removed`.execute(db)
  return rows.map(({ id }) => id)
}
