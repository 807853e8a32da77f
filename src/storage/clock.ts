import { sql } from 'kysely'
import type { Db } from './tables.js'

/** What Postgres' clock says now, in milliseconds since 1970. */
export async function readClock(db: Db): Promise<number> {
  const { rows } = await sql<{ time: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as time`.execute(db)
  return rows[0]!.time
}
