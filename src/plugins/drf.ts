import formbody from '@fastify/formbody'
import multipart from '@fastify/multipart'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Authorization } from '../domain/authorization.js'
import { basicCredentials } from '../domain/basic-credentials.js'
import { accessTokenError, DrfError, detail } from '../domain/drf.js'
import { isClientToken } from '../domain/principal.js'
import { pythonJsonError } from '../domain/python-json.js'
import { Refusal } from '../domain/refusal.js'
import { catalogue } from '../schemas/problems.js'
import { type Authenticator, defineAuthenticator } from './authenticators.js'

const unauthorized = (text: string, code?: string) => new DrfError(401, detail(text, code))

/** Splits a header as Django does: at white space. */
const parts = (authorization: Authorization | null) =>
  authorization?.text.split(/\s+/).filter((part) => part !== '') ?? []

/** simplejwt's JWTAuthentication: the scheme as it is written, the session and the account asked of the database. */
const bearer = defineAuthenticator({
  name: 'drf-bearer',
  challenge: 'Bearer realm="api"',
  recognizes: (_request, authorization) => parts(authorization)[0] === 'Bearer',
  async authenticate(request, authorization) {
    const [scheme, token, ...more] = parts(authorization)
    if (scheme !== 'Bearer') return null
    if (token === undefined || more.length > 0) {
      throw unauthorized('Authorization header must contain two space-delimited values', 'bad_authorization_header')
    }
    const { accessTokens, flows } = request.server
    const verdict = await accessTokens.judge(token)
    if (!verdict.ok) {
      if (verdict.because === 'claim_missing_or_malformed' && verdict.claim === 'sub') {
        throw unauthorized('Token contained no recognizable user identification', 'token_not_valid')
      }
      if (verdict.because === 'expired') throw accessTokenError('Token is expired')
      const isRefresh = token.startsWith('ktr_') && (await flows.inspectRefresh(token)) !== 'unreadable'
      throw accessTokenError(isRefresh ? 'Token has wrong type' : 'Token is invalid')
    }
    // These clients know no proofs, and without one a token that is bound to a key is worth nothing.
    if (verdict.claims.cnf !== undefined) throw accessTokenError('Token is invalid')
    const found = await flows.inspectAccess(verdict.claims)
    // A service that asked for its token by itself is no user, whom these views could show or change.
    const isUser = found.state === 'alive' && !isClientToken(found.principal)
    if (isUser) return found.principal
    if (found.state === 'unknown' || found.state === 'alive') throw unauthorized('User not found', 'user_not_found')
    if (found.state === 'disabled') throw unauthorized('User is inactive', 'user_inactive')
    if (found.state === 'password_changed') {
      throw unauthorized("The user's password has been changed.", 'password_changed')
    }
    throw accessTokenError('Token is blacklisted')
  }
})

/** DRF's TokenAuthentication, and knox's. */
const token = defineAuthenticator({
  name: 'drf-token',
  challenge: 'Token',
  recognizes: (_request, authorization) => authorization?.scheme === 'token',
  async authenticate(request, authorization) {
    const [scheme, key, ...more] = parts(authorization)
    if (scheme?.toLowerCase() !== 'token') return null
    if (key === undefined) throw unauthorized('Invalid token header. No credentials provided.')
    if (more.length > 0) throw unauthorized('Invalid token header. Token string should not contain spaces.')
    try {
      return await request.server.flows.authenticateApiToken(key)
    } catch (error) {
      if (!(error instanceof Refusal) || catalogue[error.code].status !== 401) throw error
      throw unauthorized(error.code === 'account_disabled' ? 'User inactive or deleted.' : 'Invalid token.')
    }
  }
})

/** DRF's BasicAuthentication. */
const basic = defineAuthenticator({
  name: 'drf-basic',
  challenge: 'Basic realm="api"',
  recognizes: (_request, authorization) => authorization?.scheme === 'basic',
  async authenticate(request, authorization) {
    const [scheme, text, ...more] = parts(authorization)
    if (scheme?.toLowerCase() !== 'basic') return null
    if (text === undefined) throw unauthorized('Invalid basic header. No credentials provided.')
    if (more.length > 0) throw unauthorized('Invalid basic header. Credentials string should not contain spaces.')
    const credentials = basicCredentials(authorization!)
    if (credentials === undefined) throw unauthorized('Invalid username/password.')
    await request.server.rateLimits.signIn(request)
    try {
      return await request.flows.authenticatePassword(
        { username: credentials.name, password: credentials.password },
        request.caller.address
      )
    } catch (error) {
      if (!(error instanceof Refusal) || catalogue[error.code].status !== 401) throw error
      throw unauthorized('Invalid username/password.')
    }
  }
})

/** DRF's SessionAuthentication. It has no challenge, so that with it in front a 401 is a 403. */
const session = defineAuthenticator({
  name: 'drf-session',
  recognizes: (request) => request.server.sessionCookie.read(request) !== undefined,
  authenticate: (request, authorization) =>
    request.server.authenticators.byName('session').authenticate(request, authorization)
})

/** To be known to the guard beside the service's own. */
export const drfAuthenticators: readonly Authenticator[] = [bearer, token, basic, session]

/** What DRF says of our refusals. */
function translate(error: Refusal): DrfError {
  const { status, title } = catalogue[error.code]
  if (error.code === 'authentication_required' || status === 401) {
    return unauthorized('Authentication credentials were not provided.')
  }
  if (error.code === 'csrf_failed') return new DrfError(403, detail('CSRF Failed: CSRF cookie not set.'))
  if (error.code === 'rate_limited' || error.code === 'sign_in_delayed') {
    const seconds = error.retryAfter ?? 1
    const unit = seconds === 1 ? 'second' : 'seconds'
    return new DrfError(429, detail(`Request was throttled. Expected available in ${seconds} ${unit}.`))
  }
  if (error.code === 'request_malformed') return new DrfError(400, detail('Malformed request.'))
  if (status === 403) return new DrfError(403, detail('You do not have permission to perform this action.'))
  if (status === 404) return new DrfError(404, detail('Not found.'))
  if (status === 503) return new DrfError(503, detail('Service temporarily unavailable, try again later.'))
  return new DrfError(status, detail(`${title}.`))
}

declare module 'fastify' {
  interface FastifyReply {
    /** Answers as Django REST Framework does; only behind the plugin `drf`. */
    sendDrf(status: number, body?: unknown): FastifyReply
  }
}

/** Sends bytes, so that the content type stays as Django writes it, without a charset. */
function sendDrf(this: FastifyReply, status: number, body?: unknown): FastifyReply {
  this.code(status).header('cache-control', 'no-store')
  if (body === undefined) return this.send()
  return this.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(body)))
}

function answer(request: FastifyRequest, reply: FastifyReply, error: DrfError): FastifyReply {
  let { status } = error
  if (status === 401) {
    const [first] = request.routeOptions.config.access?.authenticators ?? []
    const challenge = first === undefined ? 'Bearer realm="api"' : first.challenge
    if (challenge === undefined) status = 403
    else reply.header('www-authenticate', challenge)
  }
  return reply.sendDrf(status, error.body)
}

const bodyLimit = 16 * 1024
const tooLarge = new DrfError(413, detail('The body is larger than 16 KiB, or does not say its length.'))

/** For endpoints of Django REST Framework: its parsers, its errors, its words. */
export const drf = fp(
  async (scope) => {
    scope.decorateReply('sendDrf', sendDrf)
    scope.removeAllContentTypeParsers()
    await scope.register(formbody, { bodyLimit })
    await scope.register(multipart, {
      attachFieldsToBody: 'keyValues',
      limits: { fieldSize: bodyLimit, fields: 50, files: 0, parts: 50 }
    })
    scope.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
      const text = body as string
      if (text === '') return done(null, {})
      try {
        done(null, JSON.parse(text))
      } catch {
        done(new DrfError(400, detail(`JSON parse error - ${whyNotJson(text)}`)))
      }
    })
    scope.addContentTypeParser('*', (request, _payload, done) => {
      const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers
      if (length === '0' && encoding === undefined) return done(null, {})
      const type = JSON.stringify(request.headers['content-type'] ?? '')
      done(new DrfError(415, detail(`Unsupported media type ${type} in request.`)))
    })
    // The reader of multipart bodies counts fields, not bytes: the length is looked at before it begins.
    scope.addHook('preParsing', async (request) => {
      if (!/^multipart\//i.test(request.headers['content-type'] ?? '')) return
      const length = Number(request.headers['content-length'] ?? Number.NaN)
      if (!(length <= bodyLimit)) throw tooLarge
    })
    scope.addHook('preValidation', async (request) => {
      if (request.body === undefined) request.body = {}
      // Of a field that occurs twice in a form, Django takes the last.
      const isForm = !/^application\/json\b/i.test(request.headers['content-type'] ?? '')
      if (!isForm || typeof request.body !== 'object' || request.body === null) return
      request.body = Object.fromEntries(
        Object.entries(request.body).map(([name, value]) => [name, Array.isArray(value) ? value.at(-1) : value])
      )
    })
    scope.setErrorHandler<FastifyError | Refusal | DrfError>((error, request, reply) => {
      if (error instanceof DrfError) return answer(request, reply, error)
      if (error instanceof Refusal) {
        request.log[request.isRefusedEarly ? 'debug' : 'info']({ code: error.code, because: error.because }, 'refused')
        if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter))
        return answer(request, reply, translate(error))
      }
      const isMultipart = /^multipart\//i.test(request.headers['content-type'] ?? '')
      if (error.statusCode === 413) return answer(request, reply, tooLarge)
      // What the reader of multipart bodies throws has no status; it throws before there is a body.
      if (isMultipart && request.body == null) {
        return answer(request, reply, new DrfError(400, detail('Multipart form parse error - the body is malformed')))
      }
      if ((error.statusCode ?? 500) < 500) return answer(request, reply, translate(new Refusal('request_malformed')))
      throw error
    })
  },
  { name: 'drf', fastify: '5.x' }
)

function whyNotJson(text: string): string {
  try {
    return pythonJsonError(text) ?? 'Expecting value: line 1 column 1 (char 0)'
  } catch {
    // Nested deeper than this stack; Python gives up on such a text as well.
    return 'maximum recursion depth exceeded'
  }
}
