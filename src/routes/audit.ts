import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { AuditEventPage, AuditQuery } from '../schemas/audit.js'
import { problems } from '../schemas/common.js'
import { toAuditEvent } from './wire.js'

/** The role, or a permission that lets in whoever reads the audit and administers nothing, a monitor say. */
const auditing = allow.any(
  allow.all(allow.admin(), allow.any(allow.authenticated(), allow.scope('admin'), allow.scope('audit'))),
  allow.all(allow.permission('keyturn.audit'), allow.any(allow.authenticated(), allow.scope('audit')))
)

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/audit-events',
    {
      config: { requirement: auditing },
      schema: {
        operationId: 'listAuditEvents',
        summary: 'What happened, the newest first',
        description:
          'For administrators, and for whoever has the permission `keyturn.audit`. docs/audit.md lists the events. ' +
          'That somebody has read it is an event too.',
        tags: ['administration'],
        querystring: AuditQuery,
        response: { 200: AuditEventPage, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ query, flows }) => {
      const { cursor, limit = '50', since, until, ...filter } = query
      const page = await flows.listAuditEvents(
        {
          ...filter,
          since: since === undefined ? undefined : new Date(since),
          until: until === undefined ? undefined : new Date(until)
        },
        { cursor, limit: Number(limit) }
      )
      return {
        events: page.events.map(toAuditEvent),
        ...(page.next === undefined ? {} : { next_cursor: page.next })
      }
    }
  )
}

/** Mounted behind the guard of administrators, and lets in those with its own permission besides. */
export const auditRoutes = fp(routes, {
  name: 'routes/audit',
  dependencies: ['flows', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
