import { sql } from 'kysely'
import { firstWait, type Guesses, type GuessRules, longestWait } from '../domain/guessing.js'
import { prepared } from './prepared.js'
import type { Db, Trx } from './tables.js'

/** Whose failures are counted, where it is not an account itself, by its id. */
export const whoOf = {
  device: (accountId: string, deviceId: string) => `${accountId}/${deviceId}`,
  /** Somebody signed in who guesses the password again. */
  session: (accountId: string) => `${accountId}/confirm`,
  /** A name that nobody has, by its digest. */
  name: (digest: string) => `name:${digest}`
}

export async function find(db: Db, who: string): Promise<Guesses | undefined> {
  const row = await db
    .selectFrom('password_guess')
    .select(['failures', 'retry_at'])
    .where('who', '=', who)
    .executeTakeFirst()
  return row && { failures: row.failures, retryAt: row.retry_at }
}

/**
 * Counts a wrong password, and says how long the next one has to wait; `waitAfter` in the domain says the same. Undefined
 * where it came with others at once, and would have had to wait: it does not count, or whoever sends a hundred at a time
 * locks an account in a second.
 */
export async function record(db: Db, who: string, rules: GuessRules, now: Date): Promise<Guesses | undefined> {
  const wait = (failures: ReturnType<typeof sql>) => sql`
    case when ${failures} < ${rules.free}::integer then interval '0'
    else least(${firstWait}::float8 * power(2, least(${failures} - ${rules.free}::integer, 20)), ${longestWait}::float8)
      * interval '1 millisecond' end`
  const { rows } = await sql<{ failures: number; retry_at: Date }>`
    insert into password_guess as g (who, failures, retry_at, failed_at)
    values (${who}, 1, ${now}::timestamptz + ${wait(sql`1`)}, ${now}::timestamptz)
    on conflict (who) do update set
      failures = g.failures + 1,
      retry_at = ${now}::timestamptz + ${wait(sql`g.failures + 1`)},
      failed_at = ${now}::timestamptz
    where g.retry_at <= ${now}::timestamptz
    returning failures, retry_at`.execute(db)
  const [row] = rows
  return row && { failures: row.failures, retryAt: row.retry_at }
}

const clearFailures = prepared<{ readonly who: string; readonly now: Date }, { waits: boolean }>((value) => {
  const who = value((one) => one.who)
  const now = sql`${value((one) => one.now)}::timestamptz`
  return sql`
    with gone as (delete from password_guess where who = ${who} and retry_at <= ${now})
    select exists (select from password_guess where who = ${who} and retry_at > ${now}) as waits`
})

/**
 * Forgets the failures after a right password; false where others failed while it was looked at, and it would have had
 * to wait: of many guesses that come at once, none counts beyond those that are free.
 */
export async function clear(db: Db | Trx, who: string, now: Date): Promise<boolean> {
  const [row] = await clearFailures(db, { who, now })
  return !row!.waits
}

/** Forgets all failures of an account, on every device. */
export async function forget(db: Db | Trx, accountId: string): Promise<void> {
  await sql`
    delete from password_guess where who = ${accountId} or starts_with(who, ${`${accountId}/`})`.execute(db)
}
