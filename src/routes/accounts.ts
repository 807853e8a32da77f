import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { problems } from '../schemas/common.js'
import { Registered, Registration } from '../schemas/users.js'
import { toUser } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.post(
    '/register',
    {
      config: { load: 'sign_in' },
      schema: {
        operationId: 'register',
        summary: 'Make an account',
        tags: ['accounts'],
        body: Registration,
        response: { 201: Registered, ...problems(400, 403, 409, 413, 415, 429, 503) }
      }
    },
    async (request, reply) => {
      await app.rateLimits.register(request)
      const { account, authtoken } = await request.flows.register(request.body)
      const key = authtoken === undefined ? {} : { api_token: authtoken }
      return reply.code(201).send({ user: toUser(account), ...key })
    }
  )
}

export const accountRoutes = fp(routes, {
  name: 'routes/accounts',
  dependencies: ['flows', 'guard', 'rate-limits'],
  encapsulate: true,
  fastify: '5.x'
})
