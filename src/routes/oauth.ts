import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientMethods } from '../domain/client.js'
import { Refusal } from '../domain/refusal.js'
import { allow } from '../domain/requirement.js'
import type { ClientToken } from '../flows/token-grants.js'
import type { IssuedTokens } from '../flows/tokens.js'
import { Empty } from '../schemas/common.js'
import {
  IntrospectionRequest,
  IntrospectionResponse,
  introspectionJwt,
  OauthError,
  RevocationRequest,
  SignedIntrospection,
  TokenRequest,
  TokenResponse
} from '../schemas/oauth.js'
import { noContent } from './wire.js'

const errors = (...statuses: number[]) => Object.fromEntries(statuses.map((status) => [status, OauthError]))
const consumes = ['application/x-www-form-urlencoded']

/** Whoever comes is a client, and shows it in the form or by Basic. */
const byClients = {
  load: 'session',
  requirement: allow.allowAny(),
  authenticators: [],
  clientAuthentication: [...clientMethods, 'none']
} as const

/** Never `password`: whoever holds a person's password is this service alone (RFC 9700 §2.4). */
export const grantTypes = ['refresh_token', 'client_credentials'] as const

/** Says that a grant is none here before anybody is asked who they are. */
async function refuseUnknownGrants(request: Pick<FastifyRequest, 'body'>): Promise<void> {
  const { grant_type: grantType } = (request.body ?? {}) as { grant_type?: unknown }
  if (grantType === undefined || grantTypes.some((known) => known === grantType)) return
  throw new Refusal('unsupported_grant_type')
}

const limit = ({ scope }: { readonly scope: string }) => (scope === '' ? {} : { scope })

function toClientToken(token: ClientToken) {
  return {
    access_token: token.accessToken,
    token_type: token.tokenType,
    expires_in: token.expiresIn,
    ...limit(token)
  }
}

function toRefreshed(issued: IssuedTokens) {
  return {
    access_token: issued.accessToken,
    token_type: issued.tokenType,
    expires_in: issued.expiresIn,
    ...limit(issued),
    refresh_token: issued.refreshToken,
    refresh_token_timeout: issued.refreshTokenTimeout,
    authorization_expires_in: issued.authorizationExpiresIn
  }
}

/** Whether the caller would rather have the answer signed (RFC 9701 §4). */
function wantsJwt(request: Pick<FastifyRequest, 'headers'>): boolean {
  return (request.headers.accept ?? '').split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    return type === introspectionJwt && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}

const routes: FastifyPluginAsyncTypebox<{ readonly issuer: string }> = async (app, { issuer }) => {
  const tags = ['OAuth']

  app.post(
    '/token',
    {
      config: byClients,
      onRequest: app.noteRequester,
      preValidation: refuseUnknownGrants,
      schema: {
        operationId: 'token',
        summary: 'Tokens for a refresh token, or for a service itself (RFC 6749)',
        description:
          '`refresh_token`: for a session whose refresh token travels in bodies; safe to repeat, as POST /v1/refresh is. ' +
          '`client_credentials`: for a client that is registered; no session, and no refresh token. ' +
          'A session that is bound to a key asks for a proof by it in the header `DPoP` (RFC 9449).',
        tags,
        consumes,
        body: TokenRequest,
        response: { 200: TokenResponse, ...errors(400, 401, 413, 415, 429, 503) }
      }
    },
    async (request) => {
      const { body, client, requester } = request
      const terms = { client, scope: body.scope, proof: await app.dpop.proof(request), requester }
      if (body.grant_type === 'client_credentials')
        return toClientToken(await request.flows.grantClientCredentials(terms))
      if (body.refresh_token === undefined) {
        throw new Refusal('request_malformed', { detail: 'refresh_token: This parameter is required.' })
      }
      await app.rateLimits.refresh(request)
      return toRefreshed(await request.flows.grantRefresh(body.refresh_token, terms))
    }
  )

  app.post(
    '/revoke',
    {
      config: byClients,
      schema: {
        operationId: 'revoke',
        summary: 'End what a token stands for (RFC 7009)',
        description:
          'A refresh token with its session, an access token, an API token: of the client that asks. 200 also for a ' +
          'token that is unknown, over or of another client; then nothing has happened.',
        tags,
        consumes,
        body: RevocationRequest,
        response: { 200: Empty, ...errors(400, 401, 413, 415, 429, 503) }
      }
    },
    async ({ body, client, flows }, reply) => {
      await flows.revokeToken(body.token, client)
      return noContent(reply, 200)
    }
  )

  app.post(
    '/introspect',
    {
      config: {
        load: 'session',
        authenticators: ['token', 'bearer'],
        clientAuthentication: clientMethods,
        // Whoever may ask learns who holds a token that was found: a permission, which an administrator gives.
        requirement: allow.all(
          allow.permission('keyturn.introspect'),
          allow.any(allow.authenticated(), allow.scope('introspect'))
        )
      },
      schema: {
        operationId: 'introspect',
        summary: 'What a token stands for at this moment (RFC 7662)',
        description:
          'Access tokens and API tokens. For services that must know of a revocation at once, and ask for each request. ' +
          `With \`Accept: ${introspectionJwt}\` the answer is signed (RFC 9701).`,
        tags,
        consumes,
        body: IntrospectionRequest,
        response: {
          200: {
            description: 'What it stands for; only `active` where it is false.',
            content: {
              'application/json': { schema: IntrospectionResponse },
              [introspectionJwt]: { schema: SignedIntrospection }
            }
          },
          ...errors(400, 401, 403, 413, 415, 429, 503)
        }
      }
    },
    async (request, reply) => {
      const { principal } = request
      const found = await request.flows.introspect(request.body.token, principal)
      const answer = found === undefined ? { active: false } : { active: true, ...found }
      if (!wantsJwt(request)) return reply.send(answer as never)
      // For this caller alone, and with nothing at its top that an access token has: it must not be taken for one.
      const signed = await app.keys.signing().signAs('token-introspection+jwt', {
        iss: issuer,
        aud: principal.clientId ?? principal.accountId,
        iat: Math.floor(app.clock().getTime() / 1000),
        token_introspection: answer
      })
      return reply
        .type(introspectionJwt)
        .serializer(String)
        .send(signed as never)
    }
  )
}

/** Mounted where bodies are forms and errors are OAuth's. */
export const oauthRoutes = fp(routes, {
  name: 'routes/oauth',
  dependencies: ['flows', 'guard', 'oauth', 'keys', 'dpop', 'client-authentication'],
  encapsulate: true,
  fastify: '5.x'
})
