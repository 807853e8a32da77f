import { createHash } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { assertionAlgorithms, clientMethods } from '../domain/client.js'
import { proofAlgorithms } from '../domain/dpop.js'
import { joseAlgorithm } from '../domain/key-ring.js'
import { Empty } from '../schemas/common.js'
import { Jwks, Metadata } from '../schemas/metadata.js'
import { hasAlready, notModified } from './etag.js'
import { grantTypes } from './oauth.js'

export interface WellKnownOptions {
  readonly issuer: string
  /** Seconds that a verifier may keep the key set. */
  readonly maxAge: number
}

const routes: FastifyPluginAsyncTypebox<WellKnownOptions> = async (app, { issuer, maxAge }) => {
  /** Whoever verifies tokens may read these, from any origin, and keep them through an outage. */
  function send(request: Pick<FastifyRequest, 'headers'>, reply: FastifyReply, body: unknown, type: string): never {
    const text = JSON.stringify(body)
    const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
    reply
      .header('cache-control', `public, max-age=${maxAge}, stale-while-revalidate=600, stale-if-error=86400`)
      .header('etag', etag)
      .header('access-control-allow-origin', '*')
      .header('cross-origin-resource-policy', 'cross-origin')
    if (hasAlready(request.headers['if-none-match'], etag)) return notModified(reply)
    return reply.type(type).serializer(String).send(text) as never
  }

  const schema = (operationId: string, summary: string, body: typeof Jwks | typeof Metadata) => ({
    operationId,
    summary,
    tags: ['discovery'],
    response: { 200: body, 304: Empty }
  })

  app.get(
    '/jwks.json',
    { config: { load: 'vital' }, schema: schema('readKeySet', 'The public keys that verify access tokens', Jwks) },
    async (request, reply) => {
      const published = await app.keys.publishedNow()
      return send(request, reply, { keys: published.map(({ publicJwk }) => publicJwk) }, 'application/jwk-set+json')
    }
  )

  /** Made from the configuration, never from the Host header (RFC 8414 §3). */
  const metadata = () => ({
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    service_documentation: `${issuer}/docs`,
    token_endpoint: `${issuer}/oauth/token`,
    token_endpoint_auth_methods_supported: [...clientMethods, 'none'],
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: [...clientMethods, 'none'],
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: clientMethods,
    introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    // People sign in by this service's own endpoints; the defaults would claim two grants that are not here.
    grant_types_supported: grantTypes,
    response_types_supported: [],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [
      ...new Set(app.keys.published().map(({ algorithm }) => joseAlgorithm(algorithm)))
    ],
    dpop_signing_alg_values_supported: proofAlgorithms,
    refresh_token_expiration_types_supported: ['authorization', 'token_timeout'],
    keyturn_revocations_uri: `${issuer}/v1/revocations`,
    keyturn_revocations_stream_uri: `${issuer}/v1/revocations/stream`,
    // Token Status List §9.
    ...(app.statusLists.isOn ? { status_list_aggregation_endpoint: `${issuer}/v1/status-lists` } : {})
  })

  for (const [path, operationId, summary] of [
    ['/oauth-authorization-server', 'readAuthorizationServerMetadata', 'Where everything is (RFC 8414)'],
    ['/openid-configuration', 'readOpenidConfiguration', 'The same, where OpenID Connect libraries look for it']
  ] as const) {
    const options = { config: { load: 'vital' }, schema: schema(operationId, summary, Metadata) } as const
    app.get(path, options, async (request, reply) =>
      send(request, reply, metadata(), 'application/json; charset=utf-8')
    )
  }
}

export const wellKnownRoutes = fp(routes, {
  name: 'routes/well-known',
  dependencies: ['keys', 'status-lists'],
  encapsulate: true,
  fastify: '5.x'
})
