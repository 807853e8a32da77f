import { emailKey, judgeEmail, judgeUsername, normalizeUsername, usernameKey } from '../domain/identity.js'
import { Refusal } from '../domain/refusal.js'
import { later } from '../domain/session.js'
import { isUuid } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as endings from '../storage/endings.js'
import * as revocations from '../storage/revocations.js'
import { note, noteIn } from './audit.js'
import { ending, type Tools } from './flow.js'
import { guess, guessesInSession, settleGuess } from './guessing.js'
import { judgeNewPassword, orRefuseName } from './register.js'
import { guardLastAdministrator } from './users.js'

export async function readProfile(tools: Tools, accountId: string): Promise<accounts.Account> {
  const account = isUuid(accountId) ? await accounts.find(tools.db, accountId) : undefined
  // A valid access token of an account that was deleted: it lives on for minutes, its owner does not.
  if (account === undefined) throw new Refusal('not_found')
  return account
}

/**
 * Changes the account's own names. A new address is where a lost password would be sent, so it asks for the password
 * (OWASP ASVS 5.0 §7.5.1).
 */
export async function changeProfile(
  tools: Tools,
  accountId: string,
  changes: { username?: string; email?: string | null; currentPassword?: string }
): Promise<accounts.Account> {
  const errors = changes.username === undefined ? [] : judgeUsername(changes.username)
  if (changes.email) errors.push(...judgeEmail(changes.email))
  if (changes.username === undefined && changes.email === undefined) {
    errors.push({ pointer: '', code: 'required', detail: 'Nothing is to be changed. Send `username` or `email`.' })
  }
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  if (changes.email !== undefined) await confirmPassword(tools, accountId, changes.currentPassword)
  if (!isUuid(accountId)) throw new Refusal('not_found')
  const names = {
    ...(changes.username === undefined
      ? {}
      : { username: normalizeUsername(changes.username), usernameKey: usernameKey(changes.username) }),
    ...(changes.email === undefined
      ? {}
      : changes.email === null
        ? { email: null, emailKey: null }
        : { email: changes.email, emailKey: emailKey(changes.email) })
  }
  const named = (['username', 'email'] as const).filter((name) => changes[name] !== undefined)
  const changed = await tools.db.transaction().execute(async (trx) => {
    const account = orRefuseName(await accounts.changeNames(trx, accountId, names))
    if (account !== undefined) await noteIn(tools, trx, 'account.changed', { account: accountId, changed: named })
    return account
  })
  if (changed === undefined) throw new Refusal('not_found')
  return changed
}

/**
 * Changes the password for the old one. Whoever knew the old one is out: all other sessions end, and so do the keys that a
 * password alone was enough to get. API tokens that somebody made while signed in stay.
 */
export async function changePassword(
  tools: Tools,
  who: { readonly accountId: string; readonly sessionId: string | null; readonly tokenId?: string | null },
  currentPassword: string,
  newPassword: string
): Promise<void> {
  await tools.passwords.admit(() => replacePassword(tools, who, currentPassword, newPassword))
}

async function replacePassword(
  tools: Tools,
  who: { readonly accountId: string; readonly sessionId: string | null; readonly tokenId?: string | null },
  currentPassword: string,
  newPassword: string
): Promise<void> {
  const account = await comparePassword(tools, who.accountId, currentPassword)
  const errors = await judgeNewPassword(tools, newPassword, account, '/new_password')
  if (errors.length > 0) throw new Refusal('validation_failed', { errors })
  const to = await tools.passwords.hash(newPassword)
  const now = tools.clock()
  const changed = await tools.db.transaction().execute(async (trx) => {
    const won = await accounts.changePasswordHash(trx, account.id, { from: account.passwordHash, to, changedAt: now })
    if (won) {
      await noteIn(tools, trx, 'password.changed', { account: account.id })
      const kept = { sessionId: who.sessionId, tokenId: who.tokenId ?? null }
      await endings.endForNewPassword(trx, account.id, kept, ending(tools, 'password_changed', now))
    }
    return won
  })
  if (!changed) throw new Refusal('password_incorrect', { because: 'changed meanwhile' })
}

/** Deletes the account, with all that hangs on it. */
export async function deleteAccount(tools: Tools, accountId: string, currentPassword: string): Promise<void> {
  await confirmPassword(tools, accountId, currentPassword)
  const now = tools.clock()
  const outcome = await tools.db.transaction().execute(async (trx) => {
    if (!(await guardLastAdministrator(trx, accountId))) return 'last_administrator' as const
    await accounts.remove(trx, accountId)
    await noteIn(tools, trx, 'account.deleted', { account: accountId })
    await revocations.insert(trx, {
      kind: 'account',
      subject: accountId,
      because: 'account_deleted',
      createdAt: now,
      expiresAt: later(now, tools.settings.revocationLifetime)
    })
    return null
  })
  if (outcome !== null) throw new Refusal(outcome)
}

/** Throws `password_incorrect` where the password is not the account's own. */
export async function confirmOwnPassword(tools: Tools, accountId: string, password: string): Promise<void> {
  await confirmPassword(tools, accountId, password)
}

async function confirmPassword(tools: Tools, accountId: string, password: string | undefined): Promise<void> {
  await tools.passwords.admit(() => comparePassword(tools, accountId, password))
}

async function isRight(tools: Tools, accountId: string, verify: () => Promise<boolean>): Promise<boolean> {
  const held = await guessesInSession(tools, accountId)
  return (await guess(tools, held, verify)) && (await settleGuess(tools, held.who))
}

async function comparePassword(
  tools: Tools,
  accountId: string,
  password: string | undefined
): Promise<accounts.AccountWithPassword> {
  const account = isUuid(accountId) ? await accounts.find(tools.db, accountId) : undefined
  if (account === undefined) throw new Refusal('not_found')
  const { passwordHash } = account
  const right =
    password !== undefined &&
    passwordHash !== null &&
    account.disabledAt === null &&
    (await isRight(tools, account.id, () => tools.passwords.verify(passwordHash, password)))
  if (!right) {
    note(tools, 'password.refused', { account: account.id })
    throw new Refusal('password_incorrect')
  }
  return account
}
