/** What one member of a request did wrong (RFC 9457 §3, extension member `errors`). */
export interface Violation {
  /** JSON Pointer (RFC 6901) of the member. */
  readonly pointer: string
  readonly code: string
  readonly detail: string
}

/** Every reason the service says no: the closed list of problem codes. Their wire form is in plugins/problems.ts. */
export const refusalCodes = [
  'authentication_required',
  'account_disabled',
  'client_has_keys',
  'csrf_failed',
  'dpop_key_required',
  'dpop_nonce_required',
  'dpop_proof_invalid',
  'email_taken',
  'internal_error',
  'invalid_client',
  'invalid_credentials',
  'invalid_grant',
  'invalid_scope',
  'invitation_invalid',
  'insufficient_scope',
  'last_administrator',
  'limit_reached',
  'media_type_unsupported',
  'method_not_allowed',
  'not_found',
  'not_supported',
  'overloaded',
  'password_incorrect',
  'payload_too_large',
  'permission_denied',
  'rate_limited',
  'sign_in_delayed',
  'sign_in_locked',
  'reauthentication_required',
  'refresh_reused',
  'request_malformed',
  'role_protected',
  'service_unavailable',
  'session_expired',
  'session_revoked',
  'sign_up_closed',
  'token_expired',
  'token_invalid',
  'token_revoked',
  'unauthorized_client',
  'unsupported_grant_type',
  'username_taken',
  'validation_failed'
] as const

export type RefusalCode = (typeof refusalCodes)[number]

/** What a challenge says besides its scheme (RFC 6750 §3, RFC 9470 §3). */
export type ChallengeParameters = Readonly<Record<string, string>>

export interface RefusalDetails {
  /** For the log only: it never leaves the process. */
  readonly because?: string
  readonly errors?: readonly Violation[]
  /** Seconds after which it is worth trying again (RFC 9110 §10.2.3). */
  readonly retryAfter?: number
  /** For the challenge of the scheme by which the request came. */
  readonly challenge?: ChallengeParameters
  /** What to do about this very request, for its sender; never what was sent. */
  readonly detail?: string
  readonly cause?: unknown
}

/** A decision, not a malfunction. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  readonly because: string | undefined
  readonly errors: readonly Violation[] | undefined
  readonly retryAfter: number | undefined
  readonly challenge: ChallengeParameters | undefined
  readonly detail: string | undefined

  constructor(code: RefusalCode, details: RefusalDetails = {}) {
    super(details.because ?? code, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.because = details.because
    this.errors = details.errors
    this.retryAfter = details.retryAfter
    this.challenge = details.challenge
    this.detail = details.detail
  }
}
