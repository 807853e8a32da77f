import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { readAuthorization } from '../domain/authorization.js'
import { proofAlgorithms } from '../domain/dpop.js'
import { type ChallengeParameters, Refusal, type RefusalCode, type Violation } from '../domain/refusal.js'
import { catalogue } from '../schemas/problems.js'

export interface ProblemsOptions {
  /** Where the pages that explain the problems are. */
  readonly baseUrl: string
}

/** Framework errors, by the framework's code or else by their status. */
const faults: Record<string, RefusalCode> = {
  FST_ERR_BAD_URL: 'request_malformed',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  400: 'request_malformed',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'request_malformed',
  413: 'payload_too_large',
  414: 'request_malformed',
  415: 'media_type_unsupported',
  431: 'request_malformed',
  503: 'service_unavailable'
}

interface SchemaError {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Record<string, unknown>
  readonly parentSchema?: { readonly description?: string }
}

/** Escapes a member name for a JSON Pointer (RFC 6901 §3). */
const escapeToken = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')

function toViolation(error: SchemaError): Violation {
  const { params } = error
  if (error.keyword === 'required') {
    const pointer = `${error.instancePath}/${escapeToken(String(params.missingProperty))}`
    return { pointer, code: 'required', detail: 'This member is required.' }
  }
  if (error.keyword === 'additionalProperties') {
    const pointer = `${error.instancePath}/${escapeToken(String(params.additionalProperty))}`
    return { pointer, code: 'unknown', detail: 'This member is not known here. Leave it out.' }
  }
  const detail = `It ${error.message ?? 'is not valid'}.`
  const { description } = error.parentSchema ?? {}
  return {
    pointer: error.instancePath,
    code: error.keyword,
    // What a pattern means is said in words by whoever wrote it.
    detail: description === undefined ? detail : `${detail} ${description}`
  }
}

/** Errors of one member that say the same are told once; a `const` within a choice says less than the choice. */
function toViolations(errors: readonly SchemaError[]): Violation[] {
  const seen = new Map<string, Violation>()
  for (const violation of errors.map(toViolation)) {
    if (!seen.has(violation.pointer)) seen.set(violation.pointer, violation)
  }
  return [...seen.values()].slice(0, 20)
}

/** Refusals of a credential that was looked at (RFC 6750 §3.1). */
const credentialErrors: ReadonlySet<RefusalCode> = new Set([
  'account_disabled',
  'session_expired',
  'session_revoked',
  'token_expired',
  'token_invalid',
  'token_revoked'
])

/** Refusals of a proof. Beside an access token it is half of a credential (401, RFC 9449 §7.1 and §9); else a request's (400, §8). */
const proofErrors: Partial<Record<RefusalCode, string>> = {
  dpop_nonce_required: 'use_dpop_nonce',
  dpop_proof_invalid: 'invalid_dpop_proof'
}

const isByAccessToken = (request: FastifyRequest) => request.authenticatedBy === 'bearer'

function statusOf(request: FastifyRequest, code: RefusalCode): number {
  return proofErrors[code] !== undefined && isByAccessToken(request) ? 401 : catalogue[code].status
}

const dpopChallenge = 'DPoP realm="keyturn"'
const algs = { algs: proofAlgorithms.join(' ') }

/**
 * How to send an access token. DPoP is named to whoever has shown that they know it, so that nobody else's parser meets
 * one more scheme.
 */
function accessTokenChallenge(
  request: FastifyRequest,
  challenge: string,
  parameters: ChallengeParameters | undefined
): string {
  const authorization = readAuthorization(request.raw.rawHeaders)
  if (authorization !== null && authorization !== 'several' && authorization.scheme === 'dpop') {
    return withParameters(dpopChallenge, { ...parameters, ...algs })
  }
  const asBearer = withParameters(challenge, parameters ?? {})
  return request.headers.dpop === undefined ? asBearer : `${asBearer}, ${withParameters(dpopChallenge, algs)}`
}

function withParameters(challenge: string, parameters: ChallengeParameters): string {
  return [challenge, ...Object.entries(parameters).map(([name, value]) => `${name}="${value}"`)].join(', ')
}

/**
 * What the route accepts, in its order (RFC 9110 §11.6.1), with what was wrong at the scheme by which the request came:
 * nothing where no credentials came, and never a word of what was in them (RFC 6750 §3, RFC 9470 §3).
 */
function challengeOf(
  request: FastifyRequest,
  code: RefusalCode,
  status: number,
  parameters: ChallengeParameters | undefined
): string | undefined {
  const accepted = request.routeOptions.config?.access?.authenticators ?? []
  const bearer = accepted.find(({ name }) => name === 'bearer')
  if (status === 403) {
    return parameters && bearer && accessTokenChallenge(request, bearer.challenge!, parameters)
  }
  if (status !== 401) return undefined
  const title = catalogue[code].title
  const challenges = accepted
    .filter(({ challenge }) => challenge !== undefined)
    .map(({ name, challenge }) => {
      if (name !== 'bearer') return challenge!
      if (parameters !== undefined) return accessTokenChallenge(request, challenge!, parameters)
      const error = proofErrors[code] ?? (credentialErrors.has(code) ? 'invalid_token' : undefined)
      const isAtFault = isByAccessToken(request) && error !== undefined
      const fault = isAtFault ? { error, error_description: title } : undefined
      return accessTokenChallenge(request, challenge!, fault)
    })
  if (challenges.length > 0) return challenges.join(', ')
  if (code === 'dpop_key_required') return withParameters(dpopChallenge, algs)
  // A 401 has to name something; sign-in itself asks for what is in its body, and cookies have no scheme of their own.
  return accepted.length > 0 ? 'Cookie realm="keyturn"' : 'Bearer realm="keyturn"'
}

/** The only place where a thrown thing becomes a response (RFC 9457). */
export const problems = fp<ProblemsOptions>(
  async (app, { baseUrl }) => {
    function send(
      request: FastifyRequest,
      reply: FastifyReply,
      code: RefusalCode,
      refusal?: Refusal,
      detail = refusal?.detail
    ) {
      const status = statusOf(request, code)
      const { title } = catalogue[code]
      const challenge = challengeOf(request, code, status, refusal?.challenge)
      if (challenge !== undefined) reply.header('www-authenticate', challenge)
      const retryAfter = refusal?.retryAfter ?? (status === 503 ? 1 : undefined)
      if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter))
      return reply
        .code(status)
        .header('cache-control', 'no-store')
        .type('application/problem+json')
        .serializer(JSON.stringify)
        .send({
          type: `${baseUrl}/problems/${code}`,
          title,
          status,
          code,
          ...(detail === undefined ? {} : { detail }),
          ...(refusal?.errors === undefined ? {} : { errors: refusal.errors })
        } as never)
    }

    const routes: Array<{ path: RegExp; method: string }> = []
    app.addHook('onRoute', ({ url, method }) => {
      const path = new RegExp(`^${url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+')}$`)
      for (const one of [method].flat()) routes.push({ path, method: one })
    })

    app.setNotFoundHandler((request, reply) => {
      const [path = ''] = request.url.split('?')
      const allowed = [...new Set(routes.filter((route) => route.path.test(path)).map(({ method }) => method))]
      if (allowed.length === 0) return send(request, reply, 'not_found')
      reply.header('allow', allowed.join(', '))
      return send(request, reply, 'method_not_allowed')
    })

    app.setErrorHandler<FastifyError | Refusal>((error, request, reply) => {
      if (error instanceof Refusal) {
        const level = request.isRefusedEarly ? 'debug' : error.code === 'service_unavailable' ? 'warn' : 'info'
        request.log[level]({ code: error.code, because: error.because }, 'refused')
        return send(request, reply, error.code, error)
      }
      if (error.validation) {
        const errors = toViolations(error.validation as unknown as SchemaError[])
        // A wrong query is no member of a body; its pointer says where it is.
        const errorsAt =
          error.validationContext === 'querystring'
            ? errors.map((e) => ({ ...e, pointer: `/query${e.pointer}` }))
            : errors
        return send(request, reply, 'validation_failed', new Refusal('validation_failed', { errors: errorsAt }))
      }
      const code = faults[error.code] ?? faults[error.statusCode ?? 500]
      if (code !== undefined && (error.statusCode ?? 500) !== 500) {
        request.log.info({ code, because: error.code }, 'refused')
        return send(request, reply, code, undefined, hints[error.code])
      }
      request.log.error({ error: describe(error), code: error.code }, 'unexpected error')
      return send(request, reply, 'internal_error')
    })
  },
  { name: 'problems', fastify: '5.x' }
)

/** What to do about a request that the framework refused; its own words may repeat what was sent. */
const hints: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'Send the body as application/json.',
  FST_ERR_CTP_BODY_TOO_LARGE: 'A body may have 16 KiB.',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON, or has a member named __proto__.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty. Send a JSON object.',
  FST_ERR_BAD_URL: 'The URL is not valid. Check its percent-encoding.'
}

/** The stack without the message's values: statements that failed may carry what a user typed. */
function describe(error: Error): string {
  const [, ...frames] = (error.stack ?? '').split('\n    at ')
  return [error.name, ...frames.slice(0, 8)].join('\n    at ')
}

/** Answers what Fastify refuses before it has a route, in the same form. */
export function frameworkError(baseUrl: string) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    request.log.info({ because: error.code }, 'refused')
    const code = faults[error.code] ?? 'request_malformed'
    const { status, title } = catalogue[code]
    const detail = hints[error.code]
    void reply
      .code(status)
      .headers(request.server.protectiveHeaders)
      .type('application/problem+json')
      .header('cache-control', 'no-store')
      .header('x-request-id', request.id)
      .send({
        type: `${baseUrl}/problems/${code}`,
        title,
        status,
        code,
        ...(detail === undefined ? {} : { detail })
      } as never)
  }
}

/** What is wrong with a request that never was one, by the words of Node: status, title and what to do. */
function faultOf(code: string | undefined): [number, string, string] {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'The request took too long to arrive', 'Send it again, faster.']
  if (code === 'HPE_HEADER_OVERFLOW') {
    return [
      431,
      'The head of the request is too large',
      'Send fewer or shorter headers and cookies, and a shorter URL.'
    ]
  }
  return [400, 'This is no HTTP request', 'Check how the client writes requests.']
}

/** Answers what Node refuses before there is a request, in the same form, and closes. */
export function clientError(baseUrl: string) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    // Nobody is there any more, or somebody who never asked anything: browsers open connections in advance.
    if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) return void socket.destroy()
    const [status, title, detail] = faultOf(error.code)
    const code: RefusalCode = 'request_malformed'
    const body = JSON.stringify({ type: `${baseUrl}/problems/${code}`, title, status, code, detail })
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: application/problem+json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'cache-control: no-store',
      'x-content-type-options: nosniff',
      'connection: close'
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    socket.destroySoon()
  }
}
