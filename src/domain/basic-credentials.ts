import type { Authorization } from './authorization.js'
import { signInNameMaxLength } from './identity.js'
import { passwordMaxLength } from './password-policy.js'

/** With its padding (RFC 4648 §3.2): without it a credential that was cut off would be as good as a whole one. */
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * The name and password of a Basic header in UTF-8, or undefined where it is malformed (RFC 7617 §2) or longer than
 * anybody's can be: such a one costs no hash.
 */
export function basicCredentials(
  authorization: Authorization
): { readonly name: string; readonly password: string } | undefined {
  const { credentials } = authorization
  if (credentials.length > 4096 || !base64.test(credentials)) return undefined
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(credentials, 'base64'))
  } catch {
    return undefined
  }
  // Neither part has control characters by the RFC, and Postgres refuses the first of them with an error.
  if (/\p{Cc}/u.test(text)) return undefined
  const colon = text.indexOf(':')
  const [name, password] = [text.slice(0, colon), text.slice(colon + 1)]
  if (colon < 1 || name.length > signInNameMaxLength || password.length > passwordMaxLength) return undefined
  return { name, password }
}
