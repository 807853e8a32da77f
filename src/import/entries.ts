import type { ImportEntry, ImportedUser } from '../domain/imported-user.js'
import { type Numbered, SourceError, WrongEntry } from './files.js'

/** What of a user most systems do not tell. */
export const untold = {
  username: null,
  roles: [],
  permissions: [],
  token: null,
  notes: []
} as const

/**
 * Reads each record as a user; a text instead of a user says why it is left out. A file that breaks off in the middle is
 * one more wrong entry: what came before it is kept.
 */
export async function* readEntries<T>(
  records: AsyncIterable<Numbered<T>>,
  read: (record: T) => ImportedUser | string
): AsyncGenerator<ImportEntry> {
  let last = 0
  try {
    for await (const record of records) {
      last = record.at
      if ('because' in record) yield { kind: 'wrong', at: last, because: record.because }
      else yield readEntry(last, () => read(record.value))
    }
  } catch (error) {
    if (last === 0 || !(error instanceof SourceError)) throw error
    yield { kind: 'wrong', at: last + 1, because: error.message }
  }
}

export function readEntry(at: number, read: () => ImportedUser | string): ImportEntry {
  try {
    const user = read()
    return typeof user === 'string' ? { kind: 'skipped', at, because: user } : { kind: 'user', at, user }
  } catch (error) {
    if (error instanceof WrongEntry) return { kind: 'wrong', at, because: error.message }
    throw error
  }
}
