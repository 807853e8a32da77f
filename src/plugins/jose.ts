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
