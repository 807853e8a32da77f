import { sql } from 'kysely'
import type { Db } from './tables.js'

/** Every column with values that are sealed under the master key; each is sealed for the row's key as its context. */
const columns = [
  { table: 'signing_key', key: 'kid', column: 'sealed_private_key' },
  { table: 'service_secret', key: 'name', column: 'sealed_value' },
  { table: 'event_receiver', key: 'id', column: 'sealed_authorization' }
] as const

type Column = (typeof columns)[number]

export interface SealedValue {
  readonly place: Column
  /** The key of its row, and the context it was sealed for. */
  readonly context: string
  readonly sealed: Buffer
}

export async function list(db: Db): Promise<SealedValue[]> {
  const values: SealedValue[] = []
  for (const place of columns) {
    const { rows } = await sql<{ context: string; sealed: Buffer }>`
      select ${sql.ref(place.key)} as context, ${sql.ref(place.column)} as sealed
      from ${sql.table(place.table)}
      where ${sql.ref(place.column)} is not null
      order by 1`.execute(db)
    for (const row of rows) values.push({ place, ...row })
  }
  return values
}

/** Puts another seal on the same value; nothing where the value has changed meanwhile. */
export async function replace(db: Db, { place, context, sealed }: SealedValue, by: Buffer): Promise<void> {
  await sql`
    update ${sql.table(place.table)}
    set ${sql.ref(place.column)} = ${by}
    where ${sql.ref(place.key)} = ${context} and ${sql.ref(place.column)} = ${sealed}`.execute(db)
}

/** The sealed secret of a name, put there first where there is none yet. */
export async function secret(db: Db, name: string, make: () => Buffer): Promise<Buffer> {
  const find = async () =>
    await db.selectFrom('service_secret').select('sealed_value').where('name', '=', name).executeTakeFirst()
  const found = await find()
  if (found !== undefined) return found.sealed_value
  // Of two replicas that start at once the first one decides, and both read what it wrote.
  await db
    .insertInto('service_secret')
    .values({ name, sealed_value: make() })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return (await find())!.sealed_value
}

/** What was sealed first in this database; undefined in a new one. */
export async function oldest(db: Db): Promise<Buffer | undefined> {
  const row = await db
    .selectFrom('signing_key')
    .select('sealed_private_key')
    .where('sealed_private_key', 'is not', null)
    .orderBy('created_at')
    .executeTakeFirst()
  return row?.sealed_private_key ?? undefined
}
