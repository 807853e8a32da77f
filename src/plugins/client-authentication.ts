import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { readAuthorization } from '../domain/authorization.js'
import type { ClientMethod } from '../domain/client.js'
import { type ClientParameters, readClientCredentials } from '../domain/client-credentials.js'
import { Refusal } from '../domain/refusal.js'
import type { AuthenticatedClient } from '../flows/client-authentication.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Which client a request comes from. Throws `invalid_client`, or `request_malformed` where it cannot be told. */
    authenticateClient(request: FastifyRequest): Promise<AuthenticatedClient>
  }
  interface FastifyRequest {
    /** The client that the request comes from. Throws `invalid_client` where none authenticated itself. */
    client: AuthenticatedClient
    clientOrNull: AuthenticatedClient | null
  }
  interface FastifyContextConfig {
    /** How clients may prove themselves here, once the body was read; the guard sees to it. */
    clientAuthentication?: readonly (ClientMethod | 'none')[]
  }
}

const parameters = ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type'] as const
/** What logs and histories would keep, were it in a URL (RFC 6749 §2.3.1). */
const secretParameters = ['client_secret', 'client_assertion', 'token', 'refresh_token', 'access_token', 'password']

/** What of a form concerns the client. */
function parametersOf(body: unknown): ClientParameters {
  const form = (body ?? {}) as Record<string, unknown>
  const found: Record<string, string> = {}
  for (const name of parameters) {
    const value = form[name]
    if (value === undefined) continue
    if (typeof value !== 'string') throw new Refusal('request_malformed', { because: `${name} is no text` })
    found[name] = value
  }
  return found
}

/** Client authentication in one place, for every endpoint that clients call (RFC 6749 §2.3). */
export const clientAuthentication = fp(
  async (app) => {
    app.decorateRequest('clientOrNull', null)
    app.decorateRequest('client', {
      getter() {
        const { clientOrNull } = this as FastifyRequest
        if (clientOrNull === null) throw new Refusal('invalid_client', { because: 'none' })
        return clientOrNull
      }
    } as never)

    app.decorate('authenticateClient', async (request) => {
      const query = (request.query ?? {}) as object
      if (secretParameters.some((name) => name in query)) {
        throw new Refusal('request_malformed', {
          because: 'secret in the query',
          detail: 'Send parameters in the body.'
        })
      }
      const authorization = readAuthorization(request.raw.rawHeaders)
      if (authorization === 'several') {
        throw new Refusal('request_malformed', { detail: 'Send one Authorization header: the request carries two.' })
      }
      const reading = readClientCredentials(authorization, parametersOf(request.body))
      switch (reading.kind) {
        case 'malformed':
          throw new Refusal('request_malformed', { because: 'client authentication', detail: reading.detail })
        case 'nothing':
          throw new Refusal('invalid_client', { because: 'none' })
        case 'wrong':
          throw new Refusal('invalid_client', { because: 'not a Basic header of a client' })
        case 'credentials': {
          const { credentials } = reading
          const methods = request.routeOptions.config.clientAuthentication ?? []
          if (!methods.includes(credentials.method)) {
            throw new Refusal('invalid_client', { because: `${credentials.method} does not count here` })
          }
          // A public client proves nothing, so it cannot fail.
          if (credentials.method === 'none') return await request.flows.authenticateClient(credentials)
          await app.rateLimits.clients.assert(request)
          try {
            return await request.flows.authenticateClient(credentials)
          } catch (error) {
            if (error instanceof Refusal && error.code === 'invalid_client')
              await app.rateLimits.clients.failed(request)
            throw error
          }
        }
      }
    })
  },
  { name: 'client-authentication', dependencies: ['flows', 'rate-limits'], fastify: '5.x' }
)
