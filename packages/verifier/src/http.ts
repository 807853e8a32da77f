import { hasTokenInQuery } from '../../../src/domain/authorization.js'
import { allow, type Requirement } from '../../../src/domain/requirement.js'
import { AuthError } from './auth-error.js'
import type { VerifiedPrincipal } from './principal.js'
import type { Verifier } from './verifier.js'

/** A request as Node's frameworks have it. */
export interface NodeRequest {
  /** Name, value, name, value …: Node's `headers` keep the first of several and hide the others. */
  readonly rawHeaders: readonly string[]
  readonly method: string
  /** The target as it was sent. */
  readonly target: string
  readonly query?: unknown
  readonly params?: unknown
}

export interface AdmissionOptions {
  readonly verifier: Verifier
  /** This service's own origin as clients know it (`https://api.example.com`); tokens bound to keys need it. */
  readonly origin?: string | undefined
}

/** Who a request is from, once it was let in; null where nobody is there and the requirement is open. */
export async function admitRequest(
  { verifier, origin }: AdmissionOptions,
  need: Requirement,
  request: NodeRequest
): Promise<VerifiedPrincipal | null> {
  if (hasTokenInQuery(request.query)) {
    throw new AuthError('request_malformed', {
      because: 'token in the query',
      detail: 'Send tokens in headers alone.',
      issuer: verifier.issuer
    })
  }
  const { method, params } = request
  const path = request.target.replace(/[?#].*$/s, '')
  // A request line may carry a whole address, whose host would become a part of ours.
  const url = origin !== undefined && path.startsWith('/') ? { url: origin + path } : {}
  const principal = await verifier.identify(request.rawHeaders, { method, ...url })
  await verifier.admit(principal, need, { method, params })
  return principal
}

/** An origin that was written as one: an address with a path would make proofs that never fit. */
export function checkOrigin(origin: string | undefined): string | undefined {
  if (origin === undefined) return undefined
  if (URL.canParse(origin) && new URL(origin).origin === origin) return origin
  throw new TypeError('verifier: origin is one as https://api.example.com, without a slash at its end')
}

/** What a route without a word of its own asks for. */
export const somebody = allow.authenticated()

export function nobodyThere(): AuthError {
  return new AuthError('authentication_required', { because: 'none' })
}
