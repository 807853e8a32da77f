import { type RawBuilder, sql } from 'kysely'
import type { Db } from './tables.js'

/** Until when what is over by itself is of use to anybody. */
export interface Horizons {
  readonly now: Date
  /** Sessions, API tokens and invitations that were over before this are of no use any more, not even to be looked at. */
  readonly kept: Date
}

/** Rows of one table that are of no use any more, oldest first, so that an index finds them. */
interface Leftovers {
  readonly table: string
  /** The rows to go, by their `ctid`. */
  readonly rows: (horizons: Horizons) => RawBuilder<unknown>
}

export const leftovers: readonly Leftovers[] = [
  {
    table: 'session',
    rows: ({ kept }) => sql`select ctid from session where expires_at < ${kept} order by expires_at`
  },
  {
    table: 'session',
    rows: ({ kept }) => sql`select ctid from session where ended_at < ${kept} order by ended_at`
  },
  {
    table: 'revocation',
    // The newest entry stays: its id is what tokens carry, and where every reader's cursor stands.
    rows: ({ now }) => sql`
      select ctid from revocation
      where expires_at < ${now} and id < (select max(id) from revocation)
      order by expires_at`
  },
  {
    table: 'used_identifier',
    rows: ({ now }) => sql`select ctid from used_identifier where expires_at < ${now} order by expires_at`
  },
  {
    table: 'password_guess',
    // Of names that nobody has, and of accounts that are gone; those of an account count until its next right password.
    rows: ({ kept }) => sql`
      select ctid from password_guess
      where failed_at < ${kept} and not exists (
        select from account
        where id = case when starts_with(who, 'name:') then null else split_part(who, '/', 1)::uuid end
      )
      order by failed_at`
  },
  {
    table: 'rate_window',
    rows: ({ now }) => sql`select ctid from rate_window where ends_at < ${now} order by ends_at`
  },
  {
    table: 'status_entry',
    rows: ({ now }) => sql`select ctid from status_entry where expires_at < ${now} order by expires_at`
  },
  {
    table: 'api_token',
    rows: ({ kept }) => sql`select ctid from api_token where expires_at < ${kept} order by expires_at`
  },
  {
    table: 'invitation',
    rows: ({ kept }) => sql`select ctid from invitation where expires_at < ${kept} order by expires_at`
  },
  {
    table: 'invitation',
    rows: ({ kept }) => sql`select ctid from invitation where used_at < ${kept} order by used_at`
  }
]

/**
 * Removes at most so many of the leftovers, and tells how many; undefined where another replica sweeps at this moment.
 * A transaction of its own, so that nothing is held for longer than one batch takes; a row that somebody has locked is
 * left for the next time.
 */
export async function sweep(
  db: Db,
  { table, rows }: Leftovers,
  horizons: Horizons,
  batch: number
): Promise<number | undefined> {
  const { rows: answer } = await sql<{ swept: string | null }>`
    with alone as materialized (
      select pg_try_advisory_xact_lock(hashtext('keyturn:broom')) as yes
    ), swept as (
      delete from ${sql.table(table)}
      where ctid = any (array(${rows(horizons)} limit ${batch} for update skip locked))
        and (select yes from alone)
      returning 1
    )
    select case when (select yes from alone) then (select count(*) from swept) end as swept`.execute(db)
  const { swept } = answer[0]!
  return swept === null ? undefined : Number(swept)
}
