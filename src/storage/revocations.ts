import { sql } from 'kysely'
import type { Revocation, RevocationKind } from '../domain/revocation.js'
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

/**
 * The entries from an id on, in the order of commits: those that still matter, the one of that id itself, so that a reader
 * sees whether it is still what it was, and the last one of all, so that all readers come to the same end.
 */
export async function listFrom(db: Db, id: number, now: Date, limit: number): Promise<Revocation[]> {
  const { rows } = await sql<{ id: string; kind: RevocationKind; subject: string; because: string; expires_at: Date }>`
    select id, kind, subject, because, expires_at
    from revocation
    where id >= ${id}
      and (expires_at > ${now} or id = ${id} or id = (select max(id) from revocation))
    order by id
    limit ${limit}`.execute(db)
  return rows.map((row) => ({
    id: Number(row.id),
    kind: row.kind,
    subject: row.subject,
    because: row.because,
    expiresAt: row.expires_at
  }))
}
