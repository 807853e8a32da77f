import { Refusal } from '../domain/refusal.js'

/** How statements for one row each become statements for many. */
export interface GroupCommit<Item, Result> {
  /** Statements that are under way at a time, and items that one of them takes at most. */
  readonly maxInFlight: number
  readonly maxItems: number
  /** Which row an item is about: one statement takes each row once. */
  readonly keyOf: (item: Item) => string
  readonly alone: (item: Item) => Promise<Result>
  /** The results by key, of those that could be done; whoever is missing is done alone. */
  readonly together: (items: readonly Item[]) => Promise<ReadonlyMap<string, Result>>
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result | Promise<Result>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Does as `alone` does. Items that arrive while statements are under way share the next one, and with it the flush to
 * disk that costs the most (group commit); one that comes alone goes alone, and waits for nobody.
 */
export function groupCommit<Item, Result>(by: GroupCommit<Item, Result>): (item: Item) => Promise<Result> {
  let inFlight = 0
  let waiting: Waiting<Item, Result>[] = []

  /** The next ones, each row once: who is about the same row as another goes after it. */
  function take(): Waiting<Item, Result>[] {
    const batch = new Map<string, Waiting<Item, Result>>()
    const left: Waiting<Item, Result>[] = []
    for (const one of waiting) {
      const key = by.keyOf(one.item)
      if (batch.size < by.maxItems && !batch.has(key)) batch.set(key, one)
      else left.push(one)
    }
    waiting = left
    return [...batch.values()]
  }

  /** The next statement is sent before anybody is told the result of this one: the database works while they are answered. */
  function ended(): void {
    inFlight--
    next()
  }

  async function run(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    const alone = ({ item, resolve }: Waiting<Item, Result>) => resolve(by.alone(item))
    const [first] = batch
    if (batch.length === 1) {
      const done = by.alone(first!.item)
      done.then(ended, ended)
      first!.resolve(done)
      return
    }
    let results: ReadonlyMap<string, Result>
    try {
      results = await by.together(batch.map(({ item }) => item))
    } catch (error) {
      ended()
      // Without its database nothing is done; whatever else it was, it is the fault of one of them alone.
      for (const one of batch) error instanceof Refusal ? one.reject(error) : alone(one)
      return
    }
    ended()
    for (const one of batch) {
      const result = results.get(by.keyOf(one.item))
      if (result !== undefined) one.resolve(result)
      else alone(one)
    }
  }

  function next(): void {
    while (inFlight < by.maxInFlight && waiting.length > 0) {
      inFlight++
      run(take())
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      // Once all is read that is there to be read: those that came together share a statement from the start.
      if (waiting.length === 1) setImmediate(next)
    })
}
