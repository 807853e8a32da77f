const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function isUuid(text: string): boolean {
  return pattern.test(text)
}

/** 16 bytes in the text form that Postgres' uuid type reads, whatever version they claim. */
export function uuidFromBytes(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

export function bytesFromUuid(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

/**
 * A version 7 UUID (RFC 9562 §5.7): ordered by time, so that new rows land beside each other. Those of one millisecond are
 * in the order of their sequence, 0 to 4095, where there is one (§6.2, method 1).
 */
export function uuidV7(now: Date, entropy: Uint8Array, sequence?: number): string {
  const bytes = Buffer.from(entropy.subarray(0, 16))
  bytes.writeUIntBE(now.getTime(), 0, 6)
  if (sequence !== undefined) bytes.writeUInt16BE(sequence, 6)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  return uuidFromBytes(bytes)
}

/** The least version 7 UUID of a moment: all that were made from then on are greater, and all before are less. */
export function firstUuidV7(at: Date): string {
  return uuidV7(at, new Uint8Array(16))
}
