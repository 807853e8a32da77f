import { judgeStatusList, type StatusList, statusAt, statusListType } from '../../../../src/domain/status-list.js'
import { passGate } from '../../../../src/domain/token-gate.js'
import type { Discovery } from '../discovery.js'
import { Flight } from '../flight.js'
import type { KeySet } from '../key-set.js'
import { type Outgoing, OutgoingError } from '../outgoing.js'
import type { HeldToken } from '../principal.js'
import type { RevocationSettings, Settings } from '../settings.js'
import { signedPayload } from '../tokens.js'
import type { Life, RevocationHealth, RevocationSource } from './source.js'

/** Bytes of a list on the wire: eight bits for each of a million places, none of which can be compressed. */
const maxBytes = 2_000_000
/** Lists that are kept: 128 KiB each of a Keyturn, one for a million sessions. */
const maxLists = 64
const lookAgainAfter = 30_000

interface KeptList {
  readonly list: StatusList
  readonly readAt: number
  /** In milliseconds since 1970. */
  readonly freshUntil: number
}

/** What the OAuth status lists say of a token's session (draft-ietf-oauth-status-list §8.3). */
export class StatusLists implements RevocationSource {
  readonly lookAgainAfter = lookAgainAfter
  readonly #settings: Settings<object>
  readonly #mode: Extract<RevocationSettings, { mode: 'status-list' }>
  readonly #discovery: Discovery
  readonly #outgoing: Outgoing
  readonly #keys: KeySet
  readonly #lists = new Map<string, KeptList>()
  readonly #flights = new Map<string, Flight<KeptList>>()
  readonly #failedAt = new Map<string, number>()
  #lastError: string | undefined

  constructor(
    settings: Settings<object>,
    mode: Extract<RevocationSettings, { mode: 'status-list' }>,
    parts: { readonly discovery: Discovery; readonly outgoing: Outgoing; readonly keys: KeySet }
  ) {
    this.#settings = settings
    this.#mode = mode
    this.#discovery = parts.discovery
    this.#outgoing = parts.outgoing
    this.#keys = parts.keys
  }

  async ready(): Promise<void> {}

  judge({ principal }: HeldToken): Life | Promise<Life> {
    const { status } = principal.claims
    if (status === undefined) {
      // A service that got its token by itself has no session that could end.
      return principal.sessionId === null ? 'alive' : this.#unknown()
    }
    const reference = placeOf(status)
    if (reference === undefined) return this.#unknown()
    const kept = this.#lists.get(reference.uri)
    const now = this.#settings.now()
    if (kept !== undefined && kept.readAt <= now && now < kept.freshUntil) return this.#lifeAt(kept, reference.idx)
    return this.#judgeAnew(reference.uri, reference.idx)
  }

  onChange(): () => void {
    return () => {}
  }

  health(): RevocationHealth {
    const now = this.#settings.now()
    const ages = [...this.#lists.values()].map(({ readAt }) => (now - readAt) / 1000)
    return {
      mode: 'status-list',
      ageSeconds: ages.length === 0 ? null : Math.max(...ages),
      isKnown: this.#lastError === undefined,
      entries: this.#lists.size,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError })
    }
  }

  close(): void {
    this.#lists.clear()
  }

  #lifeAt({ list }: KeptList, idx: number): Life {
    const status = statusAt(list, idx)
    // A place that the list does not have says nothing of the token (§8.3).
    return status === undefined ? this.#unknown() : status === 0 ? 'alive' : 'revoked'
  }

  #unknown(): Life {
    this.#settings.metrics('revocation_stale_use', 1, { answer: this.#mode.onStale })
    return this.#mode.onStale === 'allow' ? 'alive' : 'unknown'
  }

  async #judgeAnew(uri: string, idx: number): Promise<Life> {
    try {
      return this.#lifeAt(await this.#read(uri), idx)
    } catch {
      const kept = this.#lists.get(uri)
      const now = this.#settings.now()
      if (kept !== undefined && kept.readAt <= now && now < kept.freshUntil + this.#mode.maxStaleness) {
        return this.#lifeAt(kept, idx)
      }
      return this.#unknown()
    }
  }

  async #read(uri: string): Promise<KeptList> {
    const sinceFailure = this.#settings.now() - (this.#failedAt.get(uri) ?? Number.NEGATIVE_INFINITY)
    if (sinceFailure >= 0 && sinceFailure < 1_000) throw new OutgoingError(this.#lastError ?? 'it has just failed')
    let flight = this.#flights.get(uri)
    if (flight === undefined) {
      flight = new Flight(this.#settings.timeout)
      this.#flights.set(uri, flight)
    }
    return await flight.run(() => this.#fetch(uri).finally(() => this.#flights.delete(uri)))
  }

  async #fetch(uri: string): Promise<KeptList> {
    const readAt = this.#settings.now()
    try {
      // The address is in a token that the issuer signed, and must be the issuer's own for all that.
      const answer = await this.#outgoing.ask(this.#discovery.reached(uri), {
        accept: [`application/${statusListType}`],
        maxBytes
      })
      const kept = await this.#open(uri, answer.kind === 'content' ? answer.text : '', readAt)
      this.#lists.delete(uri)
      if (this.#lists.size >= maxLists) this.#lists.delete(this.#lists.keys().next().value!)
      this.#lists.set(uri, kept)
      this.#failedAt.delete(uri)
      this.#lastError = undefined
      return kept
    } catch (error) {
      if (this.#failedAt.size >= maxLists) this.#failedAt.clear()
      this.#failedAt.set(uri, this.#settings.now())
      this.#lastError = (error as Error).message
      this.#settings.logger.warn({ error: this.#lastError }, 'a status list could not be read')
      throw error
    }
  }

  async #open(uri: string, text: string, readAt: number): Promise<KeptList> {
    const gate = passGate(text, statusListType, maxBytes)
    if (!gate.ok) throw new OutgoingError(gate.because)
    const signed = await signedPayload(this.#keys, text, gate.header)
    if (!signed.ok) throw new OutgoingError(signed.because)
    const { leeway, now } = this.#settings
    const verdict = await judgeStatusList(signed.payload, uri, leeway, new Date(now()))
    if (!verdict.ok) throw new OutgoingError(verdict.because)
    return { list: verdict.list, readAt, freshUntil: verdict.freshUntil.getTime() }
  }
}

function placeOf(status: unknown): { readonly uri: string; readonly idx: number } | undefined {
  const { status_list: list } = (typeof status === 'object' && status !== null ? status : {}) as {
    status_list?: unknown
  }
  const { uri, idx } = (typeof list === 'object' && list !== null ? list : {}) as Record<string, unknown>
  return typeof uri === 'string' && typeof idx === 'number' ? { uri, idx } : undefined
}
