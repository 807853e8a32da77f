import { textOfBase64url } from './base64url.js'
import { type CompactReason, splitCompact } from './compact-jws.js'

/** Why a text is not a token that we could have made, before any cryptography is spent on it. */
export type GateReason =
  | CompactReason
  | 'header_unreadable'
  | 'header_member_unknown'
  | 'type_wrong'
  | 'algorithm_refused'
  | 'key_id_missing'

export interface GateHeader {
  readonly alg: string
  readonly kid: string
  readonly typ: string
}

export type GateVerdict =
  | { readonly ok: true; readonly header: GateHeader }
  | { readonly ok: false; readonly because: GateReason }

export const tokenMaxLength = 8192

/** JWS algorithms that a key of ours may have. HMAC is not among them: a public key must never serve as a secret. */
export const tokenAlgorithms: ReadonlySet<string> = new Set(['ES256', 'EdDSA', 'RS256', 'PS256'])

const refuse = (because: GateReason): GateVerdict => ({ ok: false, because })
const headerMembers = new Set(['alg', 'kid', 'typ'])

/**
 * Lets through only what has the shape of our access tokens: three canonical base64url parts of at most 8 KiB, and a
 * header of exactly `alg`, `kid` and `typ`. Whatever else a header can ask for (`crit`, `b64`, `jku`, `x5u`, `jwk`,
 * `zip`), and JWE's five parts, ends here (RFC 8725bis §3.1, §3.10, §3.14).
 */
export function passGate(token: string, typ = 'at+jwt', maxLength = tokenMaxLength): GateVerdict {
  const parts = splitCompact(token, maxLength)
  if (!parts.ok) return parts
  let header: Record<string, unknown>
  try {
    header = JSON.parse(textOfBase64url(parts.header))
  } catch {
    return refuse('header_unreadable')
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) return refuse('header_unreadable')
  if (Object.keys(header).some((member) => !headerMembers.has(member))) return refuse('header_member_unknown')
  if (header.typ !== typ) return refuse('type_wrong')
  if (typeof header.alg !== 'string' || !tokenAlgorithms.has(header.alg)) return refuse('algorithm_refused')
  if (typeof header.kid !== 'string' || header.kid === '') return refuse('key_id_missing')
  return { ok: true, header: { alg: header.alg, kid: header.kid, typ } }
}
