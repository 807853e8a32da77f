import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { IntrospectionRequest, IntrospectionResponse, OauthError } from '../schemas/tokens.js'

const errors = Object.fromEntries([400, 401, 403, 413, 415, 429, 503].map((status) => [status, OauthError]))

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.post(
    '/introspect',
    {
      config: {
        authenticators: ['token', 'bearer'],
        // Whoever may ask learns who holds a token that was found: a permission, which an administrator gives.
        requirement: allow.all(
          allow.permission('keyturn.introspect'),
          allow.any(allow.authenticated(), allow.scope('introspect'))
        )
      },
      schema: {
        operationId: 'introspect',
        summary: 'What a token stands for at this moment (RFC 7662)',
        description:
          'Access tokens and API tokens. For services that must know of a revocation at once, and ask for each request.',
        tags: ['OAuth'],
        consumes: ['application/x-www-form-urlencoded'],
        body: IntrospectionRequest,
        response: { 200: IntrospectionResponse, ...errors }
      }
    },
    async ({ body }) => {
      const found = await app.flows.introspect(body.token)
      return found === undefined ? { active: false } : { active: true, ...found }
    }
  )
}

/** Mounted where bodies are forms and errors are OAuth's. */
export const oauthRoutes = fp(routes, {
  name: 'routes/oauth',
  dependencies: ['flows', 'guard', 'oauth'],
  encapsulate: true,
  fastify: '5.x'
})
