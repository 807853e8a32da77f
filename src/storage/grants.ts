import { sql } from 'kysely'
import type { Db } from './tables.js'

/** What an account may do, with the number of the last revocation that was there when it was read. */
export interface Grants {
  /** By its roles and of its own, sorted, each once. */
  readonly permissions: readonly string[]
  readonly revision: number
}

export interface GrantsRow {
  granted_permissions: string[]
  /** bigint: the driver gives it as text. */
  revision: string
}

/**
 * Columns for a statement in which `a` is the account. Both come from the statement's one snapshot: a change of the
 * account or of a role is in them with the revocation that told of it, or neither is.
 */
export const grants = sql`
  case
    when a.roles = '{}' and a.permissions = '{}' then '{}'
    else array(
      select distinct granted.permission
      from (
        select unnest(a.permissions)
        union all
        select unnest(r.permissions) from role as r where r.name = any (a.roles)
      ) as granted (permission)
      order by 1
    )
  end as granted_permissions,
  coalesce((select max(v.id) from revocation as v), 0) as revision`

export function toGrants(row: GrantsRow): Grants {
  return { permissions: row.granted_permissions, revision: Number(row.revision) }
}

/** An account's roles and what it may do now; undefined where it is not there or disabled. */
export async function findGrants(
  db: Db,
  accountId: string
): Promise<(Grants & { readonly roles: readonly string[] }) | undefined> {
  const { rows } = await sql<GrantsRow & { roles: string[] }>`
    select a.roles, ${grants} from account as a where a.id = ${accountId} and a.disabled_at is null`.execute(db)
  return rows[0] && { ...toGrants(rows[0]), roles: rows[0].roles }
}
