/** Milliseconds beyond the time of one request after which work that has not moved counts as lost. */
const grace = 1_000

const lost = Symbol('lost')

/**
 * Work of which there is one at a time: whoever asks meanwhile gets the same answer. In workers it belongs to the request
 * that began it, and where that ends it never settles, not even with an error. So work that does not move for longer than
 * a request may take is lost, and whoever waits for it, or comes next, begins it anew.
 */
export class Flight<T> {
  /** Milliseconds. */
  readonly #patience: number
  #work: Promise<T> | undefined
  /** By the clock that nobody sets. */
  #movedAt = 0
  #hasLost = false

  /** `timeout`: milliseconds that one request of the work may take. */
  constructor(timeout: number) {
    this.#patience = timeout + grace
  }

  get isUnderWay(): boolean {
    return this.#work !== undefined && this.#left() > 0
  }

  /** Whether work was ever lost: then nothing goes on behind an answer here, and what is due has to be waited for. */
  get hasLost(): boolean {
    return this.#hasLost || (this.#work !== undefined && this.#left() <= 0)
  }

  /** The answer of the work that is under way, which begins where there is none. `moved` tells that it goes on. */
  async run(begin: (moved: () => void) => Promise<T>): Promise<T> {
    for (;;) {
      const work = this.#work
      if (work === undefined || !this.isUnderWay) return await this.#begin(begin)
      const answer = await this.#waitFor(work)
      if (answer !== lost) return answer
    }
  }

  #left(): number {
    return this.#movedAt + this.#patience - performance.now()
  }

  async #begin(begin: (moved: () => void) => Promise<T>): Promise<T> {
    if (this.#work !== undefined) this.#hasLost = true
    const moved = () => {
      this.#movedAt = performance.now()
    }
    moved()
    const work: Promise<T> = begin(moved).finally(() => {
      if (this.#work === work) this.#work = undefined
    })
    this.#work = work
    return await work
  }

  /** With a timer of whoever waits, which is there as long as they are. */
  async #waitFor(work: Promise<T>): Promise<T | typeof lost> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<typeof lost>((resolve) => {
      timer = setTimeout(() => resolve(lost), Math.max(this.#left(), 0) + 1)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }
}
