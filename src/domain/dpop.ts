import { textOfBase64url } from './base64url.js'
import { type CompactReason, splitCompact } from './compact-jws.js'
import { duplicateMember } from './json-members.js'
import { type PublicJwk, readPublicJwk } from './public-jwk.js'

/**
 * JWS algorithms that a proof may have. Asymmetric ones alone: the key comes with the proof. Ed25519 goes by two names
 * (RFC 8037 §3.1, RFC 9864 §2.2).
 */
export const proofAlgorithms = ['ES256', 'Ed25519', 'EdDSA', 'RS256', 'PS256'] as const
export type ProofAlgorithm = (typeof proofAlgorithms)[number]

/** Characters. The largest key that is taken makes a proof of half of this. */
export const proofMaxLength = 4096

/** Seconds by which `iat` may lie behind the service's clock, and before it (RFC 9449 §11.1). */
export const proofWindow = { past: 60, future: 5 } as const

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
  readonly payload: Readonly<Record<string, unknown>>
}

type Refused = { readonly ok: false; readonly because: ProofReason; readonly claim?: string }
export type ProofGateVerdict = { readonly ok: true; readonly draft: DraftProof } | Refused

const refuse = (because: ProofReason, claim?: string): Refused =>
  claim === undefined ? { ok: false, because } : { ok: false, because, claim }

const headerMembers = new Set(['typ', 'alg', 'jwk'])

/** The object that a part encodes; undefined where it is none, or has a member twice: parsers disagree on which counts. */
function objectOf(encoded: string): Record<string, unknown> | undefined {
  const text = textOfBase64url(encoded)
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
  const key = readPublicJwk(header.jwk, algorithm)
  if (typeof key === 'string') return refuse(key)
  const payload = objectOf(parts.payload)
  if (payload === undefined) return refuse('payload_unreadable')
  return { ok: true, draft: { algorithm, jwk: key, payload } }
}

/** What a proof has to be about. */
export interface ProofExpectation {
  readonly method: string
  /** The request's address as clients know it: made from the configuration, never from a header. */
  readonly uri: string
  /** `ath` of the access token that it comes with (§7): base64url of SHA-256, where it comes with one. */
  readonly accessTokenHash?: string | undefined
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
  if (expected.accessTokenHash !== undefined) {
    if (typeof ath !== 'string') return refuse('claim_missing_or_malformed', 'ath')
    if (ath !== expected.accessTokenHash) return refuse('token_hash_wrong')
  }
  if (expected.nonces !== null) {
    if (nonce === undefined) return refuse('nonce_missing')
    if (typeof nonce !== 'string' || !expected.nonces.includes(nonce)) return refuse('nonce_wrong')
  }
  return { ok: true, jti }
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

/** The DPoP headers among a request's raw ones (name, value, name, value …): Node would join several into one. */
export function proofHeaders(rawHeaders: readonly string[]): string[] {
  const found: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length === 4 && name.toLowerCase() === 'dpop') found.push(rawHeaders[at + 1]!)
  }
  return found
}
