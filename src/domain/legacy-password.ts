import { readPeppered } from './pepper.js'

/** What to compute from a typed password, and what has to come out of it. */
export type LegacyCheck =
  | {
      readonly method: 'pbkdf2'
      readonly digest: 'sha1' | 'sha256' | 'sha512'
      readonly iterations: number
      readonly salt: Uint8Array
      readonly key: Uint8Array
    }
  | ({ readonly method: 'scrypt'; readonly parallelization: number } & Scrypt)
  /** scrypt's key encrypts the project's signer key (AES-256-CTR), and `key` is what came out. */
  | ({ readonly method: 'firebase-scrypt'; readonly signerKey: Uint8Array } & Scrypt)
  | { readonly method: 'argon2'; readonly phc: string }
  | { readonly method: 'bcrypt'; readonly hash: string; readonly over: 'password' | 'sha256-hex' }

interface Scrypt {
  /** N, a power of two. */
  readonly cost: number
  /** r. */
  readonly blockSize: number
  readonly salt: Uint8Array
  readonly key: Uint8Array
}

/** What a stored password string of another system is. `scheme` names it in logs and reports, and has no secret in it. */
export type LegacyPassword =
  | { readonly scheme: string; readonly check: LegacyCheck }
  | { readonly scheme: string; readonly check: null; readonly because: string }

/**
 * The most that one sign-in may cost: about a second of one core, and 256 MiB. Whoever supplies a file to import would
 * otherwise choose for how long each sign-in keeps a thread, and how much memory it takes.
 */
const most = {
  pbkdf2Iterations: 5_000_000,
  bcryptCost: 14,
  argon2Memory: 262_144,
  /** Memory times passes, in KiB. */
  argon2Work: 1_048_576,
  argon2Lanes: 16,
  scryptMemory: 256 * 1024 * 1024,
  /** N times r times p: eight times Django's default. */
  scryptWork: 2 ** 20,
  length: 4096
}

/** RFC 8018 §4.2 asks for at least this many; fewer are no obstacle to whoever tries passwords. */
const leastPbkdf2Iterations = 1000
const leastSaltBytes = 1
/** A key that is too short would match by chance, and an empty one always. */
const leastKeyBytes = 16

/** Hashes that are as good as the password to whoever reads them. */
const weak = new Set([
  'md5',
  'sha1',
  'md4',
  'sha256',
  'sha512',
  'unsalted_md5',
  'unsalted_sha1',
  'crypt',
  'hmac',
  'ldap'
])

const unsupported = (scheme: string, because: string): LegacyPassword => ({ scheme, check: null, because })
const malformed = (scheme: string) => unsupported(scheme, `this is not the form of a ${scheme} hash`)
const tooCostly = (scheme: string, what: string) =>
  unsupported(scheme, `${what}: one sign-in would take too long or too much memory`)

/** Base64 or base64url, with or without padding; null where it is neither. */
function bytesOf(text: string): Uint8Array | null {
  const plain = text
    .replace(/={1,2}$/, '')
    .replaceAll('-', '+')
    .replaceAll('_', '/')
  if (!/^[A-Za-z0-9+/]+$/.test(plain) || plain.length % 4 === 1) return null
  // A copy of its own: a view would take the pool that it lies in, with all else there, to the worker thread.
  return new Uint8Array(Buffer.from(plain, 'base64'))
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN
}

function pbkdf2(
  scheme: string,
  digest: 'sha1' | 'sha256' | 'sha512',
  iterations: number,
  salt: Uint8Array | null,
  key: Uint8Array | null
): LegacyPassword {
  if (Number.isNaN(iterations) || salt === null || key === null) return malformed(scheme)
  if (salt.length < leastSaltBytes || key.length < leastKeyBytes || key.length > 128) return malformed(scheme)
  if (iterations < leastPbkdf2Iterations)
    return unsupported(scheme, `${iterations} iterations are no protection; ${leastPbkdf2Iterations} are the least`)
  // Each block of the key costs all iterations again (RFC 8018 §5.2).
  const blocks = Math.ceil(key.length / { sha1: 20, sha256: 32, sha512: 64 }[digest])
  if (iterations * blocks > most.pbkdf2Iterations) {
    return tooCostly(scheme, `${iterations} iterations for ${key.length} bytes`)
  }
  return { scheme, check: { method: 'pbkdf2', digest, iterations, salt, key } }
}

/** Django writes the salt as the text that goes into the hash, and not in base64. */
const saltText = (text: string | undefined) => (text ? new Uint8Array(Buffer.from(text)) : null)

function djangoPbkdf2(scheme: 'pbkdf2_sha256' | 'pbkdf2_sha1', parts: readonly string[]): LegacyPassword {
  const [iterations, salt, encoded = '', ...rest] = parts
  const key = bytesOf(encoded)
  const [digest, length] = scheme === 'pbkdf2_sha1' ? (['sha1', 20] as const) : (['sha256', 32] as const)
  if (rest.length > 0 || key?.length !== length) return malformed(scheme)
  return pbkdf2(scheme, digest, wholeNumber(iterations), saltText(salt), key)
}

/** PHC's form, as Auth0 takes it: `$pbkdf2-sha256$i=100000,l=32$salt$key`, both in base64. */
function phcPbkdf2(stored: string): LegacyPassword {
  const match = /^\$pbkdf2-(sha1|sha256|sha512)\$i=(\d+),l=(\d+)\$([^$]+)\$([^$]+)$/.exec(stored)
  if (match === null) return malformed('pbkdf2')
  const scheme = `pbkdf2-${match[1]}`
  const key = bytesOf(match[5]!)
  if (key?.length !== wholeNumber(match[3])) return malformed(scheme)
  return pbkdf2(scheme, match[1] as 'sha1', wholeNumber(match[2]), bytesOf(match[4]!), key)
}

function scryptBounds(scheme: string, { cost, blockSize }: Scrypt, parallelization: number): LegacyPassword | null {
  // NaN fails all of these, as it should.
  if (!(cost >= 2 && Number.isInteger(Math.log2(cost)) && blockSize >= 1 && parallelization >= 1))
    return malformed(scheme)
  // RFC 7914 §2: N below 2^(128 r / 8); nothing computes another one.
  if (blockSize < 8 && cost >= 2 ** (16 * blockSize)) return malformed(scheme)
  if (128 * cost * blockSize > most.scryptMemory || cost * blockSize * parallelization > most.scryptWork)
    return tooCostly(scheme, `N=${cost}, r=${blockSize}, p=${parallelization}`)
  if (cost < 1024) return unsupported(scheme, `N=${cost} is no protection; 1024 is the least`)
  return null
}

function djangoScrypt(parts: readonly string[]): LegacyPassword {
  const [cost, text, blockSize, parallel, encoded = '', ...rest] = parts
  const key = bytesOf(encoded)
  const salt = saltText(text)
  if (rest.length > 0 || salt === null || key?.length !== 64) return malformed('scrypt')
  const work = { cost: wholeNumber(cost), blockSize: wholeNumber(blockSize), salt, key }
  const parallelization = wholeNumber(parallel)
  return (
    scryptBounds('scrypt', work, parallelization) ?? {
      scheme: 'scrypt',
      check: { method: 'scrypt', parallelization, ...work }
    }
  )
}

/** The parameters of a Firebase project, which its console shows as "password hash parameters". */
export interface FirebaseHashConfig {
  readonly signerKey: string
  readonly saltSeparator: string
  /** scrypt's r. */
  readonly rounds: number
  /** The logarithm of scrypt's N. */
  readonly memCost: number
}

const firebase = 'firebase-scrypt'

/**
 * Firebase's hash and salt with the parameters of their project as one string that can be checked by itself:
 * `$firebase-scrypt$ln=14,r=8$salt$saltSeparator$signerKey$hash`. Null where one of them is not base64.
 */
export function formatFirebaseScrypt(config: FirebaseHashConfig, salt: string, hash: string): string | null {
  const parts = [salt, config.saltSeparator, config.signerKey, hash].map((part) =>
    part === '' ? new Uint8Array() : bytesOf(part)
  )
  if (parts.some((part) => part === null)) return null
  return `$${firebase}$ln=${config.memCost},r=${config.rounds}$${parts.map((part) => base64(part!)).join('$')}`
}

function firebaseScrypt(stored: string): LegacyPassword {
  const match = /^\$firebase-scrypt\$ln=(\d{1,2}),r=(\d{1,3})\$([^$]*)\$([^$]*)\$([^$]+)\$([^$]+)$/.exec(stored)
  if (match === null) return malformed(firebase)
  const [salt, separator] = [match[3]!, match[4]!].map((part) => (part === '' ? new Uint8Array() : bytesOf(part)))
  const [signerKey, key] = [bytesOf(match[5]!), bytesOf(match[6]!)]
  if (!salt || !separator || salt.length < leastSaltBytes || signerKey === null || key === null)
    return malformed(firebase)
  // A stream cipher's output is as long as its input: anything else is a damaged string.
  if (key.length !== signerKey.length || key.length < 32) return malformed(firebase)
  const work = {
    cost: 2 ** Number(match[1]),
    blockSize: wholeNumber(match[2]),
    salt: new Uint8Array(Buffer.concat([salt, separator])),
    key
  }
  return (
    scryptBounds(firebase, work, 1) ?? { scheme: firebase, check: { method: 'firebase-scrypt', signerKey, ...work } }
  )
}

function argon2(phc: string): LegacyPassword {
  const match = /^\$(argon2(?:id|i|d))\$v=(?:16|19)\$m=(\d{1,10}),t=(\d{1,10}),p=(\d{1,3})\$([\w+/]+)\$([\w+/]+)$/.exec(
    phc
  )
  const scheme = match?.[1] ?? 'argon2'
  if (match === null) return malformed(scheme)
  const [memory, passes, lanes] = [match[2], match[3], match[4]].map(wholeNumber) as [number, number, number]
  const [salt, key] = [bytesOf(match[5]!), bytesOf(match[6]!)]
  if ([memory, passes, lanes].some(Number.isNaN) || salt === null || salt.length < 8) return malformed(scheme)
  if (key === null || key.length < leastKeyBytes || key.length > 128) return malformed(scheme)
  // RFC 9106 §3.1: eight blocks a lane at the least; and base64 as the library reads it, whole and without base64url.
  if (memory < 8 * lanes || base64(salt) !== match[5] || base64(key) !== match[6]) return malformed(scheme)
  if (memory > most.argon2Memory || memory * passes > most.argon2Work || lanes > most.argon2Lanes)
    return tooCostly(scheme, `m=${memory}, t=${passes}, p=${lanes}`)
  return { scheme, check: { method: 'argon2', phc } }
}

function bcrypt(scheme: 'bcrypt' | 'bcrypt_sha256', hash: string): LegacyPassword {
  const match = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(hash)
  if (match === null) return malformed(scheme)
  const cost = Number(match[1])
  if (cost < 4 || cost > 31) return malformed(scheme)
  if (cost > most.bcryptCost) return tooCostly(scheme, `cost ${cost}`)
  return { scheme, check: { method: 'bcrypt', hash, over: scheme === 'bcrypt' ? 'password' : 'sha256-hex' } }
}

/**
 * Reads a stored password string of another system: Django's hashers, bcrypt and argon2 as they stand, PHC's PBKDF2,
 * and Firebase's as `formatFirebaseScrypt` writes it. Sources: django/contrib/auth/hashers.py, the PHC string format,
 * and firebase/scrypt.
 */
export function parseLegacyPassword(stored: string): LegacyPassword {
  if (stored.length > most.length) return unsupported('unknown', 'this is too long to be a password hash')
  if (/^\$2[abxy]\$/.test(stored)) return bcrypt('bcrypt', stored)
  if (stored.startsWith('$argon2')) return argon2(stored)
  if (stored.startsWith('$pbkdf2-')) return phcPbkdf2(stored)
  if (stored.startsWith(`$${firebase}$`)) return firebaseScrypt(stored)
  const [scheme = '', ...parts] = stored.split('$')
  switch (scheme) {
    case 'pbkdf2_sha256':
    case 'pbkdf2_sha1':
      return djangoPbkdf2(scheme, parts)
    case 'scrypt':
      return djangoScrypt(parts)
    case 'argon2':
      return argon2(`$${parts.join('$')}`)
    case 'bcrypt':
    case 'bcrypt_sha256':
      return bcrypt(scheme, parts.join('$'))
  }
  return unrecognised(stored, scheme, parts)
}

function unrecognised(stored: string, head: string, parts: readonly string[]): LegacyPassword {
  const scheme = /^[0-9a-f]{32}$/.test(stored)
    ? 'unsalted_md5'
    : parts.length > 0 && /^[a-z][a-z0-9_-]{1,29}$/.test(head)
      ? head
      : (/^\$(\w{1,10})\$/.exec(stored)?.[1] ?? 'unknown')
  return weak.has(scheme)
    ? unsupported(scheme, `${scheme} is too weak to keep: whoever reads the hash soon has the password`)
    : unsupported(scheme, 'this scheme is not supported')
}

/**
 * Whether a stored string is our own: argon2id in PHC's form. One of another system has `argon2` before it, as Django
 * writes it, since its password was hashed as it was typed, and ours in NFC.
 */
export function isOwnPassword(stored: string): boolean {
  return (readPeppered(stored)?.hash ?? stored).startsWith('$argon2id$')
}

/** The name of a stored string's scheme, for logs. */
export function passwordScheme(stored: string): string {
  return isOwnPassword(stored) ? 'argon2id' : parseLegacyPassword(stored).scheme
}
