import { proofAlgorithms } from '../../../src/domain/dpop.js'

/** Every reason a verifier says no. Besides the two last ones they are the codes of the service itself. */
export type AuthErrorCode =
  | 'authentication_required'
  | 'dpop_proof_invalid'
  | 'insufficient_scope'
  | 'permission_denied'
  | 'reauthentication_required'
  | 'request_malformed'
  | 'service_unavailable'
  | 'token_expired'
  | 'token_invalid'
  | 'token_revoked'
  | 'keys_unavailable'
  | 'revocation_unavailable'

interface Meaning {
  readonly status: 400 | 401 | 403 | 503
  readonly title: string
  /** `error` of the challenge (RFC 6750 §3.1, RFC 9449 §7.1). */
  readonly error?: string
}

const meanings: Readonly<Record<AuthErrorCode, Meaning>> = {
  authentication_required: { status: 401, title: 'Credentials are required' },
  dpop_proof_invalid: { status: 401, title: 'The proof of the key is not valid', error: 'invalid_dpop_proof' },
  insufficient_scope: { status: 403, title: 'The token lacks a scope' },
  permission_denied: { status: 403, title: 'This is not allowed' },
  reauthentication_required: { status: 401, title: 'A newer or stronger sign-in is required' },
  request_malformed: { status: 400, title: 'The request cannot be read' },
  service_unavailable: { status: 503, title: 'This cannot be decided at the moment' },
  token_expired: { status: 401, title: 'The token has expired', error: 'invalid_token' },
  token_invalid: { status: 401, title: 'The token is not valid', error: 'invalid_token' },
  token_revoked: { status: 401, title: 'The token was revoked', error: 'invalid_token' },
  keys_unavailable: { status: 503, title: 'The keys that verify tokens cannot be had at the moment' },
  revocation_unavailable: { status: 503, title: 'Whether tokens were revoked is not known at the moment' }
}

/** The service has a page for each of its codes. */
const pages: Partial<Record<AuthErrorCode, AuthErrorCode>> = {
  keys_unavailable: 'service_unavailable',
  revocation_unavailable: 'service_unavailable'
}

/** How an access token came: the challenge names the scheme that was used. */
export type Scheme = 'bearer' | 'dpop'

export interface AuthErrorDetails {
  /** Why, for the log. */
  readonly because?: string
  /** What to do about it, for the sender of the request; never what was sent. */
  readonly detail?: string
  /** What the challenge says besides (RFC 6750 §3, RFC 9470 §3). */
  readonly challenge?: Readonly<Record<string, string>>
  /** Seconds. */
  readonly retryAfter?: number
  readonly scheme?: Scheme
  readonly issuer?: string
  readonly cause?: unknown
}

/** A problem document (RFC 9457). */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: AuthErrorCode
  readonly detail?: string
}

/** A request that is not let in: an answer by RFC 6750 and RFC 9457 in one object. Nothing in it repeats the token. */
export class AuthError extends Error {
  override readonly name = 'AuthError'
  readonly code: AuthErrorCode
  /** 401 and 403 are final for this token; 503 says that it could not be found out, and to ask again. */
  readonly status: 400 | 401 | 403 | 503
  readonly detail: string | undefined
  /** Seconds after which it is worth trying again, where that would help. */
  readonly retryAfter: number | undefined
  /** Why, for logs. It is in no answer. */
  readonly internal: { readonly because: string; readonly cause?: unknown }
  readonly #details: AuthErrorDetails

  constructor(code: AuthErrorCode, details: AuthErrorDetails = {}) {
    super(meanings[code].title)
    this.code = code
    this.status = meanings[code].status
    this.detail = details.detail
    this.retryAfter = details.retryAfter ?? (this.status === 503 ? 1 : undefined)
    this.internal = {
      because: details.because ?? code,
      ...(details.cause === undefined ? {} : { cause: details.cause })
    }
    this.#details = details
  }

  /** The header that goes with it, undefined where none does. No word of what was sent is in it. */
  get wwwAuthenticate(): string | undefined {
    const { challenge, scheme = 'bearer' } = this.#details
    if (this.status !== 401 && !(this.status === 403 && challenge !== undefined)) return undefined
    const { error, title } = meanings[this.code]
    const parameters = {
      realm: 'api',
      ...(challenge ?? (error === undefined ? {} : { error, error_description: title })),
      ...(scheme === 'dpop' ? { algs: proofAlgorithms.join(' ') } : {})
    }
    const said = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`)
    return `${scheme === 'dpop' ? 'DPoP' : 'Bearer'} ${said.join(', ')}`
  }

  /** All headers of the answer, by their names in lower case. */
  get headers(): Record<string, string> {
    const { wwwAuthenticate, retryAfter } = this
    return {
      'cache-control': 'no-store',
      'content-type': 'application/problem+json',
      ...(wwwAuthenticate === undefined ? {} : { 'www-authenticate': wwwAuthenticate }),
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) })
    }
  }

  toProblem(): Problem {
    const { issuer } = this.#details
    const type = issuer === undefined ? 'about:blank' : `${issuer}/problems/${pages[this.code] ?? this.code}`
    const { title } = meanings[this.code]
    const { status, code, detail } = this
    return { type, title, status, code, ...(detail === undefined ? {} : { detail }) }
  }

  /** Whoever serializes the error sends the problem, and nothing that is for logs. */
  toJSON(): Problem {
    return this.toProblem()
  }

  /** The same as an answer to a request by the platform's own `fetch` types. */
  toResponse(): Response {
    return new Response(JSON.stringify(this.toProblem()), { status: this.status, headers: this.headers })
  }

  /** What Express and others look for. */
  get statusCode(): number {
    return this.status
  }
}
