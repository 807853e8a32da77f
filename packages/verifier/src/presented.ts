import { bearerToken, readAuthorization } from '../../../src/domain/authorization.js'
import { proofHeaders } from '../../../src/domain/dpop.js'
import type { Scheme } from './auth-error.js'

/** Headers of a request: `Headers`, an object by names, or Node's `rawHeaders`, which alone show all that were sent. */
export type RequestHeaders =
  | Headers
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | readonly string[]

/** What a request brings to say who it is from. */
export type Presented =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'malformed'; readonly because: string; readonly detail: string }
  /** A scheme that is not ours, or a token that cannot be one. */
  | { readonly kind: 'refused'; readonly because: string; readonly scheme: Scheme }
  | { readonly kind: 'token'; readonly scheme: 'bearer'; readonly token: string }
  | { readonly kind: 'token'; readonly scheme: 'dpop'; readonly token: string; readonly proof: string | undefined }

function rawHeadersOf(headers: RequestHeaders): readonly string[] {
  if (Array.isArray(headers)) return headers
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers)
  return entries.flatMap(([name, value]) => [value ?? []].flat().flatMap((one: string) => [name, one]))
}

/** Reads the token of a request: exactly one, in the Authorization header. */
export function readPresented(headers: RequestHeaders): Presented {
  const raw = rawHeadersOf(headers)
  const authorization = readAuthorization(raw)
  if (authorization === null) return { kind: 'nothing' }
  if (authorization === 'several') {
    const detail = 'Send one credential: the request carries two.'
    return { kind: 'malformed', because: 'two Authorization headers', detail }
  }
  const { scheme } = authorization
  if (scheme !== 'bearer' && scheme !== 'dpop') {
    return { kind: 'refused', because: 'another scheme', scheme: 'bearer' }
  }
  const token = bearerToken(authorization)
  if (token === undefined) return { kind: 'refused', because: 'what follows the scheme is no token', scheme }
  if (scheme === 'bearer') return { kind: 'token', scheme, token }
  const [proof, ...more] = proofHeaders(raw)
  if (more.length > 0) {
    return { kind: 'malformed', because: 'two proofs', detail: 'Send one DPoP header: the request carries several.' }
  }
  return { kind: 'token', scheme, token, proof }
}
