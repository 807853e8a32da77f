import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { Empty, problems } from '../schemas/common.js'
import { ApiTokenList, ApiTokenParams, MadeApiToken, NewApiToken } from '../schemas/tokens.js'
import { fromNewApiToken, noContent, toApiToken } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const tags = ['API tokens']

  // By a sign-in that is alive now: a key that leaked must not make itself successors.
  const requirement = allow.all(allow.authenticated(), allow.fresh(), allow.notByClientToken())
  const config = { authenticators: ['session', 'bearer'], requirement }

  app.get(
    '/tokens',
    {
      schema: {
        operationId: 'listTokens',
        summary: 'The own API tokens, the newest first',
        tags,
        response: { 200: ApiTokenList, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ principal, flows }) => ({ tokens: (await flows.listApiTokens(principal.accountId)).map(toApiToken) })
  )

  app.post(
    '/tokens',
    {
      config,
      schema: {
        operationId: 'createToken',
        summary: 'Make an API token',
        description: 'The key is in the answer, and nowhere else. A session is needed: no API token makes another one.',
        tags,
        body: NewApiToken,
        response: { 201: MadeApiToken, ...problems(400, 401, 403, 409, 413, 415, 503) }
      }
    },
    async ({ principal, body, flows }, reply) => {
      const made = await flows.createApiToken(principal.accountId, fromNewApiToken(body))
      return reply.code(201).send({ key: made.key, token: toApiToken(made.token) })
    }
  )

  app.delete(
    '/tokens/:id',
    {
      config,
      schema: {
        operationId: 'deleteToken',
        summary: 'Remove an API token; it is refused from then on',
        tags,
        params: ApiTokenParams,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ principal, params, flows }, reply) => {
      await flows.deleteApiToken(principal.accountId, params.id)
      return noContent(reply)
    }
  )
}

export const tokenRoutes = fp(routes, {
  name: 'routes/tokens',
  dependencies: ['flows', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
