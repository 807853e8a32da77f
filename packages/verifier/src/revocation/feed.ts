import { feedMaxLength, feedType } from '../../../../src/domain/revocation-feed.js'
import type { Discovery } from '../discovery.js'
import { Flight } from '../flight.js'
import type { KeySet } from '../key-set.js'
import type { Outgoing } from '../outgoing.js'
import type { HeldToken } from '../principal.js'
import type { RevocationSettings, Settings } from '../settings.js'
import { eventsOf } from './event-stream.js'
import { FeedReader, FeedRefused } from './feed-reader.js'
import { type Life, quietly, type RevocationHealth, type RevocationSource } from './source.js'

type FeedSettings = Extract<RevocationSettings, { interval: number }>

/** Milliseconds without a sign of life after which a stream counts as dead at the latest; the service gives one every 15 s. */
const longestIdle = 45_000
/** Milliseconds after a failure within which no request of somebody's makes another one. */
const pauseAfterFailure = 1_000
/** Documents of one read at most, and how often it may have to begin anew. */
const maxPages = 1_000
const maxResets = 2

/**
 * What has ended, from the service's signed feed: asked for at an interval, or sent as it happens over a stream, with
 * the interval while that is broken. It begins when it is first needed. Where there are no timers between requests
 * (workers), the requests themselves ask when it is due.
 */
export class Feed implements RevocationSource {
  readonly lookAgainAfter = undefined
  readonly #settings: Settings<object>
  readonly #mode: FeedSettings
  readonly #discovery: Discovery
  readonly #outgoing: Outgoing
  readonly #reader: FeedReader
  readonly #listeners = new Set<() => void>()
  readonly #flight: Flight<void>
  #knownAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #isStreaming = false
  #isStarted = false
  #isClosed = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #wake: (() => void) | undefined
  #lastError: string | undefined

  constructor(
    settings: Settings<object>,
    mode: FeedSettings,
    parts: { readonly discovery: Discovery; readonly outgoing: Outgoing; readonly keys: KeySet }
  ) {
    this.#settings = settings
    this.#mode = mode
    this.#discovery = parts.discovery
    this.#outgoing = parts.outgoing
    this.#reader = new FeedReader(settings, parts.keys)
    this.#flight = new Flight(settings.timeout)
  }

  async ready(): Promise<void> {
    try {
      await this.#read()
    } catch (error) {
      if (this.#mode.onStale === 'deny') throw error
    } finally {
      this.#start()
    }
  }

  judge(held: HeldToken): Life | Promise<Life> {
    // What is known to be over is, however long ago it was learnt.
    if (this.#ends(held)) return 'revoked'
    const age = this.#since(this.#knownAt)
    if (age < this.#mode.maxStaleness) {
      const isDue = age >= this.#mode.interval * 2 && this.#mayAsk()
      if (isDue && this.#flight.hasLost) return this.#judgeAnew(held)
      if (isDue) this.#read().catch(() => {})
      if (!this.#isStarted) this.#start()
      return 'alive'
    }
    return this.#judgeAnew(held)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  health(): RevocationHealth {
    const age = this.#since(this.#knownAt)
    return {
      mode: this.#mode.mode,
      ageSeconds: Number.isFinite(age) ? age / 1000 : null,
      isKnown: age < this.#mode.maxStaleness,
      entries: this.#reader.held.size,
      ...(this.#mode.mode === 'push' ? { streaming: this.#isStreaming } : {}),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError })
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#wake?.()
    this.#listeners.clear()
  }

  #ends({ principal }: HeldToken): boolean {
    const { held } = this.#reader
    return held.endsKey(principal.keyId) || held.find(principal) !== undefined
  }

  #since(moment: number): number {
    const age = this.#settings.now() - moment
    return age < 0 ? Number.POSITIVE_INFINITY : age
  }

  #mayAsk(): boolean {
    // A stream that has said nothing for so long is gone, with the request that opened it.
    const isStreaming = this.#isStreaming && this.#since(this.#knownAt) < this.#mode.maxStaleness
    return !this.#isClosed && !isStreaming && this.#since(this.#failedAt) >= pauseAfterFailure
  }

  /** Asks once more, since what is known is old, and waits for the answer no longer than for one request. */
  async #judgeAnew(held: HeldToken): Promise<Life> {
    if (this.#mayAsk()) {
      let timer: ReturnType<typeof setTimeout> | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, this.#settings.timeout)
      })
      await Promise.race([this.#read().catch(() => {}), late])
      clearTimeout(timer)
    }
    this.#start()
    if (this.#ends(held)) return 'revoked'
    if (this.#since(this.#knownAt) < this.#mode.maxStaleness) return 'alive'
    this.#settings.metrics('revocation_stale_use', 1, { answer: this.#mode.onStale })
    return this.#mode.onStale === 'allow' ? 'alive' : 'unknown'
  }

  /** Reads everything that is new, by one reader at a time. */
  async #read(): Promise<void> {
    await this.#flight.run((moved) => this.#readPages(moved))
  }

  async #readPages(moved: () => void): Promise<void> {
    const startedAt = this.#settings.now()
    try {
      const url = await this.#discovery.endpoint('revocations')
      let resets = 0
      for (let page = 0; page < maxPages; page++) {
        moved()
        const answer = await this.#outgoing.ask(`${url}?since=${this.#reader.cursor}`, {
          accept: [`application/${feedType}`],
          maxBytes: feedMaxLength,
          headers: await this.#authorization()
        })
        const state = await this.#reader.accept(answer.kind === 'content' ? answer.text : '')
        if (state === 'complete') return this.#learnt(startedAt)
        if (state === 'reset' && ++resets > maxResets) throw new FeedRefused('it begins anew again and again')
      }
      throw new FeedRefused('it has no end')
    } catch (error) {
      this.#note(error as Error)
      throw error
    }
  }

  async #authorization(): Promise<Record<string, string>> {
    const { feedAuthorization: given } = this.#settings
    if (given === undefined) return {}
    return { authorization: typeof given === 'string' ? given : await given() }
  }

  #learnt(at: number): void {
    this.#knownAt = at
    this.#lastError = undefined
    this.#settings.metrics('revocation_entries', this.#reader.held.size, {})
    for (const listener of [...this.#listeners]) listener()
  }

  #note(error: Error): void {
    this.#failedAt = this.#settings.now()
    this.#lastError = error.message
    if (this.#isClosed) return
    this.#settings.metrics('revocation_failure', 1, { kind: error.name })
    this.#settings.logger.warn({ error: error.message }, 'what has ended could not be read')
  }

  #start(): void {
    if (this.#isStarted || this.#isClosed) return
    this.#isStarted = true
    this.#follow().catch((error) => this.#settings.logger.error({ error }, 'the revocation feed is not followed'))
  }

  /** Streams where it may, and asks at the interval else. Nothing that happens on the way ends it. */
  async #follow(): Promise<void> {
    let failures = 0
    while (!this.#isClosed) {
      if (this.#mode.mode === 'push') {
        try {
          if (this.#flight.isUnderWay) await this.#read().catch(() => {})
          await this.#stream(() => {
            failures = 0
          })
        } catch (error) {
          this.#note(error as Error)
        }
        failures++
        if (this.#isClosed) return
        await this.#read().catch(() => {})
      }
      await this.#sleep(this.#pause(failures))
      if (this.#isClosed) return
      if (this.#mode.mode === 'feed') await this.#read().catch(() => {})
    }
  }

  /** Not all readers at once: after an outage all of them would come back in step. */
  #pause(failures: number): number {
    const { interval, mode } = this.#mode
    const most = mode === 'feed' ? interval : Math.min(interval, 250 * 2 ** Math.min(failures, 10))
    return most * (0.8 + Math.random() * 0.2)
  }

  async #sleep(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#timer = quietly(setTimeout(resolve, milliseconds))
    })
  }

  async #stream(onProgress: () => void): Promise<void> {
    const url = await this.#discovery.endpoint('stream')
    const { body, end } = await this.#outgoing.open(`${url}?since=${this.#reader.cursor}`, {
      accept: ['text/event-stream'],
      maxBytes: Number.POSITIVE_INFINITY,
      headers: await this.#authorization()
    })
    this.#isStreaming = true
    const idle = Math.min(longestIdle, this.#mode.maxStaleness)
    try {
      for await (const text of eventsOf(body, { idle, maxLength: feedMaxLength + 100 })) {
        const at = this.#settings.now()
        if ((await this.#reader.accept(text)) === 'complete') this.#learnt(at)
        onProgress()
      }
    } finally {
      this.#isStreaming = false
      end()
    }
  }
}
