import { formatSignedText, readSignedText, type TextKey } from './signed-text.js'
import { bytesFromUuid, uuidFromBytes } from './uuid.js'

/** A session cookie's value: `kts_` and, signed, session id (16 bytes). A new sign-in is a new session, so a new value. */
const prefix = 'kts_'
const payloadLength = 16

export function formatSessionCookie(key: TextKey, sessionId: string): string {
  return formatSignedText(prefix, key, bytesFromUuid(sessionId))
}

/** The session that a cookie's value names, or null where it is not one of ours. Costs no query. */
export function readSessionCookie(keys: readonly TextKey[], text: string): string | null {
  const payload = readSignedText(prefix, keys, payloadLength, text)
  return payload && uuidFromBytes(payload)
}
