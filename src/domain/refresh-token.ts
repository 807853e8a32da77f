import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { isCanonicalBase64url } from './base64url.js'
import { bytesFromUuid, uuidFromBytes } from './uuid.js'

/**
 * A refresh token's text: `ktr_` and base64url of
 * version (1 byte) · key id (4) · session id (16) · generation (4, big endian) · HMAC-SHA-256 of all that (32).
 *
 * Nothing of it is stored: the session row holds the generation, and the successor can be computed again.
 */
const prefix = 'ktr_'
const version = 1
const signedLength = 25
const length = signedLength + 32
const textLength = prefix.length + (length * 4) / 3

/** A key that refresh tokens are authenticated with. Make it with `refreshKey`. */
export interface RefreshKey {
  readonly id: Buffer
  readonly secret: Buffer
}

export interface RefreshTokenContent {
  readonly sessionId: string
  /** How many rotations came before this token. */
  readonly generation: number
}

/** The key's id is a digest of its secret, so that replicas with the same secret agree without being told. */
export function refreshKey(secret: Buffer): RefreshKey {
  return { id: createHash('sha256').update('keyturn refresh key id').update(secret).digest().subarray(0, 4), secret }
}

function authenticate(key: RefreshKey, signed: Buffer): Buffer {
  return createHmac('sha256', key.secret).update(signed).digest()
}

/** The token of one generation of one session: the same text each time it is asked. */
export function formatRefreshToken(key: RefreshKey, { sessionId, generation }: RefreshTokenContent): string {
  const bytes = Buffer.allocUnsafe(length)
  bytes[0] = version
  key.id.copy(bytes, 1)
  bytesFromUuid(sessionId).copy(bytes, 5)
  bytes.writeUInt32BE(generation, 21)
  authenticate(key, bytes.subarray(0, signedLength)).copy(bytes, signedLength)
  return prefix + bytes.toString('base64url')
}

/**
 * What a presented token says, or null where it is not one of ours. Costs no query: its length, its canonical form and
 * its MAC are looked at first, so that garbage never reaches the database.
 */
export function readRefreshToken(keys: readonly RefreshKey[], text: string): RefreshTokenContent | null {
  if (text.length !== textLength || !text.startsWith(prefix)) return null
  const encoded = text.slice(prefix.length)
  if (!isCanonicalBase64url(encoded)) return null
  const bytes = Buffer.from(encoded, 'base64url')
  if (bytes[0] !== version) return null
  const key = keys.find(({ id }) => id.equals(bytes.subarray(1, 5)))
  if (key === undefined) return null
  const mac = authenticate(key, bytes.subarray(0, signedLength))
  if (!timingSafeEqual(mac, bytes.subarray(signedLength))) return null
  return { sessionId: uuidFromBytes(bytes.subarray(5, 21)), generation: bytes.readUInt32BE(21) }
}
