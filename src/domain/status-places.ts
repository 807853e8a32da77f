import { createHmac } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { type EncodedStatusList, listSize } from './status-list.js'

const halfBits = Math.log2(listSize) / 2
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

/** A list of one bit for each place, with those that are given set: the first place is the lowest bit (§4.1). */
export function encodeStatusList(places: Iterable<number>, size = listSize): EncodedStatusList {
  const bytes = new Uint8Array(size / 8)
  for (const idx of places) bytes[idx >> 3]! |= 1 << (idx & 7)
  return { bits: 1, lst: deflateSync(bytes, { level: 9 }).toString('base64url') }
}
