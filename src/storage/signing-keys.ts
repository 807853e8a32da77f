import { sql } from 'kysely'
import type { Db, Trx } from './tables.js'

/** Where the private half is: sealed in this row, or kept by a provider that knows it by a reference. */
export type PrivateHalf =
  | { readonly provider: 'local'; readonly sealed: Buffer }
  | { readonly provider: string; readonly reference: string }

export interface NewSigningKey {
  readonly kid: string
  readonly algorithm: string
  readonly publicJwk: Readonly<Record<string, unknown>>
  readonly privateHalf: PrivateHalf
}

export interface StoredSigningKey extends NewSigningKey {
  readonly createdAt: Date
  readonly signsFrom: Date
  readonly goneAt: Date | null
  /** Why it was taken out before its time; null for all others. */
  readonly revokedBecause: string | null
}

/** Every key, oldest turn first; those that are gone too. */
export async function list(db: Db): Promise<StoredSigningKey[]> {
  const rows = await db.selectFrom('signing_key').selectAll().orderBy('signs_from').orderBy('created_at').execute()
  return rows.map((row) => ({
    kid: row.kid,
    algorithm: row.algorithm,
    publicJwk: row.public_jwk,
    privateHalf:
      row.sealed_private_key === null
        ? { provider: row.provider, reference: row.provider_reference! }
        : { provider: 'local', sealed: row.sealed_private_key },
    createdAt: row.created_at,
    signsFrom: row.signs_from,
    goneAt: row.gone_at,
    revokedBecause: row.revoked_because
  }))
}

export async function insert(
  db: Db,
  key: NewSigningKey & Pick<StoredSigningKey, 'createdAt' | 'signsFrom'>
): Promise<void> {
  const half = key.privateHalf
  await db
    .insertInto('signing_key')
    .values({
      kid: key.kid,
      algorithm: key.algorithm,
      public_jwk: JSON.stringify(key.publicJwk),
      sealed_private_key: 'sealed' in half ? half.sealed : null,
      provider: half.provider,
      provider_reference: 'reference' in half ? half.reference : null,
      created_at: key.createdAt,
      signs_from: key.signsFrom,
      gone_at: null
    })
    .execute()
}

/**
 * Gives every key but the successor the end that follows from the successor's turn, where it would be there for longer.
 */
export async function retireOthers(db: Db, successorKid: string, goneAt: Date): Promise<void> {
  await sql`
    update signing_key
    set gone_at = greatest(created_at, ${goneAt}::timestamptz)
    where kid <> ${successorKid}
      and revoked_because is null
      and (gone_at is null or gone_at > ${goneAt})`.execute(db)
}

/**
 * Ends every other key at once, whatever its state; the ids of those that were not gone. What went within the last hour
 * is among them: at a replica whose clock is behind it is not gone yet.
 */
export async function revokeOthers(db: Db, successorKid: string, because: string, now: Date): Promise<string[]> {
  const { rows } = await sql<{ kid: string }>`
    update signing_key
    set gone_at = greatest(created_at, ${now}::timestamptz), revoked_because = ${because}
    where kid <> ${successorKid}
      and revoked_because is null
      and (gone_at is null or gone_at > ${now}::timestamptz - interval '1 hour')
    returning kid`.execute(db)
  return rows.map(({ kid }) => kid)
}

/** Ends one key at once. */
export async function revoke(db: Db, kid: string, because: string, now: Date): Promise<void> {
  await sql`
    update signing_key
    set gone_at = greatest(created_at, ${now}::timestamptz), revoked_because = ${because}
    where kid = ${kid}`.execute(db)
}

export async function setGoneAt(db: Db, kid: string, goneAt: Date | null): Promise<void> {
  await db.updateTable('signing_key').set({ gone_at: goneAt }).where('kid', '=', kid).execute()
}

/** Until the transaction ends, no other replica changes the ring. */
export async function lock(trx: Trx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('keyturn:signing_key'))`.execute(trx)
}

/** The same where nobody has the lock; false, without waiting, where somebody has. */
export async function tryLock(trx: Trx): Promise<boolean> {
  const { rows } = await sql<{ got: boolean }>`
    select pg_try_advisory_xact_lock(hashtext('keyturn:signing_key')) as got`.execute(trx)
  return rows[0]!.got
}
