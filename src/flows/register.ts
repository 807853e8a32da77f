import { createHash } from 'node:crypto'
import { emailKey, judgeEmail, judgeUsername, normalizeUsername, usernameKey } from '../domain/identity.js'
import { judgePassword } from '../domain/password-policy.js'
import { Refusal, type Violation } from '../domain/refusal.js'
import { uuidV7 } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as invitations from '../storage/invitations.js'
import * as roles from '../storage/roles.js'
import type { Trx } from '../storage/tables.js'
import { insertAuthtoken } from './api-tokens.js'
import { noteIn } from './audit.js'
import type { Tools } from './flow.js'
import { refuseUnknownRoles } from './roles.js'

export interface Registration {
  readonly username: string
  readonly password: string
  readonly email?: string | undefined
  /** The text of an invitation; without one, sign-up must be open. */
  readonly invitation?: string | undefined
}

export interface Registered {
  readonly account: accounts.Account
  /** The key that every new account gets, where that is set. */
  readonly authtoken: string | undefined
}

export function invitationDigest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Adds an account, for whoever asks, as far as the setting lets them. */
export async function register(tools: Tools, registration: Registration): Promise<Registered> {
  const { invitation } = registration
  if (invitation === undefined) {
    if (tools.settings.signUp !== 'open') throw new Refusal('sign_up_closed', { because: tools.settings.signUp })
    return await tools.passwords.admit(async () => {
      const draft = await draftAccount(tools, registration, [])
      return await tools.db.transaction().execute((trx) => insertAccountIn(tools, trx, draft))
    })
  }
  return await tools.passwords.admit(() => redeem(tools, registration, invitation))
}

async function redeem(tools: Tools, registration: Registration, invitation: string): Promise<Registered> {
  const digest = invitationDigest(invitation)
  if (!(await invitations.isOpen(tools.db, digest, tools.clock()))) throw new Refusal('invitation_invalid')
  const draft = await draftAccount(tools, registration, [])
  const outcome = await tools.db.transaction().execute(async (trx) => {
    const redeemed = await invitations.redeem(trx, digest, draft.createdAt)
    if (redeemed === undefined) return 'invitation_invalid' as const
    const isForAdmin = redeemed.roles.includes('admin')
    // Thrown, so that the invitation is good again once sign-up is opened.
    if (tools.settings.signUp === 'closed' && !isForAdmin) throw new Refusal('sign_up_closed', { because: 'closed' })
    if (isForAdmin) await accounts.lockAdministrators(trx)
    if (redeemed.isSetup && (await accounts.hasActiveAdministrator(trx))) return 'invitation_invalid' as const
    // A role that was removed since is not given any more.
    const missing = await roles.missing(trx, redeemed.roles)
    const given = redeemed.roles.filter((name) => !missing.includes(name))
    // Thrown inside the transaction on purpose: who took a name that was gone may use the invitation again.
    const registered = await insertAccountIn(tools, trx, { ...draft, roles: given }, true)
    await invitations.setUsedBy(trx, digest, registered.account.id)
    return registered
  })
  if (typeof outcome === 'string') throw new Refusal(outcome)
  return outcome
}

/** Adds an account for an administrator: no invitation, whatever sign-up is set to, with or without a password. */
export async function createAccount(
  tools: Tools,
  input: { username: string; password?: string | undefined; email?: string | undefined; roles?: readonly string[] }
): Promise<accounts.Account> {
  const { admit } = tools.passwords
  return input.password === undefined ? await addAccount(tools, input) : await admit(() => addAccount(tools, input))
}

async function addAccount(
  tools: Tools,
  input: { username: string; password?: string | undefined; email?: string | undefined; roles?: readonly string[] }
): Promise<accounts.Account> {
  await refuseUnknownRoles(tools.db, input.roles ?? [])
  const draft = await draftAccount(tools, input, input.roles ?? [])
  return await tools.db.transaction().execute(async (trx) => {
    // Once more, now that none of them can be removed until this account has it: the password took its time.
    if (draft.roles.length > 0) await refuseUnknownRoles(trx, draft.roles)
    return (await insertAccountIn(tools, trx, draft)).account
  })
}

/** What is wrong with a new password, by its form, by the lists of this service, and by what leaked elsewhere. */
export async function judgeNewPassword(
  tools: Tools,
  password: string,
  own: { readonly username: string; readonly email?: string | null | undefined },
  pointer = '/password'
): Promise<Violation[]> {
  const errors = judgePassword(password, own, tools.settings.passwordPolicy, pointer)
  if (errors.length > 0 || !(await tools.isBreached(password))) return errors
  const detail =
    'This password has leaked somewhere and is tried by others. Use another one, here and wherever it is in use.'
  return [{ pointer, code: 'breached', detail }]
}

/** The password is judged and hashed here, before any transaction: hashing takes long, and holds nothing. */
async function draftAccount(
  tools: Tools,
  input: { username: string; password?: string | undefined; email?: string | undefined },
  given: readonly string[]
): Promise<accounts.NewAccount> {
  const errors = judgeUsername(input.username)
  if (input.email !== undefined) errors.push(...judgeEmail(input.email))
  if (input.password !== undefined) errors.push(...(await judgeNewPassword(tools, input.password, input)))
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  const passwordHash = input.password === undefined ? null : await tools.passwords.hash(input.password)
  const now = tools.clock()
  return {
    id: uuidV7(now, tools.idEntropy(16)),
    username: normalizeUsername(input.username),
    usernameKey: usernameKey(input.username),
    email: input.email === undefined ? null : input.email,
    emailKey: input.email === undefined ? null : emailKey(input.email),
    passwordHash,
    roles: given,
    createdAt: now
  }
}

async function insertAccountIn(
  tools: Tools,
  trx: Trx,
  draft: accounts.NewAccount,
  invited = false
): Promise<Registered> {
  const account = orRefuseName(await accounts.insert(trx, draft))
  await noteIn(tools, trx, 'account.created', { account: account.id, roles: draft.roles, invited })
  const made = tools.settings.tokenOnRegister ? await insertAuthtoken(tools, trx, account.id) : undefined
  return { account, authtoken: made?.key }
}

/** Turns a name that was taken into its refusal. */
export function orRefuseName<T>(outcome: T | accounts.NameTaken): T {
  if (outcome === 'username') throw new Refusal('username_taken')
  if (outcome === 'email') throw new Refusal('email_taken')
  return outcome as T
}
