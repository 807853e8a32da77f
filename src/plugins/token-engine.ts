import { constants, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import { joseAlgorithm, type SigningAlgorithm, thumbprint } from '../domain/key-ring.js'

/** Signs and verifies with one key and one algorithm. */
export interface TokenEngine {
  /** An access token. */
  sign(claims: object): string
  /** Another document of this service, of a type of its own, so that none is taken for another (RFC 8725 §3.11). */
  signAs(typ: string, payload: object): Promise<string>
  /** The payload of a token whose signature is right; throws otherwise. Claims and times are not looked at. */
  verify(token: string): unknown
}

export interface KeyMaterial {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly privateKey: KeyObject
  readonly publicJwk: Readonly<Record<string, unknown>>
}

/** A public key as a JWK with everything that verifiers match on (RFC 7517 §4): `kid`, `use` and `alg` always. */
function describeKey(
  publicKey: KeyObject,
  algorithm: SigningAlgorithm
): { kid: string; publicJwk: Record<string, unknown> } {
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  const kid = thumbprint(jwk)
  return { kid, publicJwk: { ...jwk, kid, use: 'sig', alg: joseAlgorithm(algorithm) } }
}

export function generateKey(algorithm: SigningAlgorithm): KeyMaterial {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : algorithm === 'Ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 3072 })
  return { algorithm, privateKey, ...describeKey(publicKey, algorithm) }
}

export function exportPrivateKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' })
}

export function importPrivateKey(der: Buffer): KeyObject {
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

/** A JWS signature of bytes (RFC 7515 §5.1); for ECDSA r and s side by side (RFC 7518 §3.4). */
function signBytes(algorithm: SigningAlgorithm, key: KeyObject, input: Buffer): Buffer {
  if (algorithm === 'Ed25519') return sign(null, input, key)
  if (algorithm === 'ES256') return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' })
  if (algorithm === 'RS256') return sign('sha256', input, key)
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants
  return sign('sha256', input, { key, padding, saltLength })
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/**
 * One prepared signer and verifier per key. @fastify/jwt prepares them when it is registered with a fixed key, and
 * parses the key at every request when it is given a function: so each key gets an instance of its own, which never
 * serves a request.
 */
export async function makeEngine(key: KeyMaterial): Promise<TokenEngine> {
  const algorithm = joseAlgorithm(key.algorithm) as 'ES256' | 'EdDSA' | 'RS256' | 'PS256'
  const holder = Fastify()
  await holder.register(jwt, {
    secret: {
      private: key.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
      public: createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }) as string
    },
    sign: { algorithm, kid: key.kid, header: { typ: 'at+jwt' } as never },
    // The times are judged with the service's own clock, in domain/access-token.ts.
    verify: { algorithms: [algorithm], checkTyp: 'at+jwt', ignoreExpiration: true, ignoreNotBefore: true, cache: false }
  })
  await holder.ready()
  return {
    sign: (claims) => holder.jwt.sign(claims),
    async signAs(typ, payload) {
      const input = `${encode({ alg: algorithm, kid: key.kid, typ })}.${encode(payload)}`
      return `${input}.${signBytes(key.algorithm, key.privateKey, Buffer.from(input)).toString('base64url')}`
    },
    verify: (token) => holder.jwt.verify(token)
  }
}
