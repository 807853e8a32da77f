import type { Db } from './tables.js'

/** Notes that an identifier was used; false where it was before. Of several that race, one is told true. */
export async function use(db: Db, digest: Buffer, expiresAt: Date): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('used_identifier')
    .values({ digest, expires_at: expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow()
  return numInsertedOrUpdatedRows === 1n
}
