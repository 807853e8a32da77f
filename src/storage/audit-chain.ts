import { sql } from 'kysely'
import type { Ends, Place } from '../domain/audit-chain.js'
import type { AuditEvent } from '../domain/audit-event.js'
import { type AuditEventRow, readColumns, toAuditEvent } from './audit-events.js'
import type { Db, Trx } from './tables.js'

/** Takes the chain for this transaction; false where another replica has it at this moment. */
export async function tryLock(trx: Trx): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('keyturn:audit-chain')) as locked`.execute(trx)
  return rows[0]!.locked
}

/** The record of both ends; undefined where nothing was ever linked. */
export async function findEnds(db: Db | Trx): Promise<(Ends & { readonly mac: Buffer }) | undefined> {
  const row = await db.selectFrom('audit_chain').selectAll().executeTakeFirst()
  return (
    row && {
      first: { position: Number(row.first_position), link: row.first_link },
      last: { position: Number(row.last_position), link: row.last_link },
      mac: row.mac
    }
  )
}

export async function putEnds(trx: Trx, { first, last }: Ends, mac: Buffer): Promise<void> {
  const values = {
    first_position: first.position,
    first_link: first.link,
    last_position: last.position,
    last_link: last.link,
    mac
  }
  await trx
    .insertInto('audit_chain')
    .values(values)
    .onConflict((conflict) => conflict.column('one').doUpdateSet(values))
    .execute()
}

/** Events that the chain is yet to take up, in the order in which it does. */
export async function listUnlinked(trx: Trx, limit: number): Promise<AuditEvent[]> {
  const rows = await trx
    .selectFrom('audit_event')
    .select(readColumns)
    .where('chained', '=', true)
    .where('position', 'is', null)
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(toAuditEvent)
}

/** Gives events their places, once and for all. */
export async function link(trx: Trx, places: readonly (Place & { readonly id: string })[]): Promise<void> {
  await sql`
    update audit_event as e
    set position = p.position, link = p.link
    from unnest(
      ${places.map(({ id }) => id)}::uuid[],
      ${places.map(({ position }) => position)}::bigint[],
      ${places.map(({ link }) => link)}::bytea[]
    ) as p (id, position, link)
    where e.id = p.id`.execute(trx)
}

/** Linked events after a position, in their order. */
export async function listLinked(db: Db | Trx, after: number, limit: number): Promise<(AuditEvent & Place)[]> {
  const { rows } = await sql<AuditEventRow & { position: string; link: Buffer }>`
    select ${sql.join(readColumns.map((name) => sql.ref(name)))}, position, link
    from audit_event
    where position > ${after}
    order by position
    limit ${limit}`.execute(db)
  return rows.map((row) => ({ ...toAuditEvent(row), position: Number(row.position), link: row.link }))
}

/** How many events were never to be in the chain, and how many are yet to be. */
export async function countOutside(db: Db | Trx): Promise<{ readonly unchained: number; readonly unlinked: number }> {
  const { rows } = await sql<{ unchained: string; unlinked: string }>`
    select count(*) filter (where not chained) as unchained, count(*) filter (where chained) as unlinked
    from audit_event
    where position is null`.execute(db)
  return { unchained: Number(rows[0]!.unchained), unlinked: Number(rows[0]!.unlinked) }
}

/**
 * Removes at most so many events that happened before a moment, the oldest first. Of those in the chain it removes only
 * what is at its beginning, so that what is left hangs together. Where the chain begins after that; undefined where
 * nothing of it went.
 */
export async function removeBefore(
  trx: Trx,
  moment: Date,
  limit: number
): Promise<{ readonly removed: number; readonly first: Place | undefined }> {
  // Only what is older than this may go, whoever deletes: the trigger of the table looks at it.
  await sql`select set_config('keyturn.audit_removes_before', ${moment.toISOString()}, true)`.execute(trx)
  const { rows } = await sql<{ removed: string; position: string | null; link: Buffer | null }>`
    with old as (
      (select id from audit_event where not chained and happened_at < ${moment} order by id limit ${limit})
      union all
      (select id from audit_event
        where position < coalesce(
          (select min(position) from audit_event where position is not null and happened_at >= ${moment}),
          9223372036854775807)
        order by position limit ${limit})
    ), gone as (
      delete from audit_event where id in (select id from old limit ${limit})
      returning position, link
    )
    select (select count(*) from gone) as removed, last.position, last.link
    from (select 1) as one
    left join lateral (
      select position, link from gone where position is not null order by position desc limit 1
    ) as last on true`.execute(trx)
  const { removed, position, link } = rows[0]!
  return {
    removed: Number(removed),
    first: position === null ? undefined : { position: Number(position), link: link! }
  }
}
