import type { Violation } from './refusal.js'

/**
 * A username's stored form: NFKC, as Django's `UsernameField` has it, so that accounts that move over keep their names.
 */
export function normalizeUsername(username: string): string {
  return username.normalize('NFKC')
}

/** What makes two usernames the same: their compatibility form without case, so that look-alikes cannot be registered. */
export function usernameKey(username: string): string {
  return normalizeUsername(username).toLowerCase()
}

/** An email address's stored form: NFC, nothing else touched, since mail goes to what was written. */
export function normalizeEmail(email: string): string {
  return email.normalize('NFC')
}

/**
 * What makes two addresses the same. Only ASCII letters lose their case: full Unicode folding maps the Kelvin sign to
 * "k" and the dotless i to "i", and lets one address stand for another (CVE-2019-19844).
 */
export function emailKey(email: string): string {
  return normalizeEmail(email).replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** What Django allows in a username, after normalization: letters and digits of any script, and `_ . @ + -`. */
const username = /^[\p{L}\p{N}_.@+-]{1,150}$/u

/** Says what is wrong with a new username. Normalization can make a text longer, and letters into spaces. */
export function judgeUsername(text: string): Violation[] {
  if (username.test(normalizeUsername(text)) && username.test(usernameKey(text))) return []
  const detail = 'Use 1 to 150 letters, digits and the characters _ . @ + - in any script.'
  return [{ pointer: '/username', code: 'pattern', detail }]
}
