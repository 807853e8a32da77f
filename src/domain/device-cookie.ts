import { formatSignedText, readSignedText, type TextKey } from './signed-text.js'
import { bytesFromUuid, uuidFromBytes } from './uuid.js'

/**
 * A browser in which somebody has signed in before (OWASP, device cookies): `ktd_` and, signed, account id (16 bytes) and
 * the device's own (16). It opens nothing. Wrong passwords of strangers do not make this account wait in it.
 */
export interface Device {
  readonly accountId: string
  readonly deviceId: string
}

const prefix = 'ktd_'
const payloadLength = 32

export function formatDeviceCookie(key: TextKey, { accountId, deviceId }: Device): string {
  return formatSignedText(prefix, key, Buffer.concat([bytesFromUuid(accountId), bytesFromUuid(deviceId)]))
}

/** The device that a cookie's value names, or null where it is not one of ours. */
export function readDeviceCookie(keys: readonly TextKey[], text: string): Device | null {
  const payload = readSignedText(prefix, keys, payloadLength, text)
  return payload && { accountId: uuidFromBytes(payload.subarray(0, 16)), deviceId: uuidFromBytes(payload.subarray(16)) }
}
