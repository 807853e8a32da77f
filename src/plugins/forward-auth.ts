import { randomUUID } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { readAuthorization } from '../domain/authorization.js'
import {
  type Demand,
  type Identity,
  identityHeaders,
  identityOf,
  isPreflight,
  type LoginPage,
  loginAddress,
  nobody,
  readDemand,
  statusForNginx,
  wantsPage
} from '../domain/forward-auth.js'
import type { ProxyDialect } from '../domain/forwarded-request.js'
import type { Principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { inquiryOf } from '../domain/requirement.js'
import { composeUpstreamClaims, upstreamTokenType } from '../domain/upstream-token.js'
import { admit } from './guard.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whom a proxy's upstream is to be told of. Throws where the request may not pass. */
    identify(request: FastifyRequest, demand: string | undefined): Promise<Identity>
  }
  interface FastifyContextConfig {
    /** The proxy that a route answers, by how it tells of requests. */
    proxy?: ProxyDialect
  }
}

export interface ForwardAuthOptions {
  readonly issuer: string
  /** Whom upstreams' tokens may be for; with none there are no such tokens. */
  readonly audiences: readonly string[]
  /** Milliseconds that such a token lives. */
  readonly tokenLifetime: number
  /** Whether upstreams are told the account's email, which is one read of the database. */
  readonly email: boolean
  /** Where browsers are sent to sign in; null for a 401 to them too. */
  readonly login: LoginPage | null
  readonly clock: () => Date
}

/**
 * For the questions of proxies. Every answer carries every identity header and no body; refusals are told by their status
 * and, in a word, by `X-Auth-Error`.
 */
export const forwardAuth = fp<ForwardAuthOptions>(
  async (scope, { issuer, audiences, tokenLifetime, email, login, clock }) => {
    // Whatever body comes is the upstream's, and nobody here reads it.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null))

    scope.addHook('onRequest', async (request, reply) => {
      reply.headers(identityHeaders(nobody)).header('cache-control', 'no-store')
      scope.noteForwarded(request, request.routeOptions.config.proxy!)
      // A proxy may hand on the client's own query, which asks for nothing here, and the type of a body that it kept.
      request.query = {}
      delete request.headers['content-type']
    })

    scope.addHook('preSerialization', async (request, reply, payload) => {
      const problem = (payload ?? {}) as { readonly code?: unknown; readonly status?: unknown }
      if (typeof problem.code !== 'string') return payload
      reply.header('x-auth-error', problem.code)
      const address = problem.status === 401 ? signInAddress(request, String(problem.code)) : null
      if (address !== null) reply.code(302).header('location', address).removeHeader('www-authenticate')
      if (request.routeOptions.config.proxy === 'nginx') reply.code(statusForNginx(reply.statusCode))
      reply.serializer(() => '')
      return payload
    })
    scope.addHook('onSend', async (_request, reply, payload) => {
      reply.removeHeader('content-type')
      return payload
    })

    function signInAddress(request: FastifyRequest, reason: string): string | null {
      const { forwarded, headers, routeOptions } = request
      if (login === null || forwarded === null || routeOptions.config.proxy === 'nginx') return null
      const isPage = wantsPage(forwarded.method, {
        accept: headers.accept,
        fetchMode: headers['sec-fetch-mode'] as string | undefined,
        hasAuthorization: readAuthorization(request.raw.rawHeaders) !== null
      })
      return isPage ? loginAddress(login, forwarded.url, reason) : null
    }

    scope.decorate('identify', async (request: FastifyRequest, text: string | undefined) => {
      const demand = readDemand(text)
      if (demand === null) {
        request.log.warn({ demand: text }, 'the proxy asks for what cannot be read: see docs/proxies.md')
        throw new Refusal('permission_denied', { because: 'the demand in the address cannot be read' })
      }
      const audience = audienceOf(demand, request)
      const principal = request.principalOrNull
      const method = request.forwarded!.method
      if (principal === null && demand.preflight && isPreflight(method, request.headers)) return nobody
      const { requirement } = demand
      await admit(scope, principal, { requirement, inquiry: inquiryOf(requirement) }, { method })
      return principal === null ? nobody : await identityFor(principal, audience)
    })

    function audienceOf(demand: Demand, request: FastifyRequest): string | undefined {
      const { audience = audiences[0] } = demand
      if (audience === undefined || audiences.includes(audience)) return audience
      request.log.warn({ audience }, 'the proxy asks for an audience that AUTH_FORWARD_AUTH_AUDIENCE does not name')
      throw new Refusal('permission_denied', { because: 'the audience in the address is not allowed' })
    }

    async function identityFor(principal: Principal, audience: string | undefined): Promise<Identity> {
      const address = email ? await scope.flows.verifiedEmail(principal.accountId) : null
      const identity = identityOf(principal, address)
      if (identity === null) {
        throw new Refusal('permission_denied', { because: 'the account cannot be named in a header' })
      }
      if (audience === undefined) return identity
      const issuance = { issuer, audience, lifetime: tokenLifetime }
      const claims = composeUpstreamClaims(principal, issuance, randomUUID(), clock())
      return { ...identity, token: await scope.keys.signing().signAs(upstreamTokenType, claims) }
    }
  },
  { name: 'forward-auth', dependencies: ['forwarded', 'flows', 'keys', 'principals'], fastify: '5.x' }
)
