import type { Requirement } from '../../../src/domain/requirement.js'
import { AuthError } from './auth-error.js'
import { admitRequest, checkOrigin, nobodyThere, somebody } from './http.js'
import type { VerifiedPrincipal } from './principal.js'
import type { Verifier } from './verifier.js'

/** What is used of a request: Express has it, and so has whatever is made on `node:http`. */
export interface RequestLike {
  readonly rawHeaders: string[]
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly originalUrl?: string
}

export interface ResponseLike {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

export type Next = (error?: unknown) => void
export type Middleware = (request: RequestLike, response: ResponseLike, next: Next) => void

export interface ExpressGuardOptions {
  /** This service's own origin as clients know it (`https://api.example.com`); tokens bound to keys need it. */
  readonly origin?: string
  /** `problem` answers by itself, `throw` leaves the AuthError to the error handlers; `problem` unless said. */
  readonly onRefusal?: 'problem' | 'throw'
}

const principals = new WeakMap<object, VerifiedPrincipal>()

/** Lets through whom the requirement lets in; somebody, whoever it is, unless said. */
export function guard(
  verifier: Verifier,
  requirement: Requirement = somebody,
  { origin, onRefusal = 'problem' }: ExpressGuardOptions = {}
): Middleware {
  const admission = { verifier, origin: checkOrigin(origin) }
  return (request, response, next) => {
    response.setHeader('cache-control', 'no-store')
    const target = request.originalUrl ?? request.url ?? ''
    admitRequest(admission, requirement, {
      rawHeaders: request.rawHeaders,
      method: request.method ?? '',
      target,
      query: Object.fromEntries(new URLSearchParams(target.split('?', 2)[1] ?? '')),
      params: (request as { params?: unknown }).params
    }).then(
      (principal) => {
        if (principal !== null) principals.set(request, principal)
        next()
      },
      (error) => {
        if (onRefusal === 'throw' || !(error instanceof AuthError)) next(error)
        else send(response, error)
      }
    )
  }
}

/** Who a request is from. Throws an AuthError where nobody is there: no silent undefined. */
export function authOf(request: object): VerifiedPrincipal {
  const principal = principals.get(request)
  if (principal === undefined) throw nobodyThere()
  return principal
}

/** The same, null where nobody is there. */
export function authOrNull(request: object): VerifiedPrincipal | null {
  return principals.get(request) ?? null
}

/** Answers AuthErrors that were thrown further on, and passes on all others. */
export function authErrors(error: unknown, _request: RequestLike, response: ResponseLike, next: Next): void {
  if (error instanceof AuthError) send(response, error)
  else next(error)
}

function send(response: ResponseLike, error: AuthError): void {
  response.statusCode = error.status
  for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value)
  response.end(JSON.stringify(error.toProblem()))
}
