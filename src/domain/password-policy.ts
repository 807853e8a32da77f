import { restWithoutWords } from './context-words.js'
import { usernameKey } from './identity.js'
import type { Violation } from './refusal.js'

/** The longest password that is hashed, in UTF-16 code units: NIST asks for at least 64, more only costs work. */
export const passwordMaxLength = 1024

export interface PasswordPolicy {
  /** Unicode code points (NIST SP 800-63B-4 §3.1.1.2): 15 where the password is the only factor, never below 8. */
  readonly minLength: number
  /** Known passwords, lower case. */
  readonly blocklist: ReadonlySet<string>
  /** Names that are known here: the service's own, and those that its owner adds. */
  readonly contextWords: readonly string[]
}

/** Passwords are compared and hashed in NFC (NIST SP 800-63B-4 §3.1.1.2), so that keyboards do not matter. */
export function normalizePassword(password: string): string {
  return password.normalize('NFC')
}

/**
 * Says what is wrong with a new password; empty when nothing is. Whole passwords are compared with the blocklist, and
 * there are no composition rules; known names may be in a password, and do not count towards it (NIST SP 800-63B-4 §3.1.1.2).
 */
export function judgePassword(
  password: string,
  own: { readonly username: string; readonly email?: string | null | undefined },
  policy: PasswordPolicy,
  pointer = '/password'
): Violation[] {
  const normal = normalizePassword(password)
  const length = [...normal].length
  if (length < policy.minLength) {
    return [
      { pointer, code: 'too_short', detail: `Use at least ${policy.minLength} characters; this one has ${length}.` }
    ]
  }
  // Longer ones are refused unread at a sign-in, so nobody must be left with one. Normalization can make a text longer.
  if (password.length > passwordMaxLength || normal.length > passwordMaxLength) {
    return [{ pointer, code: 'too_long', detail: `Use at most ${passwordMaxLength} characters.` }]
  }
  if (normal.includes('\0') || !normal.isWellFormed()) {
    return [{ pointer, code: 'not_text', detail: 'Use characters that can be typed: no NUL and no half of a pair.' }]
  }
  const key = usernameKey(normal)
  const names = [own.username, own.email, own.email?.split('@')[0]]
  if (names.some((name) => name && usernameKey(name) === key)) {
    return [{ pointer, code: 'same_as_name', detail: 'Use something other than your own username or email address.' }]
  }
  if (policy.blocklist.has(key)) {
    return [{ pointer, code: 'too_common', detail: 'This password is on lists of known passwords. Use another one.' }]
  }
  const local = own.email?.split('@')[0]
  const rest = restWithoutWords(normal, [...policy.contextWords, own.username, ...(local ? [local] : [])])
  // Whoever guesses tries known names first, and then what is on the lists beside them.
  const needed = Math.ceil(policy.minLength / 2)
  if (rest !== null && (rest.length < needed || policy.blocklist.has(rest.text))) {
    const detail =
      'This password is little more than a name that is known here: yours, or the service’s. ' +
      `Use one with at least ${needed} other letters and digits, best of several words.`
    return [{ pointer, code: 'known_name', detail }]
  }
  return []
}
