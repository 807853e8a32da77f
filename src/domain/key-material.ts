import { isCanonicalBase64url } from './base64url.js'
import type { SigningAlgorithm } from './key-ring.js'

type Jwk = Readonly<Record<string, unknown>>

const shapes: Record<'EC' | 'OKP' | 'RSA', readonly string[]> = {
  EC: ['kty', 'crv', 'x', 'y'],
  OKP: ['kty', 'crv', 'x'],
  RSA: ['kty', 'n', 'e']
}

/** Bits of an RSA modulus. */
const rsaBits = { least: 3072, most: 8192 }

/** How the algorithm of a key is named in its `alg` (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2). */
const joseNames: Record<SigningAlgorithm, readonly string[]> = {
  ES256: ['ES256'],
  Ed25519: ['EdDSA', 'Ed25519'],
  RS256: ['RS256'],
  PS256: ['PS256']
}

function bitLength(unsigned: string): number {
  const bytes = Buffer.from(unsigned, 'base64url')
  return bytes.length === 0 ? 0 : bytes.length * 8 - Math.clz32(bytes[0]!) + 24
}

/**
 * Why a public key is not one for an algorithm, in words that end a sentence; null where it is one. Its members are
 * looked at, not the key itself: whether anything was ever signed with it is for a probe to say.
 */
export function refusalOfKey(jwk: Jwk, algorithm: SigningAlgorithm): string | null {
  const shape = Object.hasOwn(shapes, String(jwk.kty)) ? shapes[jwk.kty as keyof typeof shapes] : undefined
  if (shape === undefined) return 'its type is none of EC, OKP and RSA'
  for (const member of shape) {
    const value = jwk[member]
    if (typeof value !== 'string' || value === '') return `it has no ${member}`
    if (member.length === 1 && !isCanonicalBase64url(value)) return `its ${member} is not base64url`
  }
  const kind = jwk.kty === 'RSA' ? 'RSA' : String(jwk.crv)
  const expected = { ES256: 'P-256', Ed25519: 'Ed25519', RS256: 'RSA', PS256: 'RSA' }[algorithm]
  if (kind !== expected) return `it is a key of ${kind}, and ${algorithm} takes one of ${expected}`
  if (kind === 'RSA') {
    const bits = bitLength(String(jwk.n))
    if (bits < rsaBits.least || bits > rsaBits.most) {
      return `its modulus has ${bits} bits, and may have ${rsaBits.least} to ${rsaBits.most}`
    }
    if (jwk.e !== 'AQAB') return 'its public exponent is not 65537'
  } else if (Buffer.from(String(jwk.x), 'base64url').length !== 32) return 'its x has not 32 bytes'
  if (jwk.alg !== undefined && !joseNames[algorithm].includes(String(jwk.alg))) {
    return `its alg is not ${joseNames[algorithm].join(' or ')}`
  }
  if (jwk.use !== undefined && jwk.use !== 'sig') return 'its use is not sig'
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('sign'))) {
    return 'its key_ops do not name sign'
  }
  return null
}

/** The members that make a public key, and nothing else: what a provider or a file adds is never published. */
export function publicMembers(jwk: Jwk): Record<string, unknown> {
  const shape = shapes[jwk.kty as keyof typeof shapes]
  return Object.fromEntries(shape.map((member) => [member, jwk[member]]))
}
