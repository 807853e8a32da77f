import fp from 'fastify-plugin'
import { authorizationOf, bearerCredential } from '../domain/bearer.js'
import type { Principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who the request speaks for; set by the guard, so it is there in every route behind it. */
    principal: Principal
  }
  interface FastifyContextConfig {
    /** What the guard before this route demands; for openapi.yaml. */
    requirement?: 'authenticated' | 'admin'
  }
}

export interface GuardOptions {
  readonly require: 'authenticated' | 'admin'
}

const refusals = { none: 'authentication_required', malformed: 'token_invalid', in_query: 'request_malformed' } as const

/**
 * Guards every route registered after it in the same scope. It stands after all onRequest hooks, so that requests
 * which fail here are still counted by what counts requests, and before the body is read.
 */
export const guard = fp<GuardOptions>(
  async (scope, options) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, requirement: options.require }
    })
    scope.addHook('preParsing', async (request, reply) => {
      // What one person is told is for nobody's cache.
      reply.header('cache-control', 'no-store')
      const credential = bearerCredential(authorizationOf(request.raw.rawHeaders), request.query)
      if (credential.kind !== 'token') throw new Refusal(refusals[credential.kind], { because: credential.kind })
      const principal = await scope.accessTokens.authenticate(credential.token)
      if (options.require === 'admin' && !principal.roles.has('admin')) {
        throw new Refusal('permission_denied', { because: 'role admin is required' })
      }
      request.principal = principal
    })
  },
  { name: 'guard', dependencies: ['access-tokens'], fastify: '5.x' }
)

/** Lets requests have a principal; once per app, however many guarded scopes it has. */
export const principals = fp(
  async (app) => {
    app.decorateRequest('principal', null as unknown as Principal)
  },
  { name: 'principals', fastify: '5.x' }
)
