import type { HeldToken } from './principal.js'
import { quietly, type RevocationSource } from './revocation/source.js'
import type { Settings } from './settings.js'

/** Timers take 31 bits. */
const longestTimer = 2 ** 31 - 1

/** Waits for the ends of tokens, for connections that outlive their request. */
export class Endings {
  readonly #settings: Settings<object>
  readonly #source: RevocationSource
  readonly #waiting = new Set<(error: Error) => void>()

  constructor(settings: Settings<object>, source: RevocationSource) {
    this.#settings = settings
    this.#source = source
  }

  /** Resolves when the token is over. Rejects with the signal's reason, and when the verifier is closed. */
  of(held: HeldToken, signal?: AbortSignal): Promise<'expired' | 'revoked'> {
    const { now, leeway } = this.#settings
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      let timer: ReturnType<typeof setTimeout> | undefined
      let again: ReturnType<typeof setInterval> | undefined
      const forget = () => {
        clearTimeout(timer)
        clearInterval(again)
        stop()
        signal?.removeEventListener('abort', abort)
        this.#waiting.delete(fail)
      }
      const end = (how: 'expired' | 'revoked') => {
        forget()
        resolve(how)
      }
      const fail = (error: Error) => {
        forget()
        reject(error)
      }
      const abort = () => fail(signal!.reason)
      const look = async () => {
        // What cannot be found out now may be later; the end of its time comes in any case.
        const life = await Promise.resolve(this.#source.judge(held)).catch(() => 'unknown')
        if (life === 'revoked') end('revoked')
      }
      const arm = () => {
        const left = (held.exp + leeway) * 1000 - now()
        if (left <= 0) return end('expired')
        // Whoever waits keeps the process alive until then.
        timer = setTimeout(arm, Math.min(left, longestTimer))
      }
      const stop = this.#source.onChange(look)
      const { lookAgainAfter } = this.#source
      if (lookAgainAfter !== undefined) again = quietly(setInterval(look, lookAgainAfter))
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.add(fail)
      arm()
      void look()
    })
  }

  close(): void {
    for (const fail of [...this.#waiting]) fail(new Error('the verifier is closed'))
  }
}
