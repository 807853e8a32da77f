import { RevocationSet } from '../../../../src/domain/revocation.js'
import { origin } from '../../../../src/domain/revocation-cursor.js'
import { judgeFeed, passFeedGate } from '../../../../src/domain/revocation-feed.js'
import type { KeySet } from '../key-set.js'
import type { Settings } from '../settings.js'
import { signedPayload } from '../tokens.js'

/** A document of the feed that is not accepted; what was known before stays. */
export class FeedRefused extends Error {
  override readonly name = 'FeedRefused'
}

/** More than a service with a hundred million accounts has, and about 170 MB: an issuer that never ends must. */
const maxEntries = 1_000_000
/** Milliseconds between two looks for what has expired: each goes over everything. */
const pruneInterval = 30_000

/**
 * Follows the feed by the rules of docs/revocation.md. What is read from the origin is in force once it is whole, and
 * what was known before is until then.
 */
export class FeedReader {
  readonly #settings: Settings<object>
  readonly #keys: KeySet
  #held = new RevocationSet()
  #building: RevocationSet | undefined = new RevocationSet()
  #cursor = origin
  #issuedAt = 0
  #prunedAt = 0

  constructor(settings: Settings<object>, keys: KeySet) {
    this.#settings = settings
    this.#keys = keys
  }

  /** What has ended, as far as it is known. */
  get held(): RevocationSet {
    return this.#held
  }

  /** What to ask for next. */
  get cursor(): string {
    return this.#cursor
  }

  /**
   * Takes one document, the answer to the cursor. Throws FeedRefused, and what the keys throw. The verdict says whether
   * all is known now, more follows at once, or everything is to be read anew.
   */
  async accept(text: string): Promise<'complete' | 'more' | 'reset'> {
    const since = this.#cursor
    const payload = await this.#open(text)
    const { issuer, leeway, now, logger } = this.#settings
    const at = new Date(now())
    const verdict = judgeFeed(payload, { issuer, since, issuedAt: this.#issuedAt, leeway }, at)
    if (verdict.kind === 'refuse') throw new FeedRefused(verdict.because)
    if (since !== this.#cursor) throw new FeedRefused('two readers at once')
    this.#issuedAt = verdict.issuedAt
    if (verdict.kind === 'reset') {
      this.#cursor = origin
      this.#building = new RevocationSet()
      return 'reset'
    }
    if (verdict.unknown > 0) logger.warn({ entries: verdict.unknown }, 'the feed has entries of unknown kinds')
    const set = this.#building ?? this.#held
    if (set.size + verdict.entries.length > maxEntries) throw new FeedRefused('too many entries')
    for (const entry of verdict.entries) set.add(entry)
    this.#cursor = verdict.cursor
    if (!verdict.complete) return 'more'
    this.#held = set
    this.#building = undefined
    if (Math.abs(at.getTime() - this.#prunedAt) >= pruneInterval) {
      this.#prunedAt = at.getTime()
      set.prune(at)
    }
    return 'complete'
  }

  async #open(text: string): Promise<unknown> {
    const gate = passFeedGate(text)
    if (!gate.ok) throw new FeedRefused(gate.because)
    const { header } = gate
    // Whoever has a key that was revoked could hide all that comes after.
    if (this.#held.endsKey(header.kid)) throw new FeedRefused('signed by a key that was revoked')
    const signed = await signedPayload(this.#keys, text, header)
    if (!signed.ok) throw new FeedRefused(signed.because)
    return signed.payload
  }
}
