import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { Empty, problems } from '../schemas/common.js'
import { RoleChange, RoleList, RoleParams, RoleResponse } from '../schemas/users.js'
import { noContent, toRole } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const tags = ['administration']

  app.get(
    '/roles',
    {
      schema: {
        operationId: 'listRoles',
        summary: 'The roles and what they may do',
        tags,
        response: { 200: RoleList, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ flows }) => ({ roles: (await flows.listRoles()).map(toRole) })
  )

  app.put(
    '/roles/:name',
    {
      schema: {
        operationId: 'putRole',
        summary: 'Add a role, or replace what it means',
        description: 'In every token that is issued from now on; tokens that were issued before are refused.',
        tags,
        params: RoleParams,
        body: RoleChange,
        response: { 200: RoleResponse, 201: RoleResponse, ...problems(400, 401, 403, 413, 415, 503) }
      }
    },
    async ({ params, body, flows }, reply) => {
      const { role, isNew } = await flows.putRole({ ...body, name: params.name })
      return reply.code(isNew ? 201 : 200).send({ role: toRole(role) })
    }
  )

  app.delete(
    '/roles/:name',
    {
      schema: {
        operationId: 'deleteRole',
        summary: 'Remove a role, and take it from everybody who has it',
        tags,
        params: RoleParams,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 409, 503) }
      }
    },
    async ({ params, flows }, reply) => {
      await flows.deleteRole(params.name)
      return noContent(reply)
    }
  )
}

/** Mounted behind the guard that demands the role `admin`. */
export const roleRoutes = fp(routes, {
  name: 'routes/roles',
  dependencies: ['flows', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
