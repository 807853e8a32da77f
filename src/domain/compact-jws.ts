import { isCanonicalBase64url } from './base64url.js'

/** Why a text is no compact JWS in its one canonical form. */
export type CompactReason = 'too_long' | 'not_a_compact_jws' | 'not_canonical'

export type CompactVerdict =
  | { readonly ok: true; readonly header: string; readonly payload: string }
  | { readonly ok: false; readonly because: CompactReason }

/**
 * The header and the payload of a compact JWS (RFC 7515 §3.1), still encoded: exactly three parts, each canonical
 * base64url. JWE's five parts end here, and so does every second spelling of one token (RFC 8725bis §3.3, §3.14).
 */
export function splitCompact(text: string, maxLength: number): CompactVerdict {
  if (text.length > maxLength) return { ok: false, because: 'too_long' }
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first < 1 || second < 0 || text.indexOf('.', second + 1) >= 0) return { ok: false, because: 'not_a_compact_jws' }
  const header = text.slice(0, first)
  const payload = text.slice(first + 1, second)
  if (
    !isCanonicalBase64url(header) ||
    !isCanonicalBase64url(payload) ||
    !isCanonicalBase64url(text.slice(second + 1))
  ) {
    return { ok: false, because: 'not_canonical' }
  }
  return { ok: true, header, payload }
}
