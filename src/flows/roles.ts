import { judgePermissions, judgeRoleName } from '../domain/grants.js'
import { Refusal } from '../domain/refusal.js'
import type { RevocationKind } from '../domain/revocation.js'
import { later } from '../domain/session.js'
import * as accounts from '../storage/accounts.js'
import * as revocations from '../storage/revocations.js'
import * as roles from '../storage/roles.js'
import type { Db, Trx } from '../storage/tables.js'
import { noteIn } from './audit.js'
import type { Tools } from './flow.js'

/** What roles mean. A change is in every token that is issued from now on, and ends those that were issued before. */

export function listRoles(tools: Tools): Promise<roles.Role[]> {
  return roles.list(tools.db)
}

/** Adds a role, or replaces what it means. */
export async function putRole(
  tools: Tools,
  role: { readonly name: string; readonly description?: string | undefined; readonly permissions: readonly string[] }
): Promise<{ readonly role: roles.Role; readonly isNew: boolean }> {
  const errors = [...judgeRoleName(role.name), ...judgePermissions(role.permissions)]
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  const put = {
    name: role.name,
    description: role.description ?? '',
    permissions: [...new Set(role.permissions)].sort()
  }
  return await tools.db.transaction().execute(async (trx) => {
    const { isNew } = await roles.put(trx, put, tools.clock())
    await noteIn(tools, trx, 'role.put', { role: put.name, permissions: put.permissions })
    if (!isNew) await revokeIssued(tools, trx, 'role', put.name, 'role_changed')
    return { role: put, isNew }
  })
}

/** Removes a role, and takes it from everybody who has it. */
export async function deleteRole(tools: Tools, name: string): Promise<void> {
  if (name === 'admin') throw new Refusal('role_protected')
  const removed = await tools.db.transaction().execute(async (trx) => {
    if (!(await roles.remove(trx, name))) return false
    await accounts.removeRole(trx, name)
    await noteIn(tools, trx, 'role.removed', { role: name })
    await revokeIssued(tools, trx, 'role', name, 'role_removed')
    return true
  })
  if (!removed) throw new Refusal('not_found')
}

/** A role that is misspelt would silently mean nothing. */
export async function refuseUnknownRoles(db: Db, names: readonly string[]): Promise<void> {
  const missing = await roles.missing(db, names)
  if (missing.length === 0) return
  const errors = missing.map((name) => ({
    pointer: `/roles/${names.indexOf(name)}`,
    code: 'unknown_role',
    detail: 'There is no such role. Make it first: PUT /v1/admin/roles/{name}, or `keyturn role set`.'
  }))
  throw new Refusal('validation_failed', { errors })
}

/** Ends the access tokens that were issued before this change. The last statement of its transaction. */
export async function revokeIssued(
  tools: Tools,
  trx: Trx,
  kind: RevocationKind,
  subject: string,
  because: string
): Promise<void> {
  const now = tools.clock()
  await revocations.insert(trx, {
    kind,
    subject,
    because,
    createdAt: now,
    expiresAt: later(now, tools.settings.revocationLifetime)
  })
}
