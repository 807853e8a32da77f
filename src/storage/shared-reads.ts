import { Refusal } from '../domain/refusal.js'

/** How rows are read by their keys. */
export interface SharedReads<Row> {
  readonly alone: (key: string) => Promise<Row | undefined>
  readonly together: (keys: readonly string[]) => Promise<ReadonlyMap<string, Row>>
}

interface Waiting<Row> {
  readonly row: Promise<Row | undefined>
  readonly resolve: (row: Row | undefined | Promise<Row | undefined>) => void
  readonly reject: (error: unknown) => void
}

/** Statements that are under way at a time, and keys that one of them reads at most. */
const maxInFlight = 2
const maxKeys = 64

/**
 * Reads as `alone` does. Reads that are asked for while statements are under way share the next one; several of one key are
 * one. Never answers with what was there before it was asked for: a statement that has begun takes up nobody.
 */
export function sharedReads<Row>({ alone, together }: SharedReads<Row>): (key: string) => Promise<Row | undefined> {
  let inFlight = 0
  const waiting = new Map<string, Waiting<Row>>()

  function take(): Array<[string, Waiting<Row>]> {
    const batch = [...waiting].slice(0, maxKeys)
    for (const [key] of batch) waiting.delete(key)
    return batch
  }

  /** The next statement is sent before anybody is told the rows of this one: the database works while they are answered. */
  function ended(): void {
    inFlight--
    next()
  }

  async function run(batch: ReadonlyArray<[string, Waiting<Row>]>): Promise<void> {
    const readAlone = ([key, { resolve }]: [string, Waiting<Row>]) => {
      const read = alone(key)
      resolve(read)
      return read.then(
        () => {},
        () => {}
      )
    }
    if (batch.length === 1) return void readAlone(batch[0]!).then(ended)
    let rows: ReadonlyMap<string, Row>
    try {
      rows = await together(batch.map(([key]) => key))
    } catch (error) {
      // Without its database nothing is read; whatever else it was, it may not be so for one alone.
      if (error instanceof Refusal) for (const [, one] of batch) one.reject(error)
      else await Promise.all(batch.map(readAlone))
      return ended()
    }
    ended()
    for (const [key, one] of batch) one.resolve(rows.get(key))
  }

  function next(): void {
    while (inFlight < maxInFlight && waiting.size > 0) {
      inFlight++
      run(take())
    }
  }

  return (key) => {
    const known = waiting.get(key)
    if (known !== undefined) return known.row
    let settle: Pick<Waiting<Row>, 'resolve' | 'reject'>
    const row = new Promise<Row | undefined>((resolve, reject) => {
      settle = { resolve, reject }
    })
    waiting.set(key, { row, ...settle! })
    // Once all is read that is there to be read: those that came together share a statement from the start.
    if (waiting.size === 1) setImmediate(next)
    return row
  }
}
