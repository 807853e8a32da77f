import { readPublicJwk } from '../../../src/domain/public-jwk.js'
import { tokenAlgorithms } from '../../../src/domain/token-gate.js'
import type { Discovery } from './discovery.js'
import { Flight } from './flight.js'
import { type Outgoing, OutgoingError, objectOf } from './outgoing.js'
import type { Settings } from './settings.js'
import { type KeyAlgorithm, type VerifySignature, verifierOf } from './signatures.js'

/** A key that has signed tokens, and the one algorithm that it is for. */
export interface VerificationKey {
  readonly kid: string
  readonly algorithm: KeyAlgorithm
  readonly verify: VerifySignature
  /** What it is made of, to know it again. */
  readonly material: string
}

/** The key set cannot be had, so nobody can say whether a token is good. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable'
}

const maxBytes = 256 * 1024
const maxKeys = 100
/** Ids that the set was found not to have. */
const maxAbsent = 1_000

interface Absence {
  readonly until: number
  /** Milliseconds, doubled each time that it was looked for in vain. */
  readonly wait: number
}

/**
 * The issuer's keys by their ids. They are fetched by one request at a time: ahead of their age in the background, and
 * for an id that is not known, but not more often than the cooldown allows. Old ones are good for a bounded time while
 * there are no new ones.
 */
export class KeySet {
  readonly #settings: Settings<object>
  readonly #discovery: Discovery
  readonly #outgoing: Outgoing
  readonly #onGone: () => void
  readonly #flight: Flight<void>
  #keys: ReadonlyMap<string, VerificationKey> = new Map()
  #absent = new Map<string, Absence>()
  #etag: string | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #hasFailed = false
  #fetches = 0
  #lastError: string | undefined

  /** `onGone` is called when a key is not in the set any more. */
  constructor(settings: Settings<object>, discovery: Discovery, outgoing: Outgoing, onGone: () => void) {
    this.#settings = settings
    this.#discovery = discovery
    this.#outgoing = outgoing
    this.#onGone = onGone
    this.#flight = new Flight(settings.timeout)
  }

  /** The key with this id; undefined where the issuer has none. Throws KeysUnavailable where that cannot be known. */
  find(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined> {
    const { maxAge, refreshAhead } = this.#settings.keys
    const key = this.#keys.get(kid)
    const age = this.#since(this.#fetchedAt)
    if (key === undefined) return this.#findUnknown(kid)
    if (this.#settings.jwks !== undefined || age < maxAge - refreshAhead) return key
    if (age >= maxAge || this.#flight.hasLost) return this.#findOld(kid)
    if (this.#mayFetch()) this.#fetch().catch(() => {})
    return key
  }

  /** Fetches the keys where there are none yet. Throws KeysUnavailable. */
  async ready(): Promise<void> {
    if (this.#since(this.#fetchedAt) < this.#settings.keys.maxAge) return
    await this.#fetch().catch((error) => this.#unavailable(error))
  }

  /** Whether this very key is still in the set. */
  has(key: VerificationKey): boolean {
    return this.#keys.get(key.kid) === key
  }

  health() {
    return {
      ageSeconds: this.#settings.jwks === undefined ? this.#since(this.#fetchedAt) / 1000 : 0,
      count: this.#keys.size,
      fetches: this.#fetches,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError })
    }
  }

  /** Milliseconds since a moment. A clock that was put back makes everything old, and nothing new. */
  #since(moment: number): number {
    const age = this.#settings.now() - moment
    return age < 0 ? Number.POSITIVE_INFINITY : age
  }

  #mayFetch(): boolean {
    return this.#flight.isUnderWay || this.#since(this.#triedAt) >= this.#settings.keys.cooldown
  }

  async #findOld(kid: string): Promise<VerificationKey | undefined> {
    if (this.#mayFetch()) {
      try {
        await this.#fetch()
        return this.#keys.get(kid)
      } catch {
        // What is old may still do.
      }
    }
    const { maxAge, staleIfError } = this.#settings.keys
    if (this.#since(this.#fetchedAt) >= maxAge + staleIfError) this.#unavailable()
    this.#settings.metrics('keys_stale_use', 1, {})
    return this.#keys.get(kid)
  }

  async #findUnknown(kid: string): Promise<VerificationKey | undefined> {
    if (this.#settings.jwks !== undefined) {
      await this.#fetch().catch((error) => this.#unavailable(error))
      return this.#keys.get(kid)
    }
    const isCurrent = this.#since(this.#fetchedAt) < this.#settings.keys.maxAge
    const absence = this.#absent.get(kid)
    if (isCurrent && absence !== undefined && this.#settings.now() < absence.until) return undefined
    if (this.#mayFetch()) {
      await this.#fetch().catch((error) => this.#unavailable(error))
    } else if (this.#hasFailed || !isCurrent) this.#unavailable()
    const key = this.#keys.get(kid)
    if (key === undefined) this.#rememberAbsence(kid, absence)
    return key
  }

  /**
   * An id that is asked for again and again, by a token of a key that is gone, say, costs a fetch ever more seldom. A
   * set that is fetched for another reason brings it as soon as it is there.
   */
  #rememberAbsence(kid: string, before: Absence | undefined): void {
    const { cooldown, maxAge } = this.#settings.keys
    const wait = Math.min(before === undefined ? cooldown : before.wait * 2, maxAge)
    this.#absent.delete(kid)
    if (this.#absent.size >= maxAbsent) this.#absent.delete(this.#absent.keys().next().value!)
    this.#absent.set(kid, { until: this.#settings.now() + wait, wait })
  }

  #unavailable(cause?: unknown): never {
    throw new KeysUnavailable(this.#lastError ?? 'not fetched', { cause })
  }

  async #fetch(): Promise<void> {
    await this.#flight.run((moved) => this.#load(moved))
  }

  async #load(moved: () => void): Promise<void> {
    const { jwks, metrics, logger, now } = this.#settings
    const startedAt = now()
    this.#triedAt = startedAt
    try {
      if (jwks !== undefined) {
        if (this.#keys.size === 0) await this.#replace(jwks)
      } else await this.#download(moved)
      this.#fetchedAt = startedAt
      this.#hasFailed = false
      this.#lastError = undefined
      metrics('keys_fetch', 1, { outcome: 'ok' })
    } catch (error) {
      this.#hasFailed = true
      this.#etag = undefined
      this.#lastError = (error as Error).message
      metrics('keys_fetch', 1, { outcome: 'failed' })
      logger.warn({ error: this.#lastError }, 'the key set could not be fetched')
      throw error
    }
  }

  async #download(moved: () => void): Promise<void> {
    const url = this.#settings.jwksUri ?? (await this.#discovery.endpoint('keys'))
    moved()
    this.#fetches++
    const answer = await this.#outgoing.ask(url, {
      accept: ['application/jwk-set+json', 'application/json'],
      maxBytes,
      headers: this.#etag === undefined ? {} : { 'if-none-match': this.#etag }
    })
    if (answer.kind === 'not_modified') return
    await this.#replace(objectOf(answer.text))
    this.#etag = answer.etag
  }

  /** Puts a set in place of the one before. A set without a key that could be used is an accident, not an answer. */
  async #replace({ keys }: { readonly keys?: unknown }): Promise<void> {
    if (!Array.isArray(keys) || keys.length > maxKeys) throw new OutgoingError('a key set that is none')
    const before = this.#keys
    const read = await readKeys(keys, before)
    if (read.size === 0) throw new OutgoingError('a key set without a key that can be used')
    this.#keys = read
    for (const kid of read.keys()) this.#absent.delete(kid)
    const isGone = ([kid, key]: [string, VerificationKey]) => read.get(kid) !== key
    if ([...before].some(isGone)) this.#onGone()
  }
}

const isKeyId = (kid: unknown): kid is string => typeof kid === 'string' && kid.length >= 1 && kid.length <= 256

/**
 * The keys of a set that tokens can be verified with. A key without an `alg` is none of them: the header of a token
 * would choose it (CVE-2026-22817). Neither is one with a private half, nor one of two that have the same id.
 */
async function readKeys(
  keys: readonly unknown[],
  before: ReadonlyMap<string, VerificationKey>
): Promise<Map<string, VerificationKey>> {
  const read = new Map<string, VerificationKey>()
  const twice = new Set<string>()
  for (const value of keys) {
    if (typeof value !== 'object' || value === null) continue
    const { kid, alg, use, key_ops: operations } = value as Record<string, unknown>
    if (!isKeyId(kid) || typeof alg !== 'string' || !tokenAlgorithms.has(alg)) continue
    if (use !== undefined && use !== 'sig') continue
    if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) continue
    const algorithm = alg as KeyAlgorithm
    const jwk = readPublicJwk(value, algorithm)
    if (typeof jwk === 'string') continue
    if (read.has(kid)) twice.add(kid)
    const material = JSON.stringify([algorithm, jwk])
    const known = before.get(kid)
    const key =
      known?.material === material
        ? known
        : await verifierOf(jwk, algorithm).then(
            (verify) => ({ kid, algorithm, verify, material }),
            () => undefined
          )
    if (key !== undefined) read.set(kid, key)
  }
  for (const kid of twice) read.delete(kid)
  return read
}
