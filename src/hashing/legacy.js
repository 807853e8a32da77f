// How other systems check a password, by their synchronous calls. JavaScript, as the worker that runs it.
import { createCipheriv, createHash, pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto'

/** @typedef {import('../domain/legacy-password.js').LegacyCheck} LegacyCheck */

/**
 * @param {string} password
 * @param {Extract<LegacyCheck, { cost: number }>} check
 * @param {number} parallelization
 */
function scryptKey(password, check, parallelization) {
  const { cost, blockSize, salt } = check
  const length = check.method === 'scrypt' ? check.key.length : 32
  // Node's own limit is 32 MiB and refuses what is exactly at it.
  const maxmem = 128 * cost * blockSize + 128 * blockSize * parallelization + 1024 * 1024
  return scryptSync(password, salt, length, { N: cost, r: blockSize, p: parallelization, maxmem })
}

/**
 * The bytes that a typed password comes to.
 *
 * @param {string} password
 * @param {Exclude<LegacyCheck, { method: 'argon2' | 'bcrypt' }>} check
 */
function derive(password, check) {
  switch (check.method) {
    case 'pbkdf2':
      return pbkdf2Sync(password, check.salt, check.iterations, check.key.length, check.digest)
    case 'scrypt':
      return scryptKey(password, check, check.parallelization)
    case 'firebase-scrypt': {
      const cipher = createCipheriv('aes-256-ctr', scryptKey(password, check, 1), Buffer.alloc(16))
      return Buffer.concat([cipher.update(check.signerKey), cipher.final()])
    }
  }
}

/**
 * Checks a password as it was typed: no other system normalizes it.
 *
 * @param {string} password
 * @param {LegacyCheck} check
 * @param {{ argon2: (phc: string, password: string) => boolean, bcrypt: (password: string, hash: string) => boolean }} libraries
 */
export function verifyLegacy(password, check, libraries) {
  if (check.method === 'argon2') return libraries.argon2(check.phc, password)
  if (check.method === 'bcrypt') {
    const input = check.over === 'password' ? password : createHash('sha256').update(password).digest('hex')
    return libraries.bcrypt(input, check.hash)
  }
  const computed = derive(password, check)
  return computed.length === check.key.length && timingSafeEqual(computed, check.key)
}
