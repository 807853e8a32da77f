import { Refusal } from '../domain/refusal.js'
import { type Rotation, rotate, rotateMany } from './rotations.js'
import type { LiveSession } from './sessions.js'
import type { Db } from './tables.js'

/** Statements that are under way at a time, and rows that one of them rotates at most. */
const maxInFlight = 2
const maxRows = 64

interface Waiting {
  readonly rotation: Rotation
  readonly resolve: (rotated: LiveSession | undefined | Promise<LiveSession | undefined>) => void
  readonly reject: (error: unknown) => void
}

/**
 * Rotates as `rotations.rotate` does. Rotations that arrive while statements are under way share the next one, and with
 * it the flush to disk that costs the most (group commit); one that comes alone goes alone, and waits for nobody.
 */
export function makeRotator(db: Db): (rotation: Rotation) => Promise<LiveSession | undefined> {
  let inFlight = 0
  let waiting: Waiting[] = []

  /** The next ones, each session once: who presents a session's token beside another goes after it. */
  function take(): Waiting[] {
    const batch = new Map<string, Waiting>()
    const left: Waiting[] = []
    for (const one of waiting) {
      const { sessionId } = one.rotation
      if (batch.size < maxRows && !batch.has(sessionId)) batch.set(sessionId, one)
      else left.push(one)
    }
    waiting = left
    return [...batch.values()]
  }

  async function run(batch: readonly Waiting[]): Promise<void> {
    const alone = ({ rotation, resolve }: Waiting) => resolve(rotate(db, rotation))
    const [first] = batch
    if (batch.length === 1) {
      const rotating = rotate(db, first!.rotation)
      first!.resolve(rotating)
      await rotating.catch(() => {})
      return
    }
    let rotated: Map<string, LiveSession>
    try {
      const sessions = await rotateMany(
        db,
        batch.map(({ rotation }) => rotation)
      )
      rotated = new Map(sessions.map((one) => [one.session.id, one]))
    } catch (error) {
      // Without its database nobody rotates; whatever else it was, it is the fault of one of them alone.
      for (const one of batch) error instanceof Refusal ? one.reject(error) : alone(one)
      return
    }
    for (const one of batch) {
      const found = rotated.get(one.rotation.sessionId)
      if (found !== undefined) one.resolve(found)
      else alone(one)
    }
  }

  function next(): void {
    while (inFlight < maxInFlight && waiting.length > 0) {
      inFlight++
      run(take()).finally(() => {
        inFlight--
        next()
      })
    }
  }

  return (rotation) =>
    new Promise((resolve, reject) => {
      waiting.push({ rotation, resolve, reject })
      // Once all is read that is there to be read: those that came together share a statement from the start.
      if (waiting.length === 1) setImmediate(next)
    })
}
