import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { origin } from '../domain/revocation-cursor.js'
import { feedType } from '../domain/revocation-feed.js'
import { Empty, problems } from '../schemas/common.js'
import { FeedQuery, StreamHeaders, StreamQuery, signed } from '../schemas/revocations.js'
import { hasAlready, notModified } from './etag.js'

export interface RevocationRoutesOptions {
  /** Who may read: everybody, as with the key set, or clients with the permission `keyturn.revocations`. */
  readonly access: 'public' | 'clients'
}

const mediaType = `application/${feedType}`

const routes: FastifyPluginAsyncTypebox<RevocationRoutesOptions> = async (app, { access }) => {
  // Vital also where it is for clients alone: those who wait here would count as many requests under way.
  const load = 'vital'
  const config =
    access === 'public'
      ? ({ load, requirement: allow.allowAny(), authenticators: [] } as const)
      : {
          load: load as typeof load,
          requirement: allow.all(
            allow.permission('keyturn.revocations'),
            allow.any(allow.authenticated(), allow.scope('revocations'))
          ),
          authenticators: ['token', 'bearer']
        }

  /** From any origin where everybody may read: there is nothing in it that a cookie would open. */
  function allowOrigins(reply: FastifyReply): void {
    if (access === 'public') {
      reply.header('access-control-allow-origin', '*').header('cross-origin-resource-policy', 'cross-origin')
    }
  }

  app.get(
    '/revocations',
    {
      config,
      schema: {
        operationId: 'readRevocations',
        summary: 'What has ended before it expired, since a cursor',
        description:
          'A signed document for services that verify access tokens by themselves; docs/revocation.md says what is in it ' +
          'and what to check. With `AUTH_REVOCATION_FEED=clients` it asks for the permission `keyturn.revocations`.',
        tags: ['discovery'],
        querystring: FeedQuery,
        response: {
          200: signed(mediaType, 'A compact JWS of this type.'),
          304: Empty,
          ...problems(400, 401, 403, 503)
        }
      }
    },
    async ({ query, headers }, reply) => {
      const { since = origin, wait = '0' } = query
      if (wait !== '0') {
        const news = app.revocationFeed.wait(since, Number(wait) * 1000)
        reply.raw.once('close', news.end)
        await news.over
      }
      const page = await app.revocationFeed.read(since)
      allowOrigins(reply)
      reply.header('cache-control', access === 'public' ? 'no-cache' : 'private, no-cache').header('etag', page.etag)
      if (hasAlready(headers['if-none-match'], page.etag)) return notModified(reply)
      return reply.type(mediaType).serializer(String).send(page.text) as never
    }
  )

  app.get(
    '/revocations/stream',
    {
      config,
      // A question for the headers alone would open a stream that nobody reads.
      exposeHeadRoute: false,
      schema: {
        operationId: 'streamRevocations',
        summary: 'The same as server-sent events, as soon as something ends',
        description: '`id` is the cursor, `data` a document as of GET /v1/revocations; one comes at least every 15 s.',
        tags: ['discovery'],
        querystring: StreamQuery,
        headers: StreamHeaders,
        response: { 200: signed('text/event-stream', 'Events without an end.'), ...problems(400, 401, 403, 503) }
      }
    },
    async ({ query, headers }, reply) => {
      const stream = app.revocationFeed.stream(headers['last-event-id'] ?? query.since ?? origin)
      allowOrigins(reply)
      // No proxy may hold events back (nginx reads the second one).
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no')
      return (reply as FastifyReply).type('text/event-stream').send(stream)
    }
  )
}

export const revocationRoutes = fp(routes, {
  name: 'routes/revocations',
  dependencies: ['revocation-feed', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
