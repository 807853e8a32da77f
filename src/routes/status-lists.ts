import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'
import { statusListType } from '../domain/status-list.js'
import { Empty, problems } from '../schemas/common.js'
import { StatusListParams, StatusListQuery, StatusLists, signed } from '../schemas/revocations.js'
import { hasAlready, notModified } from './etag.js'

const mediaType = `application/${statusListType}`

const routes: FastifyPluginAsyncTypebox = async (app) => {
  /** Whoever verifies tokens may read these, from any origin (§8.1). */
  const fromAnywhere = (reply: FastifyReply) =>
    reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin')

  app.get(
    '/status-lists/:id',
    {
      config: { load: 'vital' },
      schema: {
        operationId: 'readStatusList',
        summary: 'Which sessions of a list are over (OAuth Token Status List)',
        description: 'Where `AUTH_STATUS_LIST` is on: access tokens name their list and their place in it.',
        tags: ['discovery'],
        params: StatusListParams,
        querystring: StatusListQuery,
        response: {
          200: signed(mediaType, 'A status list token.'),
          304: Empty,
          ...problems(400, 404, 501, 503)
        }
      }
    },
    async ({ params, query, headers }, reply) => {
      const list = await app.statusLists.read(params.id)
      if (list === undefined) throw new Refusal('not_found')
      // Lists of the past are not kept (§8.4).
      if (query.time !== undefined) throw new Refusal('not_supported', { because: 'time' })
      fromAnywhere(reply)
      reply.header('cache-control', `public, max-age=${list.ttl}`).header('etag', list.etag)
      if (hasAlready(headers['if-none-match'], list.etag)) return notModified(reply)
      return reply.type(mediaType).serializer(String).send(list.text) as never
    }
  )

  app.get(
    '/status-lists',
    {
      config: { load: 'vital' },
      schema: {
        operationId: 'listStatusLists',
        summary: 'The addresses of all status lists',
        tags: ['discovery'],
        response: { 200: StatusLists, ...problems(404, 503) }
      }
    },
    async (_request, reply) => {
      if (!app.statusLists.isOn) throw new Refusal('not_found')
      const lists = await app.statusLists.list()
      fromAnywhere(reply)
      reply.header('cache-control', 'no-cache')
      return { status_lists: [...lists] }
    }
  )
}

export const statusListRoutes = fp(routes, {
  name: 'routes/status-lists',
  dependencies: ['status-lists', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
