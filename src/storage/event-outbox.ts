import { sql } from 'kysely'
import type { SessionEnd } from '../domain/security-event.js'
import type { Db } from './tables.js'

/** An event that this replica has taken to deliver. */
export interface ClaimedEvent extends SessionEnd {
  /** Counts from 1. Only whoever took an event for this attempt may settle it. */
  readonly attempt: number
}

/** The receivers that are to be told something now. */
export async function listDueReceivers(db: Db, now: Date): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select r.id
    from event_receiver as r
    where r.disabled_at is null
      and exists (
        select from event_outbox as o where o.receiver_id = r.id and o.failed_at is null and o.due_at <= ${now}
      )
    order by r.id`.execute(db)
  return rows.map(({ id }) => id)
}

/**
 * Takes events of one receiver, the oldest first, passing by those that another replica is taking. Until `leasedUntil`
 * nobody else does; should this replica die, they are due again.
 */
export async function claim(
  db: Db,
  receiverId: string,
  now: Date,
  leasedUntil: Date,
  limit: number
): Promise<ClaimedEvent[]> {
  const { rows } = await sql<{
    id: string
    account: string
    session: string | null
    because: string
    happened_at: Date
    attempts: number
  }>`
    update event_outbox as o
    set due_at = ${leasedUntil}, attempts = o.attempts + 1
    from (
      select id
      from event_outbox
      where receiver_id = ${receiverId} and failed_at is null and due_at <= ${now}
      order by due_at
      limit ${limit}
      for update skip locked
    ) as due
    where o.id = due.id
    returning o.id, o.account, o.session, o.because, o.happened_at, o.attempts`.execute(db)
  return rows.map((row) => ({
    id: row.id,
    accountId: row.account,
    sessionId: row.session,
    because: row.because,
    at: row.happened_at,
    attempt: row.attempts
  }))
}

type Claim = Pick<ClaimedEvent, 'id' | 'attempt'>

/** Delivered: there is nothing left to remember. */
export async function remove(db: Db, event: Claim): Promise<void> {
  await db.deleteFrom('event_outbox').where('id', '=', event.id).where('attempts', '=', event.attempt).execute()
}

export async function postpone(db: Db, event: Claim, dueAt: Date): Promise<void> {
  await db
    .updateTable('event_outbox')
    .set({ due_at: dueAt })
    .where('id', '=', event.id)
    .where('attempts', '=', event.attempt)
    .execute()
}

/** Never to be tried again. Kept for a while, so that somebody can see why. */
export async function bury(db: Db, event: Claim, error: string, failedAt: Date): Promise<void> {
  await db
    .updateTable('event_outbox')
    .set({ failed_at: failedAt, error: error.slice(0, 200) })
    .where('id', '=', event.id)
    .where('attempts', '=', event.attempt)
    .execute()
}

/** Forgets events that failed before an instant, at most `limit` of them. */
export async function removeFailed(db: Db, before: Date, limit: number): Promise<void> {
  await sql`
    delete from event_outbox
    where id in (select id from event_outbox where failed_at < ${before} limit ${limit})`.execute(db)
}
