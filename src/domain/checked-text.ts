import { crc32 } from 'node:zlib'

/**
 * Random texts whose last 6 characters are the CRC-32 of all before them: a prefix, base62, a checksum. Scanners find those
 * that leaked without asking anybody, and what is mistyped or cut costs no query.
 */
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checksumLength = 6
const base62Form = /^[0-9A-Za-z]+$/

function base62(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest /= 62n) text = alphabet[Number(rest % 62n)] + text
  return text
}

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), checksumLength)
}

/** Random bytes as so many characters of base62, the most significant first. */
export function base62Of(entropy: Buffer, length: number): string {
  return base62(BigInt(`0x${entropy.toString('hex')}`), length)
}

export function formatCheckedText(prefix: string, entropy: Buffer, length: number): string {
  const text = prefix + base62Of(entropy, length)
  return text + checksum(text)
}

/** Whether a text is of this form, by its characters and its checksum alone. */
export function isCheckedText(prefix: string, length: number, text: string): boolean {
  return (
    text.length === prefix.length + length + checksumLength &&
    text.startsWith(prefix) &&
    base62Form.test(text.slice(prefix.length)) &&
    checksum(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
  )
}
