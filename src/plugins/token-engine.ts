import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  KeyObject,
  sign,
  verify
} from 'node:crypto'
import { promisify } from 'node:util'
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import { publicMembers } from '../domain/key-material.js'
import { joseAlgorithm, type SigningAlgorithm, thumbprint } from '../domain/key-ring.js'
import { Refusal } from '../domain/refusal.js'
import type { Signer } from './key-providers.js'

/** Signs and verifies with one key and one algorithm. */
export interface TokenEngine {
  /** An access token. Throws `service_unavailable` where the key's keeper does not sign. */
  sign(claims: object): string | Promise<string>
  /** Another document of this service, of a type of its own, so that none is taken for another (RFC 8725 §3.11). */
  signAs(typ: string, payload: object): Promise<string>
  /** The payload of a token whose signature is right; throws otherwise. Claims and times are not looked at. */
  verify(token: string): unknown
}

export interface PublicKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly publicJwk: Readonly<Record<string, unknown>>
}

export interface KeyMaterial extends PublicKey {
  readonly privateKey: KeyObject
}

/** A public key with everything that verifiers match on (RFC 7517 §4): `kid`, `use` and `alg` always. */
export function describeKey(jwk: Readonly<Record<string, unknown>>, algorithm: SigningAlgorithm): PublicKey {
  const members = publicMembers(jwk)
  const kid = thumbprint(members)
  return { kid, algorithm, publicJwk: { ...members, kid, use: 'sig', alg: joseAlgorithm(algorithm) } }
}

export function publicJwkOf(key: KeyObject): Record<string, unknown> {
  return createPublicKey(key).export({ format: 'jwk' }) as Record<string, unknown>
}

const generate = promisify(generateKeyPair)

const encodings = {
  privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  publicKeyEncoding: { type: 'spki', format: 'der' }
} as const

/**
 * In a thread of its own: a key of RSA takes a second, in which others want to be served. It is read again from its bytes:
 * in Node 20 one that comes straight out of the generator shares a lock with it, and a collection of garbage at the wrong
 * moment of an export stops the process for good.
 */
export async function generateKey(algorithm: SigningAlgorithm): Promise<KeyMaterial> {
  const made =
    algorithm === 'ES256'
      ? await generate('ec', { namedCurve: 'P-256', ...encodings })
      : algorithm === 'Ed25519'
        ? await generate('ed25519', encodings)
        : await generate('rsa', { modulusLength: 3072, ...encodings })
  // The declarations promise a KeyObject whatever the encodings say.
  const privateKey = importPrivateKey(made.privateKey as unknown as Buffer)
  return { ...describeKey(publicJwkOf(privateKey), algorithm), privateKey }
}

export function exportPrivateKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' })
}

export function importPrivateKey(der: Buffer): KeyObject {
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }

/** How the platform signs and verifies as the JWS algorithm says (RFC 7518 §3; for ECDSA r and s side by side, §3.4). */
function parametersOf(algorithm: SigningAlgorithm, key: KeyObject) {
  if (algorithm === 'Ed25519') return { digest: null, key }
  if (algorithm === 'ES256') return { digest: 'sha256', key: { key, dsaEncoding: 'ieee-p1363' as const } }
  return { digest: 'sha256', key: algorithm === 'PS256' ? { key, ...pss } : key }
}

/** The signer of a private key that is at hand. */
export function localSigner(algorithm: SigningAlgorithm, privateKey: KeyObject) {
  const { digest, key } = parametersOf(algorithm, privateKey)
  return { sign: (input: Uint8Array) => sign(digest, input, key) } satisfies Signer
}

/** Looks at each signature of a signer before it counts, so that no token goes out that nobody will accept. */
function checkedSigner({ publicJwk, algorithm, kid }: PublicKey, signer: Signer): Signer {
  const publicKey = createPublicKey({ key: publicJwk as JsonWebKey, format: 'jwk' })
  const { digest, key } = parametersOf(algorithm, publicKey)
  return {
    async sign(input) {
      const signature = await signer.sign(input)
      if (!(signature instanceof Uint8Array) || !verify(digest, input, key, signature)) {
        throw new Refusal('service_unavailable', {
          because: `key ${kid}: its keeper's signature is wrong`,
          retryAfter: 1
        })
      }
      return Buffer.from(signature)
    }
  }
}

/** Throws where a signer and a public key are no pair. */
export async function probe(key: PublicKey, signer: Signer): Promise<void> {
  await checkedSigner(key, signer).sign(Buffer.from('keyturn probe'))
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/**
 * One prepared verifier per key. @fastify/jwt prepares it when it is registered with a fixed key, and parses the key at
 * every request when it is given a function: so each key gets an instance of its own, which never serves a request.
 * Whoever keeps the key, verification is always local. A document is signed as a JWS says it (RFC 7515 §5.1), by the
 * platform, as all others are that have a type of their own.
 */
export async function makeEngine(key: PublicKey, privateHalf: KeyObject | Signer): Promise<TokenEngine> {
  const algorithm = joseAlgorithm(key.algorithm) as 'ES256' | 'EdDSA' | 'RS256' | 'PS256'
  const pem = createPublicKey({ key: key.publicJwk as JsonWebKey, format: 'jwk' }).export({
    format: 'pem',
    type: 'spki'
  }) as string
  const holder = Fastify()
  await holder.register(jwt, {
    secret: { public: pem } as { public: string; private: string },
    // The times are judged with the service's own clock, in domain/access-token.ts.
    verify: { algorithms: [algorithm], checkTyp: 'at+jwt', ignoreExpiration: true, ignoreNotBefore: true, cache: false }
  })
  await holder.ready()

  const local = privateHalf instanceof KeyObject ? localSigner(key.algorithm, privateHalf) : undefined
  const signer = local ?? checkedSigner(key, privateHalf as Signer)
  const headers = new Map<string, string>()
  /** What is signed; a header is the same for every document of its type. */
  function inputOf(typ: string, payload: object): string {
    let header = headers.get(typ)
    if (header === undefined) {
      header = encode({ alg: algorithm, kid: key.kid, typ })
      headers.set(typ, header)
    }
    return `${header}.${encode(payload)}`
  }
  async function signAs(typ: string, payload: object): Promise<string> {
    const input = inputOf(typ, payload)
    return `${input}.${(await signer.sign(Buffer.from(input))).toString('base64url')}`
  }
  return {
    sign(claims) {
      if (local === undefined) return signAs('at+jwt', claims)
      const input = inputOf('at+jwt', claims)
      return `${input}.${local.sign(Buffer.from(input)).toString('base64url')}`
    },
    signAs,
    verify: (token) => holder.jwt.verify(token)
  }
}
