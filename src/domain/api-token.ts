import { createHash, createHmac } from 'node:crypto'
import { formatCheckedText, isCheckedText } from './checked-text.js'
import type { Violation } from './refusal.js'
import { judgeScopes } from './scope.js'

/**
 * An API token's key: `ktt_`, 30 characters of base62 from 22 random bytes, and 6 that are the CRC-32 of all before
 * them: /ktt_[0-9A-Za-z]{36}/.
 */
const prefix = 'ktt_'
const length = 30
/** How Django REST Framework's authtoken writes its keys. */
const authtokenForm = /^[0-9a-f]{40}$/
/** How knox writes its keys. */
const knoxForm = /^[0-9a-f]{64}$/

export type ApiTokenKind = 'personal' | 'authtoken' | 'knox'

/** Random bytes that a new key takes. */
export const apiTokenEntropy = 22

export function formatApiToken(entropy: Buffer): string {
  return formatCheckedText(prefix, entropy, length)
}

/** Whether a text can be a key at all: what is not costs no query. */
export function isApiToken(text: string): boolean {
  if (text.startsWith(prefix)) return isCheckedText(prefix, length, text)
  return authtokenForm.test(text) || knoxForm.test(text)
}

/**
 * The key of an account's authtoken, which Django clients ask for again and again and always get the same one: it follows
 * from the row's id and a secret, so that a digest is all that is kept.
 */
export function authtokenKey(secret: Buffer, tokenId: string): string {
  return createHmac('sha256', secret).update(tokenId).digest('hex').slice(0, 40)
}

/** What is kept of a key. It is random and long, so a fast digest does. */
export function apiTokenDigest(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

export function hintOf(key: string): string {
  return key.slice(-4)
}

/** Says what is wrong with a new API token's name and scopes. */
export function judgeApiToken(input: { readonly name: string; readonly scopes: readonly string[] }): Violation[] {
  const errors: Violation[] = []
  if (input.name.length < 1 || input.name.length > 100 || /[\p{Cc}\p{Cs}]/u.test(input.name)) {
    const detail = 'Use 1 to 100 characters, so that you will know what the token is for.'
    errors.push({ pointer: '/name', code: 'pattern', detail })
  }
  errors.push(...judgeScopes(input.scopes))
  return errors
}
