import { createHash, type KeyObject, randomBytes } from 'node:crypto'
import type { ProofAlgorithm } from '../../src/domain/dpop.js'
import { thumbprint } from '../../src/domain/key-ring.js'
import { encode, forge } from './forge.js'
import { freshKeyPair } from './key-pairs.js'
import { goodPassword, issuer, type Tokens, type World } from './world.js'

/** A client's key, made by the platform. */
export interface ClientKey {
  readonly algorithm: ProofAlgorithm
  readonly privateKey: KeyObject
  readonly jwk: Record<string, unknown>
  readonly jkt: string
}

export function clientKey(algorithm: ProofAlgorithm = 'ES256'): ClientKey {
  const isEd = algorithm === 'Ed25519' || algorithm === 'EdDSA'
  const { privateKey, publicKey } = freshKeyPair(algorithm === 'ES256' ? 'ec' : isEd ? 'ed25519' : 'rsa')
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  return { algorithm, privateKey, jwk, jkt: thumbprint(jwk) }
}

export const freshJti = () => randomBytes(16).toString('base64url')
const hashOf = (token: string) => createHash('sha256').update(token).digest('base64url')

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

export interface BoundTokens extends Tokens {
  token_type: string
}

/** Signs in with a proof by the key, and so binds the session to it. */
export async function bindingLogin(w: World, key: ClientKey, username?: string): Promise<BoundTokens> {
  const name = username ?? (await w.account())
  const dpop = proofFor(w, key, { path: '/v1/login' })
  const response = await w.post('/v1/login', { username: name, password: goodPassword }, { dpop })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json()
}

/** Refreshes with a proof by the key, or with none. */
export function provenRefresh(w: World, key: ClientKey | null, refresh_token: string) {
  const dpop = key && proofFor(w, key, { path: '/v1/refresh' })
  return w.post('/v1/refresh', { refresh_token }, dpop === null ? {} : { dpop })
}

/** Headers that are no proof by the key for this request. */
export function garbageProofs(
  w: Pick<World, 'now'>,
  key: ClientKey,
  content: ProofContent
): Array<[string, string | string[]]> {
  const { method = 'POST', path, accessToken } = content
  const other = clientKey()
  const now = Math.floor(w.now().getTime() / 1000)
  const good = proofFor(w, key, content)
  const change = (claims: object) => proofFor(w, key, content, claims)
  const ath = accessToken === undefined ? {} : { ath: hashOf(accessToken) }
  const payload = { jti: freshJti(), htm: method, htu: issuer + path, iat: now, ...ath }
  const hidden = { ...key.jwk, d: key.privateKey.export({ format: 'jwk' }).d }
  return [
    ['nothing', ''],
    ['a word', 'x'],
    ['dots', '...'],
    ['64 KiB short of a header', 'x'.repeat(8_000)],
    ['two of one', [good, good]],
    ['two proofs', [good, proofFor(w, key, content)]],
    ['two in one', `${good}, ${good}`],
    ['a cut one', good.slice(0, -1)],
    ['another signature', `${good.split('.').slice(0, 2).join('.')}.${proofFor(w, key, content).split('.')[2]}`],
    ['a signature by another key', signProof({ ...other, jwk: key.jwk }, payload)],
    ['a private key', signProof(key, payload, { jwk: hidden })],
    ['no algorithm', `${encode({ typ: 'dpop+jwt', alg: 'none', jwk: key.jwk })}.${encode(payload)}.AAAA`],
    ['a secret as key', signProof(key, payload, { jwk: { kty: 'oct', k: 'AAAA' } })],
    ['a point that is none', signProof(key, payload, { jwk: { ...key.jwk, y: key.jwk.x } })],
    ['another type', signProof(key, payload, { typ: 'JWT' })],
    ['another method', change({ htm: 'PUT' })],
    ['another path', change({ htu: `${issuer}/v1/other` })],
    ['another host', change({ htu: `https://evil.test${path}` })],
    ['a moment of yesterday', change({ iat: now - 86_400 })],
    ['a moment of a minute ago', change({ iat: now - 61 })],
    ['a moment of tomorrow', change({ iat: now + 6 })],
    ['a moment in words', change({ iat: String(now) })],
    ['no identifier', change({ jti: undefined })],
    ['a short identifier', change({ jti: 'x' })]
  ]
}
