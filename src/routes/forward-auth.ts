import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { identityHeaders } from '../domain/forward-auth.js'
import { allow } from '../domain/requirement.js'
import { DemandParams, nginxAnswers, proxyAnswers } from '../schemas/forward-auth.js'
import { noContent } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  /** Who may come in stands in the address, and is asked of the request that the proxy tells of. Answers are for no page. */
  const config = {
    load: 'session',
    requirement: allow.allowAny(),
    authenticators: app.authenticators.order,
    cors: false
  } as const

  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    const { demand } = request.params as { demand?: string }
    reply.headers(identityHeaders(await app.identify(request, demand)))
    return noContent(reply, 200)
  }

  const description =
    'Whether a request may pass, for `forward_auth`, ForwardAuth and `auth_request` of a proxy that is one of ' +
    '`AUTH_TRUSTED_PROXIES`. docs/proxies.md has configurations. No answer has a body.'
  const paths = [
    ['/forward-auth', 'forwarded', 'forwardAuth', 'For Traefik and Caddy: may this request pass?'],
    ['/forward-auth/nginx', 'nginx', 'forwardAuthNginx', 'For nginx: may this request pass?']
  ] as const
  for (const [path, proxy, operationId, summary] of paths) {
    const schema = { description, tags: ['proxies'], response: proxy === 'nginx' ? nginxAnswers : proxyAnswers }
    app.get(path, { config: { ...config, proxy }, schema: { ...schema, operationId, summary } }, answer)
    app.get(
      `${path}/:demand`,
      {
        config: { ...config, proxy },
        schema: { ...schema, params: DemandParams, operationId: `${operationId}If`, summary: `${summary} If …` }
      },
      answer
    )
  }

  // Envoy sends the request's own method and, behind this, its own path.
  app.all(
    '/forward-auth/envoy/:demand/*',
    { config: { ...config, proxy: 'envoy' }, schema: { hide: true, response: proxyAnswers } },
    answer
  )
}

export const forwardAuthRoutes = fp(routes, {
  name: 'routes/forward-auth',
  dependencies: ['forward-auth', 'guard', 'authenticators'],
  encapsulate: true,
  fastify: '5.x'
})
