import { randomFillSync } from 'node:crypto'

const poolLength = 4096

/**
 * Random bytes for ids, from a pool: to ask for sixteen takes as long as to ask for all of it, and a sign-in asks twice. No
 * byte is given out twice. For ids alone: what is to be given out lies in memory before it is.
 */
export function makeIdEntropy(): (bytes: number) => Buffer {
  const pool = Buffer.alloc(poolLength)
  let next = poolLength
  return (bytes) => {
    if (bytes > poolLength) throw new Error(`an id of ${bytes} bytes`)
    if (next + bytes > poolLength) {
      randomFillSync(pool)
      next = 0
    }
    next += bytes
    return Buffer.from(pool.subarray(next - bytes, next))
  }
}

/** Of this process. */
export const idEntropy = makeIdEntropy()
