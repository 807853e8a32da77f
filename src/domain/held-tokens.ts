/**
 * Tokens whose signature and claims were found good, so that the next request with one is not verified anew. The whole
 * token is the key: two that differ in a letter never share anything. Who uses an entry looks at its times and at
 * revocations again. Bounded: once a generation is full the one before it is forgotten.
 */
export class HeldTokens<Held> {
  readonly #perGeneration: number
  #young = new Map<string, Held>()
  #old = new Map<string, Held>()

  constructor(size: number) {
    this.#perGeneration = Math.ceil(size / 2)
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(token: string): Held | undefined {
    const young = this.#young.get(token)
    if (young !== undefined) return young
    const old = this.#old.get(token)
    if (old === undefined) return undefined
    this.#old.delete(token)
    this.#put(token, old)
    return old
  }

  add(token: string, held: Held): void {
    if (this.#perGeneration > 0) this.#put(token, held)
  }

  delete(token: string): void {
    this.#young.delete(token)
    this.#old.delete(token)
  }

  /** Forgets everything, where a key is gone that has signed some of it. */
  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }

  #put(token: string, held: Held): void {
    if (this.#young.size >= this.#perGeneration) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(token, held)
  }
}
