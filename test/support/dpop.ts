import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import type { ProofAlgorithm } from '../../src/domain/dpop.js'
import { thumbprint } from '../../src/domain/key-ring.js'
import { forge } from './forge.js'
import { issuer, type World } from './world.js'

/** A client's key, made by the platform. */
export interface ClientKey {
  readonly algorithm: ProofAlgorithm
  readonly privateKey: KeyObject
  readonly jwk: Record<string, unknown>
  readonly jkt: string
}

export function clientKey(algorithm: ProofAlgorithm = 'ES256'): ClientKey {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : algorithm === 'Ed25519' || algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  return { algorithm, privateKey, jwk, jkt: thumbprint(jwk) }
}

export const freshJti = () => randomBytes(16).toString('base64url')
export const hashOf = (token: string) => createHash('sha256').update(token).digest('base64url')

/** A proof with any payload, signed by the key; the header is right in all but what is changed. */
export function signProof(key: ClientKey, payload: unknown, header: object = {}): string {
  const { algorithm, privateKey, jwk } = key
  return forge(algorithm, privateKey, { typ: 'dpop+jwt', alg: algorithm, jwk, ...header }, payload)
}

export interface ProofContent {
  readonly method?: string
  readonly path: string
  readonly accessToken?: string
  readonly nonce?: string
}

/** A proof as an honest client makes it, at the service's own time. */
export function proofFor(w: Pick<World, 'now'>, key: ClientKey, content: ProofContent, change: object = {}): string {
  const { method = 'POST', path, accessToken, nonce } = content
  return signProof(key, {
    jti: freshJti(),
    htm: method,
    htu: issuer + path,
    iat: Math.floor(w.now().getTime() / 1000),
    ...(accessToken === undefined ? {} : { ath: hashOf(accessToken) }),
    ...(nonce === undefined ? {} : { nonce }),
    ...change
  })
}
