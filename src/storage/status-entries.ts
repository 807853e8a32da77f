import { sql } from 'kysely'
import type { Db } from './tables.js'

/** What the status lists say at this moment. */
export interface StatusEntries {
  /** Numbers of sessions that are over while access tokens of theirs may live. */
  readonly ended: readonly number[]
  /** The lowest and the highest number that any session has, alive or over; null where none has one. */
  readonly range: { readonly first: number; readonly last: number } | null
}

/** All in one statement, so that a list that is made of it is of one moment. */
export async function read(db: Db, now: Date): Promise<StatusEntries> {
  const { rows } = await sql<{ ended: string[] | null; first: string | null; last: string | null }>`
    select
      (select array_agg(status_index::text) from status_entry where expires_at > ${now}) as ended,
      least((select min(status_index) from session), (select min(status_index) from status_entry)) as first,
      greatest((select max(status_index) from session), (select max(status_index) from status_entry)) as last`.execute(
    db
  )
  const { ended, first, last } = rows[0]!
  return {
    ended: (ended ?? []).map(Number),
    range: first === null || last === null ? null : { first: Number(first), last: Number(last) }
  }
}
