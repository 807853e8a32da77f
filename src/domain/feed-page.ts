import type { Revocation } from './revocation.js'
import { origin } from './revocation-cursor.js'
import { type FeedDocument, feedMaxEntries } from './revocation-feed.js'
import { cursorOf } from './revocation-log.js'

/** Seconds for which a document may be taken for the present state. */
const feedLifetime = 60

export interface FeedContent {
  readonly since: string
  /** The entries after it, or undefined where it is no cursor of this log. */
  readonly entries: readonly Revocation[] | undefined
  /** The last entry that there is. */
  readonly cursor: string
}

/** One page of the feed. A reset carries no entries: the reader begins anew, with the same snapshot as all others. */
export function composeFeed({ since, entries, cursor }: FeedContent, issuer: string, now: Date): FeedDocument {
  const iat = Math.floor(now.getTime() / 1000)
  const head = { iss: issuer, iat, exp: iat + feedLifetime, since }
  if (entries === undefined) return { ...head, cursor: origin, complete: false, reset: true, entries: [] }
  const last = entries.at(-1)
  const complete = entries.length < feedMaxEntries
  return {
    ...head,
    // The last entry of all may have expired by itself; whoever has read everything is there nevertheless.
    cursor: complete || last === undefined ? cursor : cursorOf(last),
    complete,
    entries: entries.map(({ id, kind, subject, expiresAt }) => ({
      id,
      kind,
      sub: subject,
      exp: Math.ceil(expiresAt.getTime() / 1000)
    }))
  }
}
