import type { Db, Trx } from './tables.js'

export interface Invitation {
  readonly digest: Buffer
  readonly roles: readonly string[]
  /** Works only while there is no administrator. */
  readonly isSetup: boolean
  readonly createdBy: string | null
  readonly createdAt: Date
  readonly expiresAt: Date
}

export async function insert(db: Db, invitation: Invitation): Promise<void> {
  await db
    .insertInto('invitation')
    .values({
      digest: invitation.digest,
      roles: [...invitation.roles],
      is_setup: invitation.isSetup,
      created_by: invitation.createdBy,
      created_at: invitation.createdAt,
      expires_at: invitation.expiresAt,
      used_at: null,
      used_by: null
    })
    .execute()
}

/** Whether an invitation could be redeemed now, without redeeming it: asked before a password is hashed for nothing. */
export async function isOpen(db: Db, digest: Buffer, now: Date): Promise<boolean> {
  const row = await db
    .selectFrom('invitation')
    .select('digest')
    .where('digest', '=', digest)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return row !== undefined
}

/** Redeems it: of several at once one gets it, the others undefined. */
export async function redeem(
  trx: Trx,
  digest: Buffer,
  now: Date
): Promise<Pick<Invitation, 'roles' | 'isSetup'> | undefined> {
  const row = await trx
    .updateTable('invitation')
    .set({ used_at: now })
    .where('digest', '=', digest)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returning(['roles', 'is_setup'])
    .executeTakeFirst()
  return row && { roles: row.roles, isSetup: row.is_setup }
}

export async function setUsedBy(trx: Trx, digest: Buffer, accountId: string): Promise<void> {
  await trx.updateTable('invitation').set({ used_by: accountId }).where('digest', '=', digest).execute()
}
