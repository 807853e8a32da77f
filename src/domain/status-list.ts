import { createHmac } from 'node:crypto'
import { deflateSync, inflateSync } from 'node:zlib'

/**
 * OAuth Token Status List (draft-ietf-oauth-status-list). A session has one place in one list, for all its access tokens.
 */

export const statusListType = 'statuslist+jwt'

/**
 * Places of one list, as a power of two: 2^20 bits are 128 KiB in memory and a few KB on the wire while few of them are
 * set, and who fetches the list of one token is not told from who asks for any other of a million.
 */
const sizeBits = 20
export const listSize = 2 ** sizeBits
const halfBits = sizeBits / 2
const halfSize = 2 ** halfBits
const halfMask = halfSize - 1
/** As many as FF1 has (NIST SP 800-38G): four would do for a large domain, and this one is small. */
const rounds = 10

/** Where a session is: the number of its list, and its place there. */
export interface StatusPlace {
  readonly list: number
  readonly idx: number
}

/** The round functions of one list: each half that can be there, with what is added to the other half. */
function roundTables(key: Buffer, list: number): Uint16Array[] {
  return Array.from({ length: rounds }, (_, round) => {
    const table = new Uint16Array(halfSize)
    const perBlock = 16
    for (let at = 0; at < halfSize; at += perBlock) {
      const block = createHmac('sha256', key).update(`${list}.${round}.${at}`).digest()
      for (let n = 0; n < perBlock; n++) table[at + n] = block.readUInt16BE(n * 2) & halfMask
    }
    return table
  })
}

/**
 * Places of sessions by their numbers, which count up. Within a list they are shuffled by a Feistel network: every number
 * has a place of its own without a table of what is taken, and no place tells how many signed in before.
 */
export class StatusPlaces {
  readonly #key: Buffer
  readonly #tables = new Map<number, Uint16Array[]>()

  /** A secret of 32 bytes; with another one all places change. */
  constructor(key: Buffer) {
    this.#key = key
  }

  /** The place of the session with this number, which is a safe integer and not negative. */
  of(index: number): StatusPlace {
    const list = Math.floor(index / listSize)
    let tables = this.#tables.get(list)
    if (tables === undefined) {
      // Lists that are in use are few; older ones are only named by sessions that are about to end.
      if (this.#tables.size >= 500) this.#tables.clear()
      tables = roundTables(this.#key, list)
      this.#tables.set(list, tables)
    }
    const within = index % listSize
    let [left, right] = [within >> halfBits, within & halfMask]
    for (const table of tables) [left, right] = [right, left ^ table[right]!]
    return { list, idx: (left << halfBits) | right }
  }
}

/** The claim of an access token that names its place (§6.1). */
export interface StatusReference {
  readonly status_list: { readonly idx: number; readonly uri: string }
}

/** A list on the wire (§4.2). */
export interface EncodedStatusList {
  readonly bits: 1 | 2 | 4 | 8
  /** base64url of the ZLIB format. */
  readonly lst: string
}

export interface StatusListClaims {
  /** The list's own address, letter by letter that of the tokens. */
  readonly sub: string
  readonly iss: string
  readonly iat: number
  readonly exp: number
  /** Seconds for which it may be kept. */
  readonly ttl: number
  readonly status_list: EncodedStatusList
}

/** A list of one bit for each place, with those that are given set: the first place is the lowest bit (§4.1). */
export function encodeStatusList(places: Iterable<number>, size = listSize): EncodedStatusList {
  const bytes = new Uint8Array(size / 8)
  for (const idx of places) bytes[idx >> 3]! |= 1 << (idx & 7)
  return { bits: 1, lst: deflateSync(bytes, { level: 9 }).toString('base64url') }
}

/** A list that was read. */
export interface StatusList {
  readonly bits: number
  readonly bytes: Uint8Array
}

/** Bytes that a list may have when it is inflated: eight bits for each of 2^20 places. */
const maxBytes = listSize

/**
 * Reads a list; undefined where it is none. It is inflated with a cap: a few KB could else become gigabytes.
 */
export function decodeStatusList(value: unknown, cap = maxBytes): StatusList | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { bits, lst } = value as Record<string, unknown>
  if (bits !== 1 && bits !== 2 && bits !== 4 && bits !== 8) return undefined
  if (typeof lst !== 'string' || !/^[A-Za-z0-9_-]+$/.test(lst)) return undefined
  try {
    return { bits, bytes: inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: cap }) }
  } catch {
    return undefined
  }
}

/** What a list says of a place (§7.1: 0 valid, 1 invalid, 2 suspended); undefined where it has no such place (§8.3). */
export function statusAt({ bits, bytes }: StatusList, idx: number): number | undefined {
  if (!Number.isSafeInteger(idx) || idx < 0 || idx >= (bytes.length * 8) / bits) return undefined
  const bit = idx * bits
  return (bytes[bit >> 3]! >> (bit & 7)) & (2 ** bits - 1)
}

export type StatusListReason = 'malformed' | 'subject_wrong' | 'expired' | 'not_yet_valid' | 'list_unreadable'

export type StatusListVerdict =
  | { readonly ok: true; readonly list: StatusList /** Until when it may be used. */; readonly freshUntil: Date }
  | { readonly ok: false; readonly because: StatusListReason }

/** Seconds that a list may be kept at most, whatever it says of itself. */
const longestTtl = 86_400

/** Judges a list token whose type and signature were right (§8.3). */
export function judgeStatusList(payload: unknown, uri: string, leeway: number, now: Date): StatusListVerdict {
  const isSecond = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0
  if (typeof payload !== 'object' || payload === null) return { ok: false, because: 'malformed' }
  const { sub, iat, exp, ttl, status_list: encoded } = payload as Record<string, unknown>
  if (!isSecond(iat) || !(exp === undefined || isSecond(exp)) || !(ttl === undefined || isSecond(ttl))) {
    return { ok: false, because: 'malformed' }
  }
  if (sub !== uri) return { ok: false, because: 'subject_wrong' }
  const at = now.getTime() / 1000
  if (exp !== undefined && exp + leeway <= at) return { ok: false, because: 'expired' }
  if (iat - leeway > at) return { ok: false, because: 'not_yet_valid' }
  const list = decodeStatusList(encoded)
  if (list === undefined) return { ok: false, because: 'list_unreadable' }
  const keep = Math.min(ttl ?? longestTtl, longestTtl, (exp ?? Number.POSITIVE_INFINITY) - at)
  return { ok: true, list, freshUntil: new Date(now.getTime() + keep * 1000) }
}
