import { createHash, createHmac } from 'node:crypto'

/**
 * A secret of the service that every password goes through before it is hashed (NIST SP 800-63B-4 §3.1.1.2, OWASP Password
 * Storage Cheat Sheet): whoever has the database alone cannot guess a single password.
 */
export interface Pepper {
  /** Which pepper a stored hash needs; a digest, so that replicas agree without being told. */
  readonly id: string
  readonly secret: Buffer
}

export function pepperOf(secret: Buffer): Pepper {
  const id = createHash('sha256').update('keyturn pepper id').update(secret).digest('base64url').slice(0, 8)
  return { id, secret }
}

/** What is hashed instead of the password. */
export function applyPepper({ secret }: Pepper, password: string): string {
  return createHmac('sha256', secret).update(password).digest('base64')
}

const scheme = '$hmac-sha256$k='

/** How a stored hash begins that was made with a pepper. */
export const pepperPrefix = ({ id }: Pepper): string => `${scheme}${id}`

/** A stored hash without what tells its pepper; null where it has none. */
export function readPeppered(stored: string): { readonly id: string; readonly hash: string } | null {
  if (!stored.startsWith(scheme)) return null
  const at = stored.indexOf('$', scheme.length)
  return at < 0 ? null : { id: stored.slice(scheme.length, at), hash: stored.slice(at) }
}
