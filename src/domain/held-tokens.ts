interface Entry<Held> {
  readonly token: string
  readonly held: Held
}

/** Characters of a signature by which a token is looked up: as many random bits as a hash map needs, and few to hash. */
const tailLength = 32

/**
 * Tokens whose signature and claims were found good, so that the next request with one is not verified anew. A token is
 * looked up by the end of its signature and compared as a whole: two that differ in a letter never share anything. Who uses an
 * entry looks at its times and at revocations again. Bounded: once a generation is full the one before it is forgotten.
 */
export class HeldTokens<Held> {
  readonly #perGeneration: number
  #young = new Map<string, Entry<Held>>()
  #old = new Map<string, Entry<Held>>()

  constructor(size: number) {
    this.#perGeneration = Math.ceil(size / 2)
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(token: string): Held | undefined {
    const tail = token.slice(-tailLength)
    const young = this.#young.get(tail)
    if (young !== undefined && young.token === token) return young.held
    const old = this.#old.get(tail)
    if (old === undefined || old.token !== token) return undefined
    this.#old.delete(tail)
    this.#put(tail, old)
    return old.held
  }

  add(token: string, held: Held): void {
    if (this.#perGeneration > 0) this.#put(token.slice(-tailLength), { token, held })
  }

  delete(token: string): void {
    const tail = token.slice(-tailLength)
    this.#young.delete(tail)
    this.#old.delete(tail)
  }

  /** Forgets everything, where a key is gone that has signed some of it. */
  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #put(tail: string, entry: Entry<Held>): void {
    if (this.#young.size >= this.#perGeneration) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(tail, entry)
  }
}
