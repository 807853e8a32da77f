import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Requirement } from '../../../src/domain/requirement.js'
import { AuthError } from './auth-error.js'
import { admitRequest, checkOrigin, nobodyThere, somebody } from './http.js'
import type { VerifiedPrincipal } from './principal.js'
import type { Verifier } from './verifier.js'

export interface FastifyGuardOptions {
  readonly verifier: Verifier
  /** What routes ask for that say nothing themselves; somebody, whoever it is, unless said. */
  readonly requirement?: Requirement
  /** This service's own origin as clients know it (`https://api.example.com`); tokens bound to keys need it. */
  readonly origin?: string
  /** `problem` answers by itself, `throw` leaves the AuthError to the error handler; `problem` unless said. */
  readonly onRefusal?: 'problem' | 'throw'
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who the request is from. Throws an AuthError where nobody is there: no silent undefined. */
    auth: VerifiedPrincipal
    /** The same, null where nobody is there. */
    authOrNull: VerifiedPrincipal | null
  }
  interface FastifyContextConfig {
    /** Who may come in: `{ config: { auth: allow.role('editor') } }`. */
    auth?: Requirement
  }
}

const plugin: FastifyPluginAsync<FastifyGuardOptions> = async (app, options) => {
  const { verifier, requirement = somebody, onRefusal = 'problem' } = options
  const admission = { verifier, origin: checkOrigin(options.origin) }
  if (!app.hasRequestDecorator('authOrNull')) decorate(app)

  /*
   * By the place of the route, not by its address or its turn: every route of this scope and of those in it, whether it
   * was registered before this plugin or after. It comes after all onRequest hooks, so that what counts requests counts
   * those that are refused too, and before the body is read.
   */
  app.addHook('preParsing', async (request, reply) => {
    const need = request.routeOptions.config.auth ?? requirement
    // What one person is told is for nobody's cache.
    reply.header('cache-control', 'no-store')
    const { raw, method, query, params } = request
    try {
      // Behind a guard around this one it is known who it is, and the proof counts once.
      if (request.authOrNull !== null) return await verifier.admit(request.authOrNull, need, { method, params })
      request.authOrNull = await admitRequest(admission, need, {
        rawHeaders: raw.rawHeaders,
        method,
        target: raw.url ?? '',
        query,
        params
      })
    } catch (error) {
      if (onRefusal === 'throw' || !(error instanceof AuthError)) throw error
      request.log.info({ code: error.code, because: error.internal.because }, 'refused')
      return send(reply, error) as never
    }
  })
}

function send(reply: FastifyReply, error: AuthError): FastifyReply {
  return reply.code(error.status).headers(error.headers).serializer(JSON.stringify).send(error.toProblem())
}

function decorate(app: FastifyInstance): void {
  app.decorateRequest('authOrNull', null)
  app.decorateRequest('auth', {
    getter() {
      const { authOrNull } = this as FastifyRequest
      if (authOrNull === null) throw nobodyThere()
      return authOrNull
    }
  } as never)
}

/** Guards every route of the scope that it is registered in. Of several guards around a route all must let it in. */
export const guard: FastifyPluginAsync<FastifyGuardOptions> = Object.assign(plugin, {
  // As fastify-plugin does it: the scope is the one around.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@keyturn/verifier'
})
