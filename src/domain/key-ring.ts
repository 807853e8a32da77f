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
  /** A key that was revoked is gone at once, whatever anybody's clock says. */
  readonly revokedBecause?: string | null
}

/** Whether a key is published and verifies what it signed. */
export function isAlive({ goneAt, revokedBecause }: KeyTimes, now: Date): boolean {
  return (revokedBecause ?? null) === null && (goneAt === null || goneAt > now)
}

const inTurn = (one: KeyTimes, other: KeyTimes) => one.signsFrom.getTime() - other.signsFrom.getTime()

/** The keys that are not gone, in the order of their turns. */
function aliveInTurn<K extends KeyTimes>(keys: readonly K[], now: Date): K[] {
  return keys.filter((key) => isAlive(key, now)).sort(inTurn)
}

/** The state of each key follows from timestamps and the clock alone, so every replica comes to the same answer. */
export function keyStates<K extends KeyTimes>(keys: readonly K[], now: Date): Map<string, KeyState> {
  const signing = signingKey(keys, now)
  return new Map(
    keys.map((key) => {
      if (key === signing) return [key.kid, 'signing']
      if (!isAlive(key, now)) return [key.kid, 'gone']
      return [key.kid, key.signsFrom > now ? 'next' : 'retiring']
    })
  )
}

/**
 * The key whose turn began last. A key that is gone signs no more. Where no turn has begun, the first to come: a
 * replica whose clock is behind the one that made the very first key must sign all the same.
 */
export function signingKey<K extends KeyTimes>(keys: readonly K[], now: Date): K | undefined {
  const alive = aliveInTurn(keys, now)
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

/** When a new key may sign, and when the one before it may go. */
export interface Rotation {
  readonly signsFrom: Date
  readonly predecessorGoneAt: Date
}

const aheadOf = (times: RotationTimes) => Math.max(times.publishAhead, verifierCache)

/** Until the last token that was signed before a turn has expired, and one cache life more. */
const goneAfter = (turn: Date, times: RotationTimes) => later(turn, times.accessLifetime + verifierCache)

/**
 * The next key's turn, where it is made now: published one cache life before it signs, while the one before is kept
 * until the last token it signed has expired and one cache life more.
 */
export function planRotation(times: RotationTimes, now: Date): Rotation {
  const signsFrom = later(now, aheadOf(times))
  return { signsFrom, predecessorGoneAt: goneAfter(signsFrom, times) }
}

/**
 * Whether a key was made by a clock that was far ahead: nobody who followed the rules can have planned a turn that is two
 * intervals away, seen from a clock that is behind by less than one. Such a key must not stop all rotations until then.
 */
function isMisdated(key: KeyTimes, times: RotationTimes, interval: number | null, now: Date): boolean {
  return interval !== null && key.signsFrom > later(now, aheadOf(times) + 2 * interval)
}

/** The key that waits for its turn and will have it; undefined where there is none. */
export function nextKey<K extends KeyTimes>(
  keys: readonly K[],
  times: RotationTimes,
  interval: number | null,
  now: Date
): K | undefined {
  const signing = signingKey(keys, now)
  return aliveInTurn(keys, now).find(
    (key) =>
      key !== signing &&
      key.signsFrom > now &&
      (key.goneAt === null || key.goneAt > key.signsFrom) &&
      !isMisdated(key, times, interval, now)
  )
}

/**
 * The key that is due by the calendar: made so early that it is published before its turn, which comes one interval
 * after the turn before. One key, however many intervals were missed. Null where nothing is due; where nobody is left
 * to sign, a key that signs at once. An interval of null switches the calendar off.
 */
export function planScheduledRotation(
  keys: readonly KeyTimes[],
  times: RotationTimes,
  interval: number | null,
  now: Date
): Rotation | null {
  const signing = signingKey(keys, now)
  if (signing === undefined) return { signsFrom: now, predecessorGoneAt: goneAfter(now, times) }
  if (interval === null || nextKey(keys, times, interval, now) !== undefined) return null
  // An end without a successor, or a turn by a wrong clock: nothing is to be waited for.
  const isDue = signing.goneAt !== null || isMisdated(signing, times, interval, now)
  const turn = isDue ? now : later(signing.signsFrom, interval)
  const soonest = later(now, aheadOf(times))
  if (turn > soonest) return null
  return { signsFrom: soonest, predecessorGoneAt: goneAfter(soonest, times) }
}

/**
 * What the revocation of a key means for the one before it, which takes over its turn: its end follows from the turn
 * of the key after, or is open where there is none. Null where nothing changes: a key that retires has handed over.
 */
export function planRevocation(
  keys: readonly KeyTimes[],
  kid: string,
  times: RotationTimes,
  now: Date
): { readonly kid: string; readonly goneAt: Date | null } | null {
  const alive = aliveInTurn(keys, now)
  const at = alive.findIndex((key) => key.kid === kid)
  const before = alive[at - 1]
  const after = alive[at + 1]
  if (before === undefined || alive[at]!.signsFrom <= now) return null
  return { kid: before.kid, goneAt: after === undefined ? null : goneAfter(after.signsFrom, times) }
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
