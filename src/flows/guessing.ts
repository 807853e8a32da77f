import { judgeGuess, waitAfter } from '../domain/guessing.js'
import { Refusal } from '../domain/refusal.js'
import { isUuid, uuidFromBytes } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as guesses from '../storage/guesses.js'
import { note, noteIn } from './audit.js'
import type { Tools } from './flow.js'

/** The value of the cookie of a browser in which somebody has signed in: the one it had, where it was theirs already. */
export function deviceCookie(tools: Tools, accountId: string, had: string | undefined): string {
  const device = had === undefined ? null : tools.readDeviceCookie(had)
  if (device?.accountId === accountId) return had!
  return tools.formatDeviceCookie({ accountId, deviceId: uuidFromBytes(tools.idEntropy(16)) })
}

/** Whether a device cookie is one that somebody got who signed in to this account. */
export function isKnownDevice(tools: Tools, accountId: string, cookie: string | undefined): boolean {
  return cookie !== undefined && tools.readDeviceCookie(cookie)?.accountId === accountId
}

/** Who signs in, by a name and the cookie of a device, with what was guessed for them. */
export async function findSigningIn(
  tools: Tools,
  name: { readonly usernameKey: string } | { readonly emailKey: string },
  device: string | undefined
): Promise<accounts.SigningIn> {
  const known = device === undefined ? null : tools.readDeviceCookie(device)
  const { accountId, deviceId } = known ?? {}
  const isKnown = accountId !== undefined && deviceId !== undefined
  return await accounts.findSigningIn(tools.db, name, {
    device: isKnown ? { accountId, who: guesses.whoOf.device(accountId, deviceId) } : null,
    nobody: guesses.whoOf.name(tools.digestName('usernameKey' in name ? name.usernameKey : name.emailKey))
  })
}

/** What somebody who is signed in already has guessed of the password. */
export async function guessesInSession(
  tools: Tools,
  accountId: string
): Promise<Pick<accounts.SigningIn, 'who' | 'guesses'>> {
  const who = guesses.whoOf.session(accountId)
  return { who, guesses: await guesses.find(tools.db, who) }
}

/**
 * Looks at a password unless too many were wrong. `verify` says whether it is right. Throws `sign_in_delayed` or
 * `sign_in_locked` before it is asked, with the same words for a name that nobody has; false for a password that was wrong.
 *
 * A right one counts only where nobody failed too often while it was looked at, which `settleGuess`, or the statement
 * that begins a session, finds out: of many guesses that come at once, none counts beyond those that are free.
 */
export async function guess(
  tools: Tools,
  { who, guesses: held }: Pick<accounts.SigningIn, 'who' | 'guesses'>,
  verify: () => Promise<boolean>
): Promise<boolean> {
  const { db, settings } = tools
  const verdict = judgeGuess(held, settings.guessing, tools.clock())
  const [account] = who.startsWith('name:') ? [undefined] : who.split('/')
  if (verdict.kind !== 'try') {
    note(tools, 'login.refused', { account, because: verdict.kind === 'locked' ? 'locked' : 'delayed' })
  }
  if (verdict.kind === 'locked') throw new Refusal('sign_in_locked', { because: `${settings.guessing.max} failures` })
  if (verdict.kind === 'wait') {
    throw new Refusal('sign_in_delayed', { because: 'failures', retryAfter: Math.ceil(verdict.left / 1000) })
  }
  if (await verify()) return true
  const counted = await guesses.record(db, who, settings.guessing, tools.clock())
  if (counted !== undefined && waitAfter(counted.failures, settings.guessing) > 0) {
    const isLast = counted.failures >= settings.guessing.max
    note(tools, isLast ? 'login.locked' : 'login.delayed', { account, failures: counted.failures })
  }
  return false
}

/** Forgets the failures before a right password; false where it came at once with so many wrong ones that it does not count. */
export async function settleGuess(tools: Tools, who: string): Promise<boolean> {
  return await guesses.clear(tools.db, who, tools.clock())
}

/** Lets an account be signed in to again that too many wrong passwords had locked. */
export async function unlockUser(tools: Tools, id: string): Promise<accounts.Account> {
  const account = isUuid(id) ? await accounts.find(tools.db, id) : undefined
  if (account === undefined) throw new Refusal('not_found')
  await tools.db.transaction().execute(async (trx) => {
    await guesses.forget(trx, id)
    await noteIn(tools, trx, 'user.unlocked', { account: id })
  })
  return account
}
