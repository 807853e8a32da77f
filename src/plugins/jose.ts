import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
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

const encodings = {
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  publicKeyEncoding: { type: 'spki', format: 'der' }
} as const

/** Read again from its bytes: in Node 20 one straight out of the generator may stop the process when it is exported. */
const publicJwk = (der: unknown) =>
  // The declarations promise a KeyObject whatever the encodings say.
  createPublicKey({ key: der as Buffer, format: 'der', type: 'spki' }).export({ format: 'jwk' })

/**
 * Keys that nobody has, by algorithm: to verify against where whoever signed, or their key, is unknown. The work is the
 * same, so that the time tells nothing.
 */
export function makeDecoys(): (algorithm: string) => PublicKey {
  const ec = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256', ...encodings }).publicKey)
  const okp = publicJwk(generateKeyPairSync('ed25519', encodings).publicKey)
  const modulus = randomBytes(256)
  modulus[0]! |= 0x80
  modulus[255]! |= 1
  const rsa = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }
  return (algorithm) => (algorithm === 'ES256' ? ec : algorithm.startsWith('Ed') ? okp : rsa) as PublicKey
}
