import type { Violation } from './refusal.js'

/** The longest name or address, in UTF-16 code units, with which a sign-in is tried at all: nobody can have a longer one. */
export const signInNameMaxLength = 300

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

/**
 * What makes two email addresses the same; they are kept as they were written, since that is where mail goes. Only ASCII
 * letters lose their case, and nothing is normalized: both full case folding and NFC turn the Kelvin sign into "k", and
 * would let one address stand for another (CVE-2019-19844).
 */
export function emailKey(email: string): string {
  return email.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

const address = /^[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)*$/
const printableAscii = /^[\x21-\x7e]{3,254}$/

/** Says what is wrong with a new email address. Its form alone is judged; that it is theirs only a mail can show. */
export function judgeEmail(email: string): Violation[] {
  if (address.test(email) && printableAscii.test(email)) return []
  return [
    { pointer: '/email', code: 'format', detail: 'Use an address such as ada@example.com, of at most 254 characters.' }
  ]
}

/** What Django allows in a username, after normalization: letters and digits of any script, and `_ . @ + -`. */
const username = /^[\p{L}\p{N}_.@+-]{1,150}$/u

/** Says what is wrong with a new username. Normalization can make a text longer, and letters into spaces. */
export function judgeUsername(text: string): Violation[] {
  if (username.test(normalizeUsername(text)) && username.test(usernameKey(text))) return []
  const detail = 'Use 1 to 150 letters, digits and the characters _ . @ + - in any script.'
  return [{ pointer: '/username', code: 'pattern', detail }]
}
