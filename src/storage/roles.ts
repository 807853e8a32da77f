import { sql } from 'kysely'
import type { Db, Trx } from './tables.js'

export interface Role {
  readonly name: string
  readonly description: string
  readonly permissions: readonly string[]
}

const columns = ['name', 'description', 'permissions'] as const

export async function list(db: Db): Promise<Role[]> {
  return await db.selectFrom('role').select(columns).orderBy('name').execute()
}

/** Adds a role, or replaces what it means; tells whether it was there. */
export async function put(trx: Trx, role: Role, now: Date): Promise<{ readonly isNew: boolean }> {
  const { rows } = await sql<{ is_new: boolean }>`
    insert into role (name, description, permissions, created_at)
    values (${role.name}, ${role.description}, ${[...role.permissions]}::text[], ${now})
    on conflict (name) do update set description = excluded.description, permissions = excluded.permissions
    returning (xmax = 0) as is_new`.execute(trx)
  return { isNew: rows[0]!.is_new }
}

export async function remove(trx: Trx, name: string): Promise<boolean> {
  const result = await trx.deleteFrom('role').where('name', '=', name).executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Those of some names that are no roles; in a transaction the others cannot be removed until it ends. */
export async function missing(db: Db, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const found = await db
    .selectFrom('role')
    .select('name')
    .where('name', 'in', [...names])
    .forKeyShare()
    .execute()
  const known = new Set(found.map(({ name }) => name))
  return names.filter((name) => !known.has(name))
}
