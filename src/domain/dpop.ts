import { createHash, createHmac } from 'node:crypto'
import { isCanonicalBase64url } from './base64url.js'
import { type CompactReason, splitCompact } from './compact-jws.js'
import { duplicateMember } from './json-members.js'
import { thumbprint } from './key-ring.js'
import { later } from './session.js'

/**
 * JWS algorithms that a proof may have. Asymmetric ones alone: the key comes with the proof. Ed25519 goes by two names
 * (RFC 8037 §3.1, RFC 9864 §2.2).
 */
export const proofAlgorithms = ['ES256', 'Ed25519', 'EdDSA', 'RS256', 'PS256'] as const
export type ProofAlgorithm = (typeof proofAlgorithms)[number]

/** Characters. The largest key that is taken makes a proof of half of this. */
export const proofMaxLength = 4096

/** Seconds by which `iat` may lie behind the service's clock, and before it (RFC 9449 §11.1). */
const proofWindow = { past: 60, future: 5 } as const

/** Characters of a `jti`: 96 random bits in base64url are 16 (RFC 9449 §4.2); what is longer is nobody's identifier. */
const jtiLength = { min: 16, max: 256 } as const

/** Why a proof is refused before any cryptography is spent on it. */
export type ProofReason =
  | CompactReason
  | 'header_unreadable'
  | 'header_member_unknown'
  | 'type_wrong'
  | 'algorithm_refused'
  | 'key_malformed'
  | 'key_private'
  | 'payload_unreadable'
  | 'claim_missing_or_malformed'
  | 'method_wrong'
  | 'uri_wrong'
  | 'too_old'
  | 'not_yet_valid'
  | 'token_hash_wrong'
  | 'nonce_missing'
  | 'nonce_wrong'

/** A proof that has the right shape; nothing of what it says is judged yet, and its signature is not verified. */
export interface DraftProof {
  readonly algorithm: ProofAlgorithm
  /** The public members of the key alone. */
  readonly jwk: PublicJwk
  /** The key's SHA-256 thumbprint (RFC 7638): what sessions and tokens are bound to. */
  readonly jkt: string
  readonly payload: Readonly<Record<string, unknown>>
}

export type PublicJwk = Readonly<Record<string, string>> & { readonly kty: string }

type Refused = { readonly ok: false; readonly because: ProofReason; readonly claim?: string }
export type ProofGateVerdict = { readonly ok: true; readonly draft: DraftProof } | Refused

const refuse = (because: ProofReason, claim?: string): Refused =>
  claim === undefined ? { ok: false, because } : { ok: false, because, claim }

const headerMembers = new Set(['typ', 'alg', 'jwk'])

/** The object that a part encodes; undefined where it is none, or has a member twice: parsers disagree on which counts. */
function objectOf(encoded: string): Record<string, unknown> | undefined {
  const text = Buffer.from(encoded, 'base64url').toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return duplicateMember(text) === undefined ? (value as Record<string, unknown>) : undefined
}

/**
 * Lets through only what has the shape of a DPoP proof (RFC 9449 §4.2): a compact JWS with a header of exactly `typ`,
 * `alg` and `jwk`, an algorithm of the list, a public key that fits it, and an object as payload.
 */
export function passProofGate(text: string): ProofGateVerdict {
  const parts = splitCompact(text, proofMaxLength)
  if (!parts.ok) return parts
  const header = objectOf(parts.header)
  if (header === undefined) return refuse('header_unreadable')
  if (Object.keys(header).some((member) => !headerMembers.has(member))) return refuse('header_member_unknown')
  if (header.typ !== 'dpop+jwt') return refuse('type_wrong')
  const algorithm = proofAlgorithms.find((one) => one === header.alg)
  if (algorithm === undefined) return refuse('algorithm_refused')
  const key = readKey(header.jwk, algorithm)
  if (typeof key === 'string') return refuse(key)
  const payload = objectOf(parts.payload)
  if (payload === undefined) return refuse('payload_unreadable')
  return { ok: true, draft: { algorithm, jwk: key, jkt: thumbprint(key), payload } }
}

/** Members with the private half of a key, of any type (RFC 7518 §6, RFC 8037 §2), and of post-quantum keys. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const

/** Whether a text is canonical base64url of 32 bytes. */
const is32Bytes = (value: unknown): value is string =>
  typeof value === 'string' && value.length === 43 && isCanonicalBase64url(value)

/** An unsigned number of a JWK (RFC 7518 §2), or undefined: no leading zeros, which would give one key two thumbprints. */
function numberOf(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || !isCanonicalBase64url(value)) return undefined
  const bytes = Buffer.from(value, 'base64url')
  return bytes[0] === 0 ? undefined : bytes
}

/** At least 2048 bits (RFC 7518 §3.3), and no more than a server should be made to calculate with. */
function isRsaKey(n: unknown, e: unknown): boolean {
  const [modulus, exponent] = [numberOf(n), numberOf(e)]
  if (modulus === undefined || exponent === undefined) return false
  const bits = modulus.length * 8 - (Math.clz32(modulus[0]!) - 24)
  // An exponent as long as the modulus makes one verification cost as much as hundreds.
  return (
    bits >= 2048 &&
    bits <= 4096 &&
    exponent.length <= 4 &&
    exponent.at(-1)! % 2 === 1 &&
    exponent.readUIntBE(0, exponent.length) > 1
  )
}

/**
 * The public half of a proof's key, of the one kind that its algorithm asks for. What else a JWK may say (`kid`, `use`,
 * `key_ops`, `ext`: browsers add them) is left out; a private half is somebody's mistake and refused (§4.3, check 7).
 */
function readKey(value: unknown, algorithm: ProofAlgorithm): PublicJwk | 'key_malformed' | 'key_private' {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'key_malformed'
  const jwk = value as Record<string, unknown>
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return 'key_private'
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return 'key_malformed'
  const { kty, crv, x, y, n, e } = jwk
  switch (algorithm) {
    case 'ES256':
      return kty === 'EC' && crv === 'P-256' && is32Bytes(x) && is32Bytes(y) ? { kty, crv, x, y } : 'key_malformed'
    case 'Ed25519':
    case 'EdDSA':
      return kty === 'OKP' && crv === 'Ed25519' && is32Bytes(x) ? { kty, crv, x } : 'key_malformed'
    case 'RS256':
    case 'PS256':
      return kty === 'RSA' && isRsaKey(n, e) ? { kty, n: n as string, e: e as string } : 'key_malformed'
  }
}

/** What a proof has to be about. */
export interface ProofExpectation {
  readonly method: string
  /** The request's address as clients know it: made from the configuration, never from a header. */
  readonly uri: string
  /** The access token that it comes with (§7), where it comes with one. */
  readonly accessToken?: string | undefined
  /** The nonces of which it must have one; null where none is asked for. */
  readonly nonces: readonly string[] | null
}

export type ProofVerdict = { readonly ok: true; readonly jti: string } | Refused

/**
 * Judges what a proof says: checks 3 and 8 to 12 of RFC 9449 §4.3, but for the thumbprint, which is compared where the
 * session or the token is known. The nonce comes last, so that nobody is sent for one in vain.
 */
export function judgeProof(draft: DraftProof, expected: ProofExpectation, now: Date): ProofVerdict {
  const { jti, htm, htu, iat, ath, nonce } = draft.payload
  if (typeof jti !== 'string' || jti.length < jtiLength.min || jti.length > jtiLength.max) {
    return refuse('claim_missing_or_malformed', 'jti')
  }
  if (typeof htm !== 'string') return refuse('claim_missing_or_malformed', 'htm')
  if (typeof htu !== 'string') return refuse('claim_missing_or_malformed', 'htu')
  // Whole seconds alone: 1e400 is Infinity, and would be in every window that is only bounded on one side.
  if (typeof iat !== 'number' || !Number.isSafeInteger(iat)) return refuse('claim_missing_or_malformed', 'iat')
  if (htm !== expected.method) return refuse('method_wrong')
  const uri = normalizedUri(htu)
  if (uri === undefined || uri !== normalizedUri(expected.uri)) return refuse('uri_wrong')
  const at = now.getTime() / 1000
  if (iat < at - proofWindow.past) return refuse('too_old')
  if (iat > at + proofWindow.future) return refuse('not_yet_valid')
  if (expected.accessToken !== undefined) {
    if (typeof ath !== 'string') return refuse('claim_missing_or_malformed', 'ath')
    if (ath !== tokenHash(expected.accessToken)) return refuse('token_hash_wrong')
  }
  if (expected.nonces !== null) {
    if (nonce === undefined) return refuse('nonce_missing')
    if (typeof nonce !== 'string' || !expected.nonces.includes(nonce)) return refuse('nonce_wrong')
  }
  return { ok: true, jti }
}

/** `ath`: a digest of the access token as it is written (RFC 9449 §4.2). */
export function tokenHash(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest('base64url')
}

const unreserved = /^[A-Za-z0-9\-._~]$/

/**
 * An address in its normal form, without query and fragment (RFC 9449 §4.3; RFC 3986 §6.2.2 and §6.2.3); undefined where
 * it is no http address.
 */
export function normalizedUri(text: string): string | undefined {
  // The parser would drop line breaks and the spaces around, and two texts would be one address.
  if (!/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined
  const path = url.pathname.replace(/%[0-9A-Fa-f]{2}/g, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
    return unreserved.test(character) ? character : encoded.toUpperCase()
  })
  return url.origin + path
}

/** What remains of a proof that was right in all that can be known without the database. */
export interface Proof {
  readonly jkt: string
  /** What counts once: the digest of key, `jti` and address (RFC 9449 §11.1). */
  readonly identifier: Buffer
  /** Until when it has to be remembered that it was used. */
  readonly expiresAt: Date
}

/** Twice as long as a proof can be accepted, so that a replica whose clock is a minute behind still knows of it. */
const rememberedFor = 2 * (proofWindow.past + proofWindow.future) * 1000

export function proofOf(draft: DraftProof, jti: string, uri: string, now: Date): Proof {
  const content = JSON.stringify(['dpop', draft.jkt, jti, normalizedUri(uri)])
  const identifier = createHash('sha256').update(content).digest()
  return { jkt: draft.jkt, identifier, expiresAt: later(now, rememberedFor) }
}

/** Milliseconds for which one nonce is given out. It is accepted for as long again. */
const nonceLife = 60_000

/**
 * The nonces that are good at this moment, the one to give out first (RFC 9449 §8). Each follows from the time and a
 * secret that all replicas share, so that nothing is stored and every replica accepts those of the others.
 */
export function noncesAt(secret: Buffer, now: Date): readonly [string, string] {
  const period = Math.floor(now.getTime() / nonceLife)
  const nonce = (at: number) => createHmac('sha256', secret).update(`nonce ${at}`).digest('base64url')
  return [nonce(period), nonce(period - 1)]
}

/** The DPoP headers among a request's raw ones (name, value, name, value …): Node would join several into one. */
export function proofHeaders(rawHeaders: readonly string[]): string[] {
  const found: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length === 4 && name.toLowerCase() === 'dpop') found.push(rawHeaders[at + 1]!)
  }
  return found
}
