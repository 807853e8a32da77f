import { createHash } from 'node:crypto'
import type { Revocation } from './revocation.js'
import { idOf, origin } from './revocation-cursor.js'

/**
 * The cursor of a reader whose last entry is this one. The check tells this entry from another that got the same id after
 * a database lost its last commits: a reader that only counted would pass by what was written under ids that it knows.
 */
export function cursorOf({ id, kind, subject, expiresAt }: Revocation): string {
  const said = JSON.stringify([id, kind, subject, expiresAt.getTime()])
  return `${id}.${createHash('sha256').update(said).digest('base64url').slice(0, 8)}`
}

/** The revocations that still matter, in the order of commits, for readers that come again and ask for what is new. */
export class RevocationLog {
  #entries: Revocation[] = []
  #last: Revocation | undefined
  #cursor: string | undefined = origin

  /** The cursor of the last entry that was appended, also once it is forgotten. */
  get cursor(): string {
    // Not with each entry: of a hundred that are read together one is the last.
    this.#cursor ??= cursorOf(this.#last!)
    return this.#cursor
  }

  /** Ids only go up. */
  append(entry: Revocation): void {
    this.#entries.push(entry)
    this.#last = entry
    this.#cursor = undefined
  }

  /** Whether an entry that was read again is the last one that was appended. */
  endsWith(entry: Revocation): boolean {
    return cursorOf(entry) === this.cursor
  }

  /** Forgets what has expired by itself. */
  prune(now: Date): void {
    this.#entries = this.#entries.filter(({ expiresAt }) => expiresAt > now)
  }

  /** At most `limit` entries after a cursor, or undefined where it is no place in this log. */
  after(cursor: string, limit: number): readonly Revocation[] | undefined {
    if (cursor === this.cursor) return []
    if (cursor === origin) return this.#entries.slice(0, limit)
    const id = idOf(cursor)
    let [low, high] = [0, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#entries[middle]!.id < id) low = middle + 1
      else high = middle
    }
    const found = this.#entries[low]
    if (found === undefined || cursorOf(found) !== cursor) return undefined
    return this.#entries.slice(low + 1, low + 1 + limit)
  }
}
