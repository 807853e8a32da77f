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
