import { judgeGuess, waitAfter } from '../domain/guessing.js'
import { Refusal } from '../domain/refusal.js'
import { uuidFromBytes } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as guesses from '../storage/guesses.js'
import type { Tools } from './flow.js'

/** The value of the cookie of a browser in which somebody has signed in: the one it had, where it was theirs already. */
export function deviceCookie(tools: Tools, accountId: string, had: string | undefined): string {
  const device = had === undefined ? null : tools.readDeviceCookie(had)
  if (device?.accountId === accountId) return had!
  return tools.formatDeviceCookie({ accountId, deviceId: uuidFromBytes(tools.entropy(16)) })
}

/** Who is guessed at, and by whom as far as that makes a difference. */
export function guessedAt(
  tools: Tools,
  account: { readonly id: string } | undefined,
  name: string,
  device: string | undefined
): string {
  if (account === undefined) return guesses.whoOf.name(tools.digestName(name))
  const known = device === undefined ? null : tools.readDeviceCookie(device)
  return known?.accountId === account.id
    ? guesses.whoOf.device(account.id, known.deviceId)
    : guesses.whoOf.account(account.id)
}

/**
 * Looks at a password unless too many were wrong. `verify` says whether it is right. Throws `sign_in_delayed` or
 * `sign_in_locked` before it is asked, with the same words for a name that nobody has; false for a password that was wrong, or
 * that came at once with so many wrong ones that it does not count.
 */
export async function guess(tools: Tools, who: string, verify: () => Promise<boolean>): Promise<boolean> {
  const { db, settings } = tools
  const verdict = judgeGuess(await guesses.find(db, who), settings.guessing, tools.clock())
  if (verdict.kind === 'locked') throw new Refusal('sign_in_locked', { because: `${settings.guessing.max} failures` })
  if (verdict.kind === 'wait') {
    throw new Refusal('sign_in_delayed', { because: 'failures', retryAfter: Math.ceil(verdict.left / 1000) })
  }
  if (await verify()) return await guesses.clear(db, who, tools.clock())
  const held = await guesses.record(db, who, settings.guessing, tools.clock())
  if (held !== undefined && waitAfter(held.failures, settings.guessing) > 0) {
    const [account] = who.startsWith('name:') ? [undefined] : who.split('/')
    tools.log('login.delayed', { account, failures: held.failures })
  }
  return false
}

/** Lets an account be signed in to again that too many wrong passwords had locked. */
export async function unlockUser(tools: Tools, id: string): Promise<accounts.Account> {
  const account = await accounts.find(tools.db, id)
  if (account === undefined) throw new Refusal('not_found')
  await guesses.forget(tools.db, id)
  tools.log('user.unlocked', { account: id })
  return account
}
