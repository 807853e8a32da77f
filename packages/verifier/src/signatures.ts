import type * as NodeCrypto from 'node:crypto'
import { compactVerify, importJWK } from 'jose'
import type { PublicJwk } from '../../../src/domain/public-jwk.js'

/** Algorithms that a key may have: those of the gate. */
export type KeyAlgorithm = 'ES256' | 'EdDSA' | 'RS256' | 'PS256'

/** Whether a compact JWS, whose header was found to name the key's one algorithm, is signed by the key. */
export type VerifySignature = (token: string) => boolean | Promise<boolean>

/**
 * Node's own cryptography where there is a Node: it verifies in the calling thread, which costs a third less than the
 * way through WebCrypto. It is no import, so that the module loads everywhere.
 */
function nodeCrypto(): typeof NodeCrypto | undefined {
  const { process } = globalThis as { process?: NodeJS.Process }
  // Deno and Bun have a process too, and a WebCrypto that is their fast way.
  if (process?.release?.name !== 'node' || 'Bun' in globalThis || 'Deno' in globalThis) return undefined
  return process.getBuiltinModule?.('node:crypto')
}

const node = nodeCrypto()

/** Prepares a key once, for all the tokens that it has signed. Throws where it is none: a point off its curve, say. */
export async function verifierOf(jwk: PublicJwk, algorithm: KeyAlgorithm): Promise<VerifySignature> {
  return node === undefined ? await withWebCrypto(jwk, algorithm) : withNode(node, jwk, algorithm)
}

/** The way of every platform. */
async function withWebCrypto(jwk: PublicJwk, algorithm: KeyAlgorithm): Promise<VerifySignature> {
  const key = await importJWK({ ...jwk }, algorithm)
  return async (token) => {
    try {
      await compactVerify(token, key, { algorithms: [algorithm] })
      return true
    } catch {
      return false
    }
  }
}

/** The way of Node. */
function withNode(crypto: typeof NodeCrypto, jwk: PublicJwk, algorithm: KeyAlgorithm): VerifySignature {
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = crypto.constants
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' })
  const digest = algorithm === 'EdDSA' ? null : 'sha256'
  const how = {
    ES256: { key, dsaEncoding: 'ieee-p1363' as const },
    PS256: { key, padding, saltLength },
    EdDSA: key,
    RS256: key
  }[algorithm]
  return (token) => {
    const end = token.lastIndexOf('.')
    try {
      return crypto.verify(
        digest,
        Buffer.from(token.slice(0, end), 'latin1'),
        how,
        Buffer.from(token.slice(end + 1), 'base64url')
      )
    } catch {
      return false
    }
  }
}
