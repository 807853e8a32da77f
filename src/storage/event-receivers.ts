import { sql } from 'kysely'
import type { Db } from './tables.js'

/** Who is told of ended sessions. */
export interface Receiver {
  readonly id: string
  readonly url: string
  readonly audience: string
  readonly note: string
  readonly createdAt: Date
  readonly disabledAt: Date | null
}

export interface ReceiverWithSecret extends Receiver {
  readonly sealedAuthorization: Buffer | null
}

/** A receiver with what is yet to be delivered to it, and what never will be. */
export interface ReceiverState extends Receiver {
  readonly hasAuthorization: boolean
  readonly waiting: number
  readonly failed: number
  readonly lastError: string | null
}

interface Row {
  id: string
  url: string
  audience: string
  note: string
  sealed_authorization: Buffer | null
  created_at: Date
  disabled_at: Date | null
}

function toReceiver(row: Row): Receiver {
  return {
    id: row.id,
    url: row.url,
    audience: row.audience,
    note: row.note,
    createdAt: row.created_at,
    disabledAt: row.disabled_at
  }
}

/** False where a receiver has this address already. */
export async function insert(db: Db, receiver: Omit<ReceiverWithSecret, 'disabledAt'>): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('event_receiver')
    .values({
      id: receiver.id,
      url: receiver.url,
      audience: receiver.audience,
      note: receiver.note,
      sealed_authorization: receiver.sealedAuthorization,
      created_at: receiver.createdAt
    })
    .onConflict((conflict) => conflict.column('url').doNothing())
    .executeTakeFirstOrThrow()
  return numInsertedOrUpdatedRows === 1n
}

export async function find(db: Db, id: string): Promise<ReceiverWithSecret | undefined> {
  const row = await db.selectFrom('event_receiver').selectAll().where('id', '=', id).executeTakeFirst()
  return row && { ...toReceiver(row), sealedAuthorization: row.sealed_authorization }
}

export async function list(db: Db): Promise<ReceiverState[]> {
  const { rows } = await sql<Row & { waiting: number; failed: number; last_error: string | null }>`
    select r.*, o.waiting, o.failed, o.last_error
    from event_receiver as r
    cross join lateral (
      select
        count(*) filter (where failed_at is null)::int as waiting,
        count(*) filter (where failed_at is not null)::int as failed,
        (array_agg(error order by failed_at desc) filter (where error is not null))[1] as last_error
      from event_outbox
      where receiver_id = r.id
    ) as o
    order by r.created_at, r.id`.execute(db)
  return rows.map((row) => ({
    ...toReceiver(row),
    hasAuthorization: row.sealed_authorization !== null,
    waiting: row.waiting,
    failed: row.failed,
    lastError: row.last_error
  }))
}

/** With all that it was yet to be told; false where there is none. */
export async function remove(db: Db, id: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom('event_receiver').where('id', '=', id).executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}

/** What ends while a receiver is disabled it is never told; false where there is none. */
export async function setDisabled(db: Db, id: string, disabledAt: Date | null): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('event_receiver')
    .set({ disabled_at: disabledAt })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}
