import { bytesOfBase64url } from './base64url.js'

/**
 * OAuth Token Status List (draft-ietf-oauth-status-list). A session has one place in one list, for all its access tokens.
 */

export const statusListType = 'statuslist+jwt'

/**
 * Places of one list, as a power of two: 2^20 bits are 128 KiB in memory and a few KB on the wire while few of them are
 * set, and who fetches the list of one token is not told from who asks for any other of a million.
 */
export const listSize = 2 ** 20

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
export async function decodeStatusList(value: unknown, cap = maxBytes): Promise<StatusList | undefined> {
  if (typeof value !== 'object' || value === null) return undefined
  const { bits, lst } = value as Record<string, unknown>
  if (bits !== 1 && bits !== 2 && bits !== 4 && bits !== 8) return undefined
  if (typeof lst !== 'string' || !/^[A-Za-z0-9_-]+$/.test(lst)) return undefined
  const bytes = await inflate(lst, cap).catch(() => undefined)
  return bytes === undefined ? undefined : { bits, bytes }
}

/** Chunk by chunk, so that no more than the cap and one of them is ever held; undefined where it is more. */
async function inflate(lst: string, cap: number): Promise<Uint8Array | undefined> {
  const compressed = new Blob([bytesOfBase64url(lst)])
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of compressed.stream().pipeThrough(new DecompressionStream('deflate'))) {
    length += chunk.length
    if (length > cap) return undefined
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
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
export async function judgeStatusList(
  payload: unknown,
  uri: string,
  leeway: number,
  now: Date
): Promise<StatusListVerdict> {
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
  const list = await decodeStatusList(encoded)
  if (list === undefined) return { ok: false, because: 'list_unreadable' }
  const keep = Math.min(ttl ?? longestTtl, longestTtl, (exp ?? Number.POSITIVE_INFINITY) - at)
  return { ok: true, list, freshUntil: new Date(now.getTime() + keep * 1000) }
}
