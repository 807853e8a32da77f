/** Every code of the service's problems; the pages under /problems/ of the service explain each. */
export type ServiceCode =
  | 'account_disabled'
  | 'authentication_required'
  | 'client_has_keys'
  | 'csrf_failed'
  | 'dpop_key_required'
  | 'dpop_nonce_required'
  | 'dpop_proof_invalid'
  | 'email_taken'
  | 'insufficient_scope'
  | 'internal_error'
  | 'invalid_client'
  | 'invalid_credentials'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'invitation_invalid'
  | 'last_administrator'
  | 'limit_reached'
  | 'media_type_unsupported'
  | 'method_not_allowed'
  | 'not_found'
  | 'not_supported'
  | 'overloaded'
  | 'password_incorrect'
  | 'payload_too_large'
  | 'permission_denied'
  | 'rate_limited'
  | 'reauthentication_required'
  | 'refresh_reused'
  | 'request_malformed'
  | 'role_protected'
  | 'service_unavailable'
  | 'session_expired'
  | 'session_revoked'
  | 'sign_in_delayed'
  | 'sign_in_locked'
  | 'sign_up_closed'
  | 'token_expired'
  | 'token_invalid'
  | 'token_revoked'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'username_taken'
  | 'validation_failed'

/** What this client says itself; `status` is 0, or that of an answer which was not the service's. */
export type LocalCode =
  /** The caller's signal. */
  | 'aborted'
  /** An answer that is not one of the service: a page, a redirect, another server's error. */
  | 'bad_response'
  /** No proof could be made: there is no WebCrypto (a page without https), or it failed. */
  | 'key_unavailable'
  | 'network_error'
  /** Nobody is signed in. */
  | 'not_signed_in'
  /** Somebody signed out while it was under way. */
  | 'superseded'
  | 'timeout'
  /** The refresh token's store failed. */
  | 'store_failed'

export type ProblemCode = ServiceCode | LocalCode

/** A problem of the service (RFC 9457), or one that no answer came for. `code` is what to switch on. */
export interface Problem {
  readonly code: ProblemCode
  readonly title: string
  readonly status: number
  readonly type?: string
  readonly detail?: string
  /** Which members of a request were wrong, by JSON Pointer. */
  readonly errors?: ReadonlyArray<{ readonly pointer: string; readonly code: string; readonly detail: string }>
  /** Seconds after which it is worth trying again. */
  readonly retryAfter?: number
}

export type Result<T> = { readonly ok: true; readonly data: T } | { readonly ok: false; readonly problem: Problem }

export function localProblem(code: LocalCode, status = 0, retryAfter?: number): Problem {
  return { code, title: code.replace(/_/g, ' '), status, ...(retryAfter === undefined ? {} : { retryAfter }) }
}

export function failure(problem: Problem | LocalCode): { ok: false; problem: Problem } {
  return { ok: false, problem: typeof problem === 'string' ? localProblem(problem) : problem }
}

type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null

/** The problem that an answer is; `bad_response` where it is none of the service's. */
export function problemOf(status: number, body: unknown, retryAfter: number | undefined): Problem {
  // The status of the body must be that of the answer: whoever puts a page of their own in between changes one alone.
  if (!isObject(body) || typeof body.code !== 'string' || body.status !== status) {
    return localProblem('bad_response', status, retryAfter)
  }
  return { ...(body as unknown as Problem), ...(retryAfter === undefined ? {} : { retryAfter }) }
}

/**
 * Seconds of Retry-After; undefined where it says none. Its other form, a date (RFC 9110 §10.2.3), is of no use to a clock
 * that may be wrong.
 */
export function readRetryAfter(headers: Headers): number | undefined {
  const seconds = Number(headers.get('retry-after') || Number.NaN)
  return seconds >= 0 ? seconds : undefined
}
