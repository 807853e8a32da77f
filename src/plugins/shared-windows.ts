import type { Hits, Total } from '../storage/rate-windows.js'

/** Adds hits to what all replicas count together, and tells the sums. */
export type AddHits = (counted: readonly Hits[], now: Date) => Promise<readonly Total[]>

interface Window {
  /** As far as this replica knows. */
  hits: number
  /** Of these, what the others have not been told. */
  untold: number
  endsAt: number
}

/** Milliseconds after which what was counted is told, and how many keys are told of at a time. */
const tellAfter = 50
/** Milliseconds after which it is tried again where nobody could be told. */
const retryAfter = 1_000
const batch = 1_000
/** Keys in memory. Beyond them the oldest is told and forgotten. */
const maxKeys = 100_000

/**
 * Counts by key in windows that all replicas share. Whoever counts waits for nobody: memory answers, and what was counted is
 * told to the others together, a little later. So several replicas may let through, in that time and together, what each
 * of them would alone; where they cannot talk, each goes on by what it counted.
 */
export class SharedWindows {
  readonly #windows = new Map<string, Window>()
  readonly #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #telling: Promise<void> | undefined

  constructor(
    /** Undefined where this replica counts by itself. */
    private readonly add: AddHits | undefined,
    private readonly clock: () => Date,
    private readonly onError: (error: Error) => void
  ) {}

  /** Counts one; the window's hits with it, and milliseconds until it ends. */
  hit(key: string, length: number): { hits: number; left: number } {
    const now = this.clock().getTime()
    let window = this.#windows.get(key)
    if (window === undefined || window.endsAt <= now) {
      if (window === undefined && this.#windows.size >= maxKeys) this.#forgetOldest()
      window = { hits: 0, untold: 0, endsAt: now + length }
      this.#windows.set(key, window)
    }
    window.hits++
    window.untold++
    if (this.add !== undefined) {
      this.#changed.add(key)
      this.#tellIn(tellAfter)
    }
    return { hits: window.hits, left: window.endsAt - now }
  }

  /** The same without counting. */
  look(key: string): { hits: number; left: number } {
    const window = this.#windows.get(key)
    const left = (window?.endsAt ?? 0) - this.clock().getTime()
    return window === undefined || left <= 0 ? { hits: 0, left: 0 } : { hits: window.hits, left }
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#changed.clear()
  }

  #tellIn(milliseconds: number): void {
    this.#timer ??= setTimeout(() => void this.tell(), milliseconds).unref()
  }

  /** Tells the others what was counted, and learns from them. */
  async tell(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#telling
    this.#telling = this.#tell()
    await this.#telling
  }

  async #tell(): Promise<void> {
    const keys = [...this.#changed].slice(0, batch)
    if (keys.length === 0 || this.add === undefined) return
    const told = new Map<string, { window: Window; untold: number }>()
    for (const key of keys) {
      this.#changed.delete(key)
      const window = this.#windows.get(key)
      if (window === undefined || window.untold === 0) continue
      told.set(key, { window, untold: window.untold })
      window.untold = 0
    }
    const hits = [...told].map(([key, { window, untold }]) => ({
      digest: Buffer.from(key, 'base64'),
      hits: untold,
      endsAt: new Date(window.endsAt)
    }))
    try {
      for (const total of await this.add(hits, this.clock())) {
        const one = told.get(total.digest.toString('base64'))
        if (one === undefined) continue
        one.window.hits = total.hits + one.window.untold
        one.window.endsAt = total.endsAt.getTime()
      }
    } catch (error) {
      for (const [key, { window, untold }] of told) {
        window.untold += untold
        this.#changed.add(key)
      }
      this.onError(error as Error)
      this.#tellIn(retryAfter)
    }
    if (this.#changed.size > 0) this.#tellIn(tellAfter)
  }

  #forgetOldest(): void {
    const now = this.clock().getTime()
    let oldest: string | undefined
    // The first ones are the oldest: most of them are over, and one of a hundred is enough.
    let looked = 0
    for (const [key, window] of this.#windows) {
      oldest ??= key
      if (window.endsAt <= now) this.#windows.delete(key)
      if (++looked === 100) break
    }
    if (this.#windows.size >= maxKeys) this.#windows.delete(oldest!)
  }
}
