import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { Live, Ready } from '../schemas/metadata.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/livez',
    {
      config: { load: 'vital' },
      logLevel: 'warn',
      schema: {
        operationId: 'livez',
        summary: 'Whether the process lives',
        tags: ['operation'],
        response: { 200: Live }
      }
    },
    async () => ({ status: 'ok' as const })
  )

  app.get(
    '/readyz',
    {
      config: { load: 'vital' },
      logLevel: 'warn',
      schema: {
        operationId: 'readyz',
        summary: 'Whether the service can do its work',
        tags: ['operation'],
        response: { 200: Ready, 503: Ready }
      }
    },
    async (_request, reply) => {
      const checks = await app.readiness()
      const ready = Object.values(checks).every((check) => check === 'ok')
      if (!ready) reply.header('retry-after', '1')
      reply.header('cache-control', 'no-store')
      return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'unavailable', checks })
    }
  )
}

export const healthRoutes = fp(routes, {
  name: 'routes/health',
  dependencies: ['readiness'],
  encapsulate: true,
  fastify: '5.x'
})
