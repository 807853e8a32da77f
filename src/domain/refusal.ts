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
  'csrf_failed',
  'email_taken',
  'internal_error',
  'invalid_credentials',
  'invitation_invalid',
  'last_administrator',
  'media_type_unsupported',
  'method_not_allowed',
  'not_found',
  'overloaded',
  'password_incorrect',
  'payload_too_large',
  'permission_denied',
  'refresh_reused',
  'request_malformed',
  'service_unavailable',
  'session_expired',
  'session_revoked',
  'sign_up_closed',
  'token_expired',
  'token_invalid',
  'username_taken',
  'validation_failed'
] as const

export type RefusalCode = (typeof refusalCodes)[number]

export interface RefusalDetails {
  /** For the log only: it never leaves the process. */
  readonly because?: string
  readonly errors?: readonly Violation[]
  /** Seconds after which it is worth trying again (RFC 9110 §10.2.3). */
  readonly retryAfter?: number
  readonly cause?: unknown
}

/** A decision, not a malfunction. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  readonly because: string | undefined
  readonly errors: readonly Violation[] | undefined
  readonly retryAfter: number | undefined

  constructor(code: RefusalCode, details: RefusalDetails = {}) {
    super(details.because ?? code, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.because = details.because
    this.errors = details.errors
    this.retryAfter = details.retryAfter
  }
}
