import { createHash } from 'node:crypto'
import { later } from './session.js'

/** How access tokens may be signed, by setting. The JOSE name of Ed25519 is `EdDSA`: it is the one all verifiers know. */
export const signingAlgorithms = ['ES256', 'Ed25519', 'RS256', 'PS256'] as const
export type SigningAlgorithm = (typeof signingAlgorithms)[number]

export function joseAlgorithm(algorithm: SigningAlgorithm): string {
  return algorithm === 'Ed25519' ? 'EdDSA' : algorithm
}

/** next: published, not yet used. signing: the one. retiring: verifies what it signed. gone: no longer published. */
export type KeyState = 'next' | 'signing' | 'retiring' | 'gone'

export interface KeyTimes {
  readonly kid: string
  readonly signsFrom: Date
  /** When the last token that it signed has expired at every verifier; null until it has a successor. */
  readonly goneAt: Date | null
}

/** The state of each key follows from timestamps and the clock alone, so every replica comes to the same answer. */
export function keyStates<K extends KeyTimes>(keys: readonly K[], now: Date): Map<string, KeyState> {
  const signing = signingKey(keys, now)
  return new Map(
    keys.map((key) => {
      if (key === signing) return [key.kid, 'signing']
      if (key.goneAt !== null && key.goneAt <= now) return [key.kid, 'gone']
      return [key.kid, key.signsFrom > now ? 'next' : 'retiring']
    })
  )
}

/**
 * The key whose turn began last. A key that is gone signs no more. Where no turn has begun, the first to come: a
 * replica whose clock is behind the one that made the very first key must sign all the same.
 */
export function signingKey<K extends KeyTimes>(keys: readonly K[], now: Date): K | undefined {
  const alive = keys
    .filter(({ goneAt }) => goneAt === null || goneAt > now)
    .sort((a, b) => a.signsFrom.getTime() - b.signsFrom.getTime())
  return alive.findLast(({ signsFrom }) => signsFrom <= now) ?? alive[0]
}

/** Milliseconds. */
export interface RotationTimes {
  /** How long a verifier may go on with the key set it has: the JWKS' max-age, and the slowest verifier's own cache. */
  readonly publishAhead: number
  /** The longest life of an access token, with the clocks' leeway. */
  readonly accessLifetime: number
}

/** The slowest cache among common verifiers that refetch: jose keeps a key set for ten minutes. */
export const verifierCache = 600_000

/**
 * When a new key may sign and when the one before it may go: published one cache life before it signs, kept until the
 * last token it signed has expired and one cache life more.
 */
export function planRotation(times: RotationTimes, now: Date): { signsFrom: Date; predecessorGoneAt: Date } {
  const signsFrom = later(now, Math.max(times.publishAhead, verifierCache))
  return { signsFrom, predecessorGoneAt: later(signsFrom, times.accessLifetime + verifierCache) }
}

const thumbprintMembers: Record<string, readonly string[]> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n']
}

/** JWK SHA-256 thumbprint (RFC 7638 §3, RFC 8037 §2): the `kid` of every key. */
export function thumbprint(jwk: Readonly<Record<string, unknown>>): string {
  const members = thumbprintMembers[String(jwk.kty)]
  if (members === undefined) throw new TypeError(`no thumbprint for key type ${String(jwk.kty)}`)
  const required = Object.fromEntries(members.map((member) => [member, jwk[member]]))
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url')
}
