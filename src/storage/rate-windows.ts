import { sql } from 'kysely'
import type { Db } from './tables.js'

/** What one key did in its window since it was last told. */
export interface Hits {
  readonly digest: Buffer
  readonly hits: number
  /** When the window ends, where this begins it. */
  readonly endsAt: Date
}

/** What all replicas together have counted. */
export interface Total {
  readonly digest: Buffer
  readonly hits: number
  readonly endsAt: Date
}

/**
 * Adds what was counted here to what was counted everywhere, and tells the sum: each key once, in one statement. A window
 * that is over by then begins anew. In the order of their keys, so that two replicas never wait for each other.
 */
export async function addHits(db: Db, counted: readonly Hits[], now: Date): Promise<Total[]> {
  const sorted = [...counted].sort((a, b) => Buffer.compare(a.digest, b.digest))
  const { rows } = await sql<{ digest: Buffer; hits: string; ends_at: Date }>`
    insert into rate_window as w (digest, hits, ends_at)
    select * from unnest(
      ${sorted.map(({ digest }) => digest)}::bytea[],
      ${sorted.map(({ hits }) => hits)}::bigint[],
      ${sorted.map(({ endsAt }) => endsAt)}::timestamptz[]
    )
    on conflict (digest) do update set
      hits = excluded.hits + case when w.ends_at > ${now}::timestamptz then w.hits else 0 end,
      ends_at = case when w.ends_at > ${now}::timestamptz then w.ends_at else excluded.ends_at end
    returning digest, hits, ends_at`.execute(db)
  return rows.map((row) => ({ digest: row.digest, hits: Number(row.hits), endsAt: row.ends_at }))
}
