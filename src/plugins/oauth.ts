import formbody from '@fastify/formbody'
import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'
import { catalogue } from '../schemas/problems.js'

/** OAuth's own error codes (RFC 6749 §5.2, RFC 6750 §3.1), by the status of ours. */
const codes: Record<number, string> = {
  400: 'invalid_request',
  401: 'invalid_token',
  403: 'insufficient_scope',
  413: 'invalid_request',
  415: 'invalid_request',
  429: 'temporarily_unavailable',
  503: 'temporarily_unavailable'
}

/** Those that have a word of their own. */
const errors: Record<string, string> = {
  authentication_required: 'invalid_client',
  invalid_client: 'invalid_client',
  invalid_grant: 'invalid_grant',
  invalid_scope: 'invalid_scope',
  unauthorized_client: 'unauthorized_client',
  unsupported_grant_type: 'unsupported_grant_type',
  // RFC 9449 §5 and §8. A refresh token without its key is as good as none.
  dpop_key_required: 'invalid_grant',
  dpop_nonce_required: 'use_dpop_nonce',
  dpop_proof_invalid: 'invalid_dpop_proof'
}

/** The challenge of clients (RFC 6749 §5.2). */
const clientChallenge = 'Basic realm="keyturn"'

interface Problem {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly detail?: string
  readonly errors?: ReadonlyArray<{ readonly pointer: string; readonly detail: string }>
}

/** What is wrong and what to do, without the two characters that a description must not have (RFC 6749 §5.2). */
function describe({ code, title, detail, errors = [] }: Problem): string {
  const parameters = errors.map((error) => `${error.pointer.slice(1)}: ${error.detail}`)
  const said =
    code === 'media_type_unsupported'
      ? 'Send the body as application/x-www-form-urlencoded.'
      : [detail ?? `${title}.`, ...parameters].join(' ')
  return said.replace(/["\\]/g, "'")
}

function isProblem(payload: unknown): payload is Problem {
  const { status, code } = (payload ?? {}) as Partial<Problem>
  return typeof status === 'number' && typeof code === 'string' && Object.hasOwn(catalogue, code)
}

/** For OAuth's endpoints: bodies are forms, and errors are in OAuth's words. Status and headers are those of problems. */
export const oauth = fp(
  async (scope) => {
    scope.removeAllContentTypeParsers()
    await scope.register(formbody, { bodyLimit: 16 * 1024 })
    scope.addHook('preSerialization', async (request, reply, payload) => {
      if (!isProblem(payload)) return payload
      const { clientAuthentication, authenticators = [] } = request.routeOptions.config
      if (payload.status === 401 && clientAuthentication !== undefined) {
        const others = authenticators.length > 0 ? [reply.getHeader('www-authenticate')] : []
        reply.header('www-authenticate', [...others, clientChallenge].join(', '))
      }
      reply.type('application/json; charset=utf-8')
      const { code, status } = payload
      const error = errors[code] ?? codes[status] ?? 'server_error'
      return { error, error_description: describe(payload) }
    })
    scope.addHook('preValidation', async (request) => {
      const parameters = Object.entries((request.body ?? {}) as object)
      // RFC 6749 §3.1 and §3.2: parameters are sent once, and one without a value as if it were not there.
      if (parameters.some(([, value]) => Array.isArray(value))) {
        throw new Refusal('request_malformed', { detail: 'A parameter occurs twice.' })
      }
      if (parameters.some(([, value]) => value === '')) {
        request.body = Object.fromEntries(parameters.filter(([, value]) => value !== ''))
      }
    })
  },
  { name: 'oauth', fastify: '5.x' }
)
