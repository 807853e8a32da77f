const alphabet = /^[A-Za-z0-9_-]+$/
/** Which last characters leave no bits over, by length modulo 4 (RFC 4648 §3.5). */
const lastOfTwo = /[AQgw]$/
const lastOfThree = /[AEIMQUYcgkosw048]$/

/**
 * Whether the text is base64url without padding in its one canonical form. Decoders ignore left-over bits, so without
 * this one token would have several spellings, and a denylist of tokens would have holes.
 */
export function isCanonicalBase64url(text: string): boolean {
  if (!alphabet.test(text)) return false
  switch (text.length % 4) {
    case 0:
      return true
    case 2:
      return lastOfTwo.test(text)
    case 3:
      return lastOfThree.test(text)
    default:
      return false
  }
}

/** Node's own is several times faster than what every platform has. */
const { Buffer: node } = globalThis as { readonly Buffer?: typeof Buffer }

/** The bytes of a base64url text that was found canonical. */
export function bytesOfBase64url(text: string): Uint8Array {
  if (node !== undefined) return node.from(text, 'base64url')
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

/** What a base64url text that was found canonical says in UTF-8. */
export function textOfBase64url(text: string): string {
  if (node !== undefined) return node.from(text, 'base64url').toString()
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOfBase64url(text))
}
