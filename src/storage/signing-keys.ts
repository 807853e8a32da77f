import { sql } from 'kysely'
import type { Db, Trx } from './tables.js'

export interface StoredSigningKey {
  readonly kid: string
  readonly algorithm: string
  readonly publicJwk: Readonly<Record<string, unknown>>
  readonly sealedPrivateKey: Buffer
  readonly createdAt: Date
  readonly signsFrom: Date
  readonly goneAt: Date | null
}

/** Every key that is not long gone, oldest turn first. */
export async function list(db: Db): Promise<StoredSigningKey[]> {
  const rows = await db.selectFrom('signing_key').selectAll().orderBy('signs_from').orderBy('created_at').execute()
  return rows.map((row) => ({
    kid: row.kid,
    algorithm: row.algorithm,
    publicJwk: row.public_jwk,
    sealedPrivateKey: row.sealed_private_key,
    createdAt: row.created_at,
    signsFrom: row.signs_from,
    goneAt: row.gone_at
  }))
}

export async function insert(db: Db, key: Omit<StoredSigningKey, 'goneAt'>): Promise<void> {
  await db
    .insertInto('signing_key')
    .values({
      kid: key.kid,
      algorithm: key.algorithm,
      public_jwk: JSON.stringify(key.publicJwk),
      sealed_private_key: key.sealedPrivateKey,
      created_at: key.createdAt,
      signs_from: key.signsFrom,
      gone_at: null
    })
    .execute()
}

/** Gives every key that has no end yet, but for its successor, the end that follows from the successor's turn. */
export async function retireOthers(db: Db, successorKid: string, goneAt: Date): Promise<void> {
  await db
    .updateTable('signing_key')
    .set({ gone_at: goneAt })
    .where('kid', '!=', successorKid)
    .where('gone_at', 'is', null)
    .execute()
}

/** Until the transaction ends, no other replica makes a key. */
export async function lock(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('keyturn:signing_key'))`.execute(trx)
}
