import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { problems } from '../schemas/common.js'
import { Registration, UserResponse } from '../schemas/users.js'
import { toUser } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.post(
    '/register',
    {
      schema: {
        operationId: 'register',
        summary: 'Make an account',
        tags: ['accounts'],
        body: Registration,
        response: { 201: UserResponse, ...problems(400, 403, 409, 413, 415, 503) }
      }
    },
    async ({ body }, reply) => reply.code(201).send({ user: toUser(await app.flows.register(body)) })
  )
}

export const accountRoutes = fp(routes, {
  name: 'routes/accounts',
  dependencies: ['flows'],
  encapsulate: true,
  fastify: '5.x'
})
