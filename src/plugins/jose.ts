import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { compactVerify, importJWK } from 'jose'

/**
 * Whether a compact JWS was signed by the private half of a key that somebody else brings. False also where the key is
 * none: a point off its curve, say. The caller has held `algorithm` against a list of its own; the header does not
 * choose it.
 */
export async function isSignedBy(
  text: string,
  jwk: Readonly<Record<string, string>> & { readonly kty: string },
  algorithm: string
): Promise<boolean> {
  try {
    await compactVerify(text, await importJWK(jwk, algorithm), { algorithms: [algorithm] })
    return true
  } catch {
    return false
  }
}

type PublicKey = Parameters<typeof isSignedBy>[1]

/**
 * Keys that nobody has, by algorithm: to verify against where whoever signed, or their key, is unknown. The work is the
 * same, so that the time tells nothing.
 */
export function makeDecoys(): (algorithm: string) => PublicKey {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const okp = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const modulus = randomBytes(256)
  modulus[0]! |= 0x80
  modulus[255]! |= 1
  const rsa = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }
  return (algorithm) => (algorithm === 'ES256' ? ec : algorithm.startsWith('Ed') ? okp : rsa) as PublicKey
}
