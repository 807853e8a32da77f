import { sql } from 'kysely'
import type { Principal } from '../domain/principal.js'
import { everything, type Revocation, type RevocationKind } from '../domain/revocation.js'
import type { Db } from './tables.js'

export interface NewRevocation {
  readonly kind: RevocationKind
  readonly subject: string
  readonly because: string
  readonly createdAt: Date
  readonly expiresAt: Date
}

/**
 * Appends an entry. The last statement of its transaction: from here to the commit all other writers of revocations
 * wait, so that ids become visible in their order.
 */
export async function insert(db: Db, entry: NewRevocation): Promise<void> {
  await db
    .insertInto('revocation')
    .values({
      kind: entry.kind,
      subject: entry.subject,
      because: entry.because,
      created_at: entry.createdAt,
      expires_at: entry.expiresAt
    })
    .execute()
}

/** The entries after a cursor that still matter, in the order of commits. */
export async function listAfter(db: Db, cursor: number, now: Date, limit: number): Promise<Revocation[]> {
  const rows = await db
    .selectFrom('revocation')
    .select(['id', 'kind', 'subject', 'because', 'expires_at'])
    .where('id', '>', String(cursor))
    .where('expires_at', '>', now)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    id: Number(row.id),
    kind: row.kind,
    subject: row.subject,
    because: row.because,
    expiresAt: row.expires_at
  }))
}

/** The id of the last entry; 0 where there is none. */
export async function lastId(db: Db): Promise<number> {
  const { max } = await db
    .selectFrom('revocation')
    .select((eb) => eb.fn.max('id').as('max'))
    .executeTakeFirstOrThrow()
  return Number(max ?? 0)
}

/** Whether something that was issued at a revision has been ended since, asked of the database itself. */
export async function endedSince(
  db: Db,
  who: Pick<Principal, 'accountId' | 'tokenId' | 'roles' | 'revision'>
): Promise<boolean> {
  const { rows } = await sql`
    select 1
    from revocation
    where id > ${who.revision}
      and (
        (kind = 'account' and subject = ${who.accountId})
        or (kind = 'role' and subject = any (${[...who.roles]}::text[]))
        or (kind = 'token' and subject = ${who.tokenId})
        or (kind = 'all' and subject = ${everything})
      )
    limit 1`.execute(db)
  return rows.length > 0
}
