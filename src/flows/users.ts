import { judgePermissions } from '../domain/grants.js'
import { emailKey, usernameKey } from '../domain/identity.js'
import { Refusal } from '../domain/refusal.js'
import { later } from '../domain/session.js'
import { isUuid } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as endings from '../storage/endings.js'
import * as invitations from '../storage/invitations.js'
import * as sessions from '../storage/sessions.js'
import type { Trx } from '../storage/tables.js'
import { note, noteIn } from './audit.js'
import { ending, type Tools } from './flow.js'
import { createAccount, invitationDigest } from './register.js'
import { refuseUnknownRoles, revokeIssued } from './roles.js'

/** What administrators do with accounts that are not their own. */

export interface Page {
  readonly users: readonly accounts.Account[]
  /** Opaque; undefined on the last page. */
  readonly next: string | undefined
}

export async function listUsers(
  tools: Tools,
  { cursor, limit, search }: { cursor?: string | undefined; limit: number; search?: string | undefined }
): Promise<Page> {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString()
  if (after !== undefined && !isUuid(after)) {
    const detail = 'This is not a cursor from an earlier page. Leave it out to start from the first.'
    throw new Refusal('validation_failed', { errors: [{ pointer: '/cursor', code: 'invalid', detail }] })
  }
  const startsWith = search === undefined ? undefined : usernameKey(search)
  const found = await accounts.list(tools.db, { after, limit: limit + 1, startsWith })
  const users = found.slice(0, limit)
  return { users, next: found.length > limit ? Buffer.from(users.at(-1)!.id).toString('base64url') : undefined }
}

export async function readUser(tools: Tools, id: string): Promise<accounts.Account> {
  return orNotFound(isUuid(id) ? await accounts.find(tools.db, id) : undefined)
}

/** Finds a user by what a person would type: id, username or address. */
export async function findUser(tools: Tools, name: string): Promise<accounts.Account> {
  if (isUuid(name)) return await readUser(tools, name)
  const found =
    (await accounts.findByName(tools.db, { usernameKey: usernameKey(name) })) ??
    (await accounts.findByName(tools.db, { emailKey: emailKey(name) }))
  return orNotFound(found)
}

/** Disables an account, and ends its sessions in the same transaction. Repeating it changes nothing. */
export async function disableUser(tools: Tools, id: string): Promise<accounts.Account> {
  const now = tools.clock()
  return await changeUser(tools, id, async (trx) => {
    if (!(await guardLastAdministrator(trx, id))) return 'last_administrator'
    const account = await accounts.setDisabled(trx, id, now)
    if (account === undefined) return undefined
    await noteIn(tools, trx, 'user.disabled', { account: id })
    await endings.endAll(trx, id, ending(tools, 'account_disabled', now))
    return account
  })
}

export async function enableUser(tools: Tools, id: string): Promise<accounts.Account> {
  return await changeUser(tools, id, async (trx) => {
    const account = await accounts.setDisabled(trx, id, null)
    if (account !== undefined) await noteIn(tools, trx, 'user.enabled', { account: id })
    return account
  })
}

export async function setUserRoles(tools: Tools, id: string, roles: readonly string[]): Promise<accounts.Account> {
  const unique = [...new Set(roles)].sort()
  return await changeUser(tools, id, async (trx) => {
    await refuseUnknownRoles(trx, roles)
    if (!unique.includes('admin') && !(await guardLastAdministrator(trx, id))) return 'last_administrator'
    const account = await accounts.setRoles(trx, id, unique)
    if (account === undefined) return undefined
    await noteIn(tools, trx, 'user.roles_changed', { account: id, roles: unique })
    await revokeIssued(tools, trx, 'account', id, 'roles_changed')
    return account
  })
}

/** Replaces what an account may do beyond its roles. */
export async function setUserPermissions(
  tools: Tools,
  id: string,
  permissions: readonly string[]
): Promise<accounts.Account> {
  const errors = judgePermissions(permissions)
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  const unique = [...new Set(permissions)].sort()
  return await changeUser(tools, id, async (trx) => {
    const account = await accounts.setPermissions(trx, id, unique)
    if (account === undefined) return undefined
    await noteIn(tools, trx, 'user.permissions_changed', { account: id, permissions: unique })
    await revokeIssued(tools, trx, 'account', id, 'permissions_changed')
    return account
  })
}

export async function endUserSessions(tools: Tools, id: string): Promise<number> {
  const user = await readUser(tools, id)
  const ended = await endings.endAll(tools.db, user.id, ending(tools, 'ended_by_admin', tools.clock()))
  tools.log('session.ended_all', { account: user.id, because: 'ended_by_admin', sessions: ended })
  return ended
}

export async function listUserDevices(tools: Tools, id: string): Promise<sessions.Device[]> {
  const user = await readUser(tools, id)
  return await sessions.listLive(tools.db, user.id, tools.clock())
}

/** A text that lets its holder register once; only its digest is kept. */
export async function invite(
  tools: Tools,
  invitation: { roles: readonly string[]; lifetime: number; isSetup?: boolean; createdBy?: string }
): Promise<{ token: string; expiresAt: Date }> {
  await refuseUnknownRoles(tools.db, invitation.roles)
  const token = tools.entropy(32).toString('base64url')
  const now = tools.clock()
  const expiresAt = later(now, invitation.lifetime)
  await tools.db.transaction().execute(async (trx) => {
    await invitations.insert(trx, {
      digest: invitationDigest(token),
      roles: invitation.roles,
      isSetup: invitation.isSetup ?? false,
      createdBy: invitation.createdBy !== undefined && isUuid(invitation.createdBy) ? invitation.createdBy : null,
      createdAt: now,
      expiresAt
    })
    await noteIn(tools, trx, 'invitation.created', { roles: invitation.roles })
  })
  return { token, expiresAt }
}

export function hasAdministrator(tools: Tools): Promise<boolean> {
  return accounts.hasActiveAdministrator(tools.db)
}

/** Makes the administrator that the configuration names. Of replicas that start at once one makes it. */
export async function bootstrapAdministrator(
  tools: Tools,
  admin: { username: string; email?: string | undefined; password: string }
): Promise<void> {
  try {
    const account = await createAccount(tools, { ...admin, roles: ['admin'] })
    note(tools, 'admin.bootstrapped', { account: account.id })
  } catch (error) {
    // Another replica was first, or the account is there and was disabled: neither is overruled by a setting.
    if (!(error instanceof Refusal && (error.code === 'username_taken' || error.code === 'email_taken'))) throw error
  }
}

/**
 * Whether others would still administer without this one. The lock makes two administrators who remove each other at
 * once take turns, so that one of them stays.
 */
export async function guardLastAdministrator(trx: Trx, id: string): Promise<boolean> {
  await accounts.lockAdministrators(trx)
  return !(await accounts.isLastAdministrator(trx, id))
}

async function changeUser(
  tools: Tools,
  id: string,
  change: (trx: Trx) => Promise<accounts.Account | undefined | 'last_administrator'>
): Promise<accounts.Account> {
  if (!isUuid(id)) throw new Refusal('not_found')
  const outcome = await tools.db.transaction().execute(change)
  if (outcome === 'last_administrator') throw new Refusal(outcome)
  return orNotFound(outcome)
}

function orNotFound(account: accounts.Account | undefined): accounts.Account {
  if (account === undefined) throw new Refusal('not_found')
  return account
}
