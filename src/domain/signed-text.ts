import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { isCanonicalBase64url } from './base64url.js'

/**
 * Texts that only this service can make: a prefix, and base64url of
 * version (1 byte) · key id (4) · payload · HMAC-SHA-256 of all that (32).
 *
 * Nothing of them is stored: the same payload is the same text each time.
 */
const version = 1
const headLength = 5
const macLength = 32

/** A key that texts are authenticated with. Make it with `textKey`. */
export interface TextKey {
  readonly id: Buffer
  readonly secret: Buffer
}

/** The key's id is a digest of its secret, so that replicas with the same secret agree without being told. */
export function textKey(secret: Buffer): TextKey {
  return { id: createHash('sha256').update('keyturn text key id').update(secret).digest().subarray(0, 4), secret }
}

function authenticate(key: TextKey, signed: Buffer): Buffer {
  return createHmac('sha256', key.secret).update(signed).digest()
}

export function formatSignedText(prefix: string, key: TextKey, payload: Buffer): string {
  const signedLength = headLength + payload.length
  const bytes = Buffer.allocUnsafe(signedLength + macLength)
  bytes[0] = version
  key.id.copy(bytes, 1)
  payload.copy(bytes, headLength)
  authenticate(key, bytes.subarray(0, signedLength)).copy(bytes, signedLength)
  return prefix + bytes.toString('base64url')
}

/**
 * The payload of a presented text, or null where it is not one of ours. Its length, its canonical form and its MAC are
 * looked at before anything else, so that garbage never reaches the database.
 */
export function readSignedText(
  prefix: string,
  keys: readonly TextKey[],
  payloadLength: number,
  text: string
): Buffer | null {
  const length = headLength + payloadLength + macLength
  if (text.length !== prefix.length + Math.ceil((length * 4) / 3) || !text.startsWith(prefix)) return null
  const encoded = text.slice(prefix.length)
  if (!isCanonicalBase64url(encoded)) return null
  const bytes = Buffer.from(encoded, 'base64url')
  if (bytes[0] !== version) return null
  const key = keys.find(({ id }) => id.equals(bytes.subarray(1, headLength)))
  if (key === undefined) return null
  const signedLength = headLength + payloadLength
  const mac = authenticate(key, bytes.subarray(0, signedLength))
  if (!timingSafeEqual(mac, bytes.subarray(signedLength))) return null
  return bytes.subarray(headLength, signedLength)
}
