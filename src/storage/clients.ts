import { sql } from 'kysely'
import type { ClientKeys } from '../domain/client.js'
import { type Account, type AccountRow, toAccount } from './accounts.js'
import { type Grants, type GrantsRow, grants, toGrants } from './grants.js'
import { prepared } from './prepared.js'
import { sharedReads } from './shared-reads.js'
import type { Db, Trx } from './tables.js'

/** A service that authenticates itself. It is an account too: its roles, permissions and end are that account's. */
export interface Client {
  readonly id: string
  readonly accountId: string
  readonly name: string
  /** Null where it proves itself by keys. */
  readonly secretDigest: Buffer | null
  /** Null where it proves itself by a secret. */
  readonly jwks: ClientKeys | null
  readonly scopes: readonly string[]
  /** Empty for all audiences of this installation. */
  readonly audience: readonly string[]
  readonly createdAt: Date
  readonly disabledAt: Date | null
  readonly lastUsedAt: Date | null
}

/** A client with the account that it speaks for, read in one statement. */
export interface LiveClient {
  readonly client: Client
  readonly account: Account
  readonly grants: Grants
}

export type ClientChange = Partial<Pick<Client, 'name' | 'secretDigest' | 'jwks' | 'scopes' | 'audience'>>

type ClientRow = AccountRow &
  GrantsRow & {
    client_id: string
    name: string
    secret_digest: Buffer | null
    jwks: ClientKeys | null
    scopes: string[]
    audience: string[]
    registered_at: Date
    client_disabled_at: Date | null
    last_used_at: Date | null
  }

const live = sql`
  select c.id as client_id, c.name, c.secret_digest, c.jwks, c.scopes, c.audience, c.created_at as registered_at,
    c.disabled_at as client_disabled_at, c.last_used_at,
    a.id, a.username, a.email, a.email_verified_at, a.roles, a.permissions, a.external_id, a.disabled_at, a.created_at,
    a.last_login_at, ${grants}
  from client as c
  join account as a on a.id = c.account_id`

function toLiveClient(row: ClientRow): LiveClient {
  return {
    client: {
      id: row.client_id,
      accountId: row.id,
      name: row.name,
      secretDigest: row.secret_digest,
      jwks: row.jwks,
      scopes: row.scopes,
      audience: row.audience,
      createdAt: row.registered_at,
      disabledAt: row.client_disabled_at,
      lastUsedAt: row.last_used_at
    },
    account: toAccount(row),
    grants: toGrants(row)
  }
}

const toJson = (jwks: ClientKeys | null) => (jwks === null ? null : JSON.stringify(jwks))

export async function insert(trx: Trx, client: Omit<Client, 'disabledAt' | 'lastUsedAt'>): Promise<void> {
  await trx
    .insertInto('client')
    .values({
      id: client.id,
      account_id: client.accountId,
      name: client.name,
      secret_digest: client.secretDigest,
      jwks: toJson(client.jwks),
      scopes: [...client.scopes],
      audience: [...client.audience],
      created_at: client.createdAt,
      disabled_at: null,
      last_used_at: null
    })
    .execute()
}

const selectLive = prepared<string, ClientRow>((value) => sql`${live} where c.id = ${value((id) => id)}`)
const selectAllLive = prepared<readonly string[], ClientRow>(
  (value) => sql`${live} where c.id = any (${value((ids) => ids)}::text[])`
)

/** A client as it is now, alive or not. */
export async function find(db: Db, id: string): Promise<LiveClient | undefined> {
  const [row] = await selectLive(db, id)
  return row && toLiveClient(row)
}

/** Reads clients as `find` does; those that are asked for at once share a statement. */
export const makeClientReader = (db: Db): ((id: string) => Promise<LiveClient | undefined>) =>
  sharedReads({
    alone: (id) => find(db, id),
    together: async (ids) => new Map((await selectAllLive(db, ids)).map((row) => [row.client_id, toLiveClient(row)]))
  })

/** The oldest first. */
export async function list(db: Db): Promise<LiveClient[]> {
  const { rows } = await sql<ClientRow>`${live} order by c.created_at, c.id limit 1000`.execute(db)
  return rows.map(toLiveClient)
}

/**
 * Until the transaction ends, others who change the same client wait; undefined where it is not there. Its account is
 * locked later, by what changes it: the locks are taken in one order everywhere.
 */
export async function findForUpdate(trx: Trx, id: string): Promise<LiveClient | undefined> {
  const { rows } = await sql<ClientRow>`${live} where c.id = ${id} for no key update of c`.execute(trx)
  return rows[0] && toLiveClient(rows[0])
}

export async function change(trx: Trx, id: string, changes: ClientChange): Promise<void> {
  const { name, secretDigest, jwks, scopes, audience } = changes
  const set = {
    ...(name === undefined ? {} : { name }),
    ...(secretDigest === undefined ? {} : { secret_digest: secretDigest }),
    ...(jwks === undefined ? {} : { jwks: toJson(jwks) }),
    ...(scopes === undefined ? {} : { scopes: [...scopes] }),
    ...(audience === undefined ? {} : { audience: [...audience] })
  }
  if (Object.keys(set).length > 0) await trx.updateTable('client').set(set).where('id', '=', id).execute()
}

export async function setDisabled(trx: Trx, id: string, at: Date | null): Promise<void> {
  await trx
    .updateTable('client')
    .set({ disabled_at: at === null ? null : sql<Date>`coalesce(disabled_at, ${at})` })
    .where('id', '=', id)
    .execute()
}

/** Whether a client may still do what its tokens say. */
export async function isAlive(db: Db, id: string): Promise<boolean> {
  const row = await db
    .selectFrom('client as c')
    .innerJoin('account as a', 'a.id', 'c.account_id')
    .select('c.id')
    .where('c.id', '=', id)
    .where('c.disabled_at', 'is', null)
    .where('a.disabled_at', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

/** Notes that a client was used, to the minute: more would be a write for every request. */
export async function touch(db: Db, id: string, now: Date): Promise<void> {
  await db
    .updateTable('client')
    .set({ last_used_at: now })
    .where('id', '=', id)
    .where((eb) => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', new Date(now.getTime() - 60_000))]))
    .execute()
}
