import { formatSignedText, readSignedText, type TextKey } from './signed-text.js'
import { bytesFromUuid, uuidFromBytes } from './uuid.js'

/** A refresh token's text: `ktr_` and, signed, session id (16 bytes) · generation (4, big endian). */
const prefix = 'ktr_'
const payloadLength = 20

export interface RefreshTokenContent {
  readonly sessionId: string
  /** How many rotations came before this token. */
  readonly generation: number
}

/** The token of one generation of one session: the same text each time it is asked. */
export function formatRefreshToken(key: TextKey, { sessionId, generation }: RefreshTokenContent): string {
  const payload = Buffer.allocUnsafe(payloadLength)
  bytesFromUuid(sessionId).copy(payload)
  payload.writeUInt32BE(generation, 16)
  return formatSignedText(prefix, key, payload)
}

/** What a presented token says, or null where it is not one of ours. Costs no query. */
export function readRefreshToken(keys: readonly TextKey[], text: string): RefreshTokenContent | null {
  const payload = readSignedText(prefix, keys, payloadLength, text)
  return payload && { sessionId: uuidFromBytes(payload.subarray(0, 16)), generation: payload.readUInt32BE(16) }
}
