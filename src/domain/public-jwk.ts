import { bytesOfBase64url, isCanonicalBase64url } from './base64url.js'

/** A public key of one of our algorithms, and nothing besides. */
export type PublicJwk = Readonly<Record<string, string>> & { readonly kty: string }

/** Ed25519 goes by two names (RFC 8037 §3.1, RFC 9864 §2.2). */
export type PublicKeyAlgorithm = 'ES256' | 'Ed25519' | 'EdDSA' | 'RS256' | 'PS256'

/** Members with the private half of a key, of any type (RFC 7518 §6, RFC 8037 §2), and of post-quantum keys. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const

/** Whether a text is canonical base64url of 32 bytes. */
const is32Bytes = (value: unknown): value is string =>
  typeof value === 'string' && value.length === 43 && isCanonicalBase64url(value)

/** An unsigned number of a JWK (RFC 7518 §2), or undefined: no leading zeros, which would give one key two thumbprints. */
function numberOf(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || !isCanonicalBase64url(value)) return undefined
  const bytes = bytesOfBase64url(value)
  return bytes[0] === 0 ? undefined : bytes
}

/** At least 2048 bits (RFC 7518 §3.3), and no more than a server should be made to calculate with. */
function isRsaKey(n: unknown, e: unknown): boolean {
  const [modulus, exponent] = [numberOf(n), numberOf(e)]
  if (modulus === undefined || exponent === undefined) return false
  const bits = modulus.length * 8 - (Math.clz32(modulus[0]!) - 24)
  // An exponent as long as the modulus makes one verification cost as much as hundreds.
  return (
    bits >= 2048 &&
    bits <= 4096 &&
    exponent.length <= 4 &&
    exponent.at(-1)! % 2 === 1 &&
    exponent.reduce((number, byte) => number * 256 + byte, 0) > 1
  )
}

/**
 * The public half of a proof's key, of the one kind that its algorithm asks for. What else a JWK may say (`kid`, `use`,
 * `key_ops`, `ext`: browsers add them) is left out; a private half is somebody's mistake and refused (§4.3, check 7).
 */
export function readPublicJwk(
  value: unknown,
  algorithm: PublicKeyAlgorithm
): PublicJwk | 'key_malformed' | 'key_private' {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'key_malformed'
  const jwk = value as Record<string, unknown>
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return 'key_private'
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return 'key_malformed'
  const { kty, crv, x, y, n, e } = jwk
  switch (algorithm) {
    case 'ES256':
      return kty === 'EC' && crv === 'P-256' && is32Bytes(x) && is32Bytes(y) ? { kty, crv, x, y } : 'key_malformed'
    case 'Ed25519':
    case 'EdDSA':
      return kty === 'OKP' && crv === 'Ed25519' && is32Bytes(x) ? { kty, crv, x } : 'key_malformed'
    case 'RS256':
    case 'PS256':
      return kty === 'RSA' && isRsaKey(n, e) ? { kty, n: n as string, e: e as string } : 'key_malformed'
  }
}
