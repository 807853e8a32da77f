import { type Revocation, type RevocationKind, revocationKinds } from './revocation.js'
import { idOf, isCursor, origin } from './revocation-cursor.js'
import { type GateVerdict, passGate } from './token-gate.js'

/** The feed's documents are of a type of their own, so that neither passes for another (RFC 8725 §3.11). */
export const feedType = 'keyturn-revocations+jwt'
/** Entries of one document at most; what is left follows in the next. */
export const feedMaxEntries = 5_000
/** Characters of one document at most: more than the longest subjects make of that many entries. */
export const feedMaxLength = 2_000_000
/** Seconds of life beyond which a document is no honest one. */
const longestLifetime = 600

/** An entry on the wire. Why something ended is for nobody but the service. */
interface FeedEntry {
  readonly id: number
  readonly kind: RevocationKind
  readonly sub: string
  /** Seconds; when the last thing that it ends has expired by itself. */
  readonly exp: number
}

export interface FeedDocument {
  readonly iss: string
  readonly iat: number
  readonly exp: number
  /** The cursor that was asked for. */
  readonly since: string
  /** What to ask for next. */
  readonly cursor: string
  /** False where more entries follow at once. */
  readonly complete: boolean
  /** There where the cursor means nothing here: forget it, and begin at the origin. */
  readonly reset?: true
  readonly entries: readonly FeedEntry[]
}

export type FeedReason =
  | 'malformed'
  | 'too_many_entries'
  | 'issuer_wrong'
  | 'expired'
  | 'not_yet_valid'
  | 'life_too_long'
  | 'older_than_the_last'
  | 'since_wrong'
  | 'order_wrong'

export type FeedVerdict =
  /** Add the entries, and go on from the cursor. */
  | {
      readonly kind: 'add'
      readonly entries: readonly Revocation[]
      readonly cursor: string
      readonly complete: boolean
      /** Seconds; what to expect the next document to be no older than. */
      readonly issuedAt: number
      /** Entries of kinds that this reader does not know, left out. */
      readonly unknown: number
    }
  /** Keep what is known, and read everything anew from the origin; replace it once that is complete. */
  | { readonly kind: 'reset'; readonly issuedAt: number }
  | { readonly kind: 'refuse'; readonly because: FeedReason }

export interface FeedExpectation {
  readonly issuer: string
  /** The cursor that was asked for. */
  readonly since: string
  /** `issuedAt` of the last document that was accepted; 0 at first. */
  readonly issuedAt: number
  /** Seconds of leeway for clocks that disagree. */
  readonly leeway: number
}

/** Lets through what has the shape of a document of the feed, before a signature is looked at. */
export function passFeedGate(text: string): GateVerdict {
  return passGate(text, feedType, feedMaxLength)
}

const isSecond = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function isEntry(value: unknown): value is FeedEntry {
  if (typeof value !== 'object' || value === null) return false
  const { id, kind, sub, exp } = value as Record<string, unknown>
  return (
    isSecond(id) &&
    typeof kind === 'string' &&
    typeof sub === 'string' &&
    sub.length >= 1 &&
    sub.length <= 64 &&
    isSecond(exp)
  )
}

function readShape(payload: unknown): FeedDocument | FeedReason {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return 'malformed'
  const { iss, iat, exp, since, cursor, complete, reset, entries } = payload as Record<string, unknown>
  if (Array.isArray(entries) && entries.length > feedMaxEntries) return 'too_many_entries'
  const holds =
    typeof iss === 'string' &&
    isSecond(iat) &&
    isSecond(exp) &&
    isCursor(since) &&
    isCursor(cursor) &&
    typeof complete === 'boolean' &&
    (reset === undefined || reset === true) &&
    Array.isArray(entries) &&
    entries.every(isEntry)
  return holds ? (payload as FeedDocument) : 'malformed'
}

/** Whether the entries follow the cursor that was asked for and lead to the one that is given, one after the other. */
function isInOrder({ since, cursor, complete, entries }: FeedDocument): boolean {
  let before = idOf(since)
  for (const { id } of entries) {
    if (id <= before) return false
    before = id
  }
  // An incomplete page without progress would be asked for for ever.
  return complete ? idOf(cursor) >= before : idOf(cursor) === before && entries.length > 0
}

/**
 * Judges a document of the feed whose type and signature were right. A reader accepts nothing but the answer to what it
 * asked: a document of another cursor, of before the last one, or with a hole in it, could hide an entry.
 */
export function judgeFeed(payload: unknown, expected: FeedExpectation, now: Date): FeedVerdict {
  const refuse = (because: FeedReason): FeedVerdict => ({ kind: 'refuse', because })
  const document = readShape(payload)
  if (typeof document === 'string') return refuse(document)
  if (document.iss !== expected.issuer) return refuse('issuer_wrong')
  const at = now.getTime() / 1000
  if (document.exp - document.iat > longestLifetime || document.exp <= document.iat) return refuse('life_too_long')
  if (document.exp + expected.leeway <= at) return refuse('expired')
  if (document.iat - expected.leeway > at) return refuse('not_yet_valid')
  // Replicas sign by their own clocks, so the next document may seem a little older without being a replay.
  if (document.iat + expected.leeway < expected.issuedAt) return refuse('older_than_the_last')
  if (document.since !== expected.since) return refuse('since_wrong')
  if (document.reset) {
    if (document.entries.length > 0 || document.cursor !== origin) return refuse('malformed')
    // Nothing comes before the origin: a reader that obeyed would ask in circles.
    return document.since === origin ? refuse('order_wrong') : { kind: 'reset', issuedAt: document.iat }
  }
  if (!isInOrder(document)) return refuse('order_wrong')
  const known = document.entries.filter(({ kind }) => revocationKinds.includes(kind))
  // Many expire in the same second: one date for all of them is half of what they would take in memory.
  const dates = new Map<number, Date>()
  const dateOf = (second: number) => {
    const date = dates.get(second) ?? new Date(second * 1000)
    dates.set(second, date)
    return date
  }
  return {
    kind: 'add',
    entries: known.map(({ id, kind, sub, exp }) => ({
      id,
      kind,
      subject: sub,
      because: 'feed',
      expiresAt: dateOf(exp)
    })),
    cursor: document.cursor,
    complete: document.complete,
    issuedAt: Math.max(document.iat, expected.issuedAt),
    unknown: document.entries.length - known.length
  }
}
