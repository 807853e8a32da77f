import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { bearerToken, readAuthorization } from '../domain/authorization.js'
import { Refusal } from '../domain/refusal.js'
import type { IssuedTokens } from '../flows/tokens.js'
import { Empty, problems } from '../schemas/common.js'
import { Credentials, RefreshRequest, Tokens } from '../schemas/sessions.js'
import { noContent, toTokens } from './wire.js'

/** Seconds for which a browser is known, from its last sign-in. */
const deviceLife = 365 * 86_400

type Presenting = Pick<FastifyRequest, 'headers' | 'cookies' | 'query' | 'raw' | 'flows'> & {
  body: { refresh_token?: string }
}

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { refreshCookie, sessionCookie, deviceCookie } = app

  function answer(reply: FastifyReply, issued: IssuedTokens, { session = false, device = '' } = {}) {
    if (issued.transport === 'cookie') refreshCookie.set(reply, issued.refreshToken, issued.refreshTokenTimeout)
    if (session) {
      sessionCookie.set(reply, reply.request.flows.formatSessionCookie(issued.sessionId), issued.authorizationExpiresIn)
    }
    if (device !== '') deviceCookie.set(reply, device, deviceLife)
    return reply.header('cache-control', 'no-store').send(toTokens(issued))
  }

  /** The refresh token of a request and the way it came; a cookie counts only from a page that may send it. */
  function presented(request: Presenting) {
    const inCookie = refreshCookie.read(request)
    const inBody = request.body.refresh_token
    if (inCookie !== undefined && inBody !== undefined) {
      throw new Refusal('request_malformed', { because: 'refresh token in the cookie and in the body' })
    }
    if (inBody !== undefined) return { token: inBody, transport: 'body' as const }
    if (inCookie === undefined) return undefined
    app.assertSameSite(request)
    return { token: inCookie, transport: 'cookie' as const }
  }

  /** Nothing to send is sent as an empty body by some clients, as `{}` by others. */
  const emptyBodyIsAllowed = async (request: FastifyRequest) => {
    request.body ??= {}
  }

  app.post(
    '/login',
    {
      config: { load: 'sign_in' },
      schema: {
        operationId: 'login',
        summary: 'Begin a session with a password',
        description: 'With a header `DPoP` the session is bound to the key of that proof (RFC 9449, docs/dpop.md).',
        tags: ['sessions'],
        body: Credentials,
        response: { 200: Tokens, ...problems(400, 401, 403, 413, 415, 429, 503) }
      }
    },
    async (request, reply) => {
      const { refresh_transport: transport = 'body', session = false, ...credentials } = request.body
      if (session && transport !== 'cookie') {
        const detail = 'It needs "refresh_transport": "cookie": both are for browsers.'
        throw new Refusal('validation_failed', { errors: [{ pointer: '/session', code: 'needs_cookie', detail }] })
      }
      if (transport === 'cookie') app.assertSameSite(request)
      // Not yet an attempt: whoever is sent back for a nonce has not tried a password.
      const proof = await app.dpop.proof(request)
      await app.rateLimits.signIn(request)
      const device = deviceCookie.read(request)
      const issued = await request.flows.login({ ...credentials, device }, transport, request.caller, proof)
      // Left over from an earlier sign-in, it would speak for somebody else, and beside an access token for two.
      const isLeftOver = transport === 'cookie' && !session && request.cookies[sessionCookie.name] !== undefined
      if (isLeftOver) sessionCookie.clear(reply)
      const known = transport === 'cookie' ? request.flows.deviceCookie(issued.account.id, device) : ''
      return answer(reply, issued, { session, device: known })
    }
  )

  app.post(
    '/refresh',
    {
      config: { load: 'session' },
      onRequest: app.noteRequester,
      preHandler: app.rateLimits.refresh,
      preValidation: emptyBodyIsAllowed,
      schema: {
        operationId: 'refresh',
        summary: 'Trade the refresh token for the next tokens',
        description:
          'Safe to repeat: the same token, sent again within the replay window, gets the same successor. ' +
          '204 where there is no refresh token at all, so that a page may ask at every load. ' +
          'A session that is bound to a key asks for a proof by it in the header `DPoP`.',
        tags: ['sessions'],
        body: RefreshRequest,
        response: { 200: Tokens, 204: Empty, ...problems(400, 401, 403, 413, 415, 429, 503) }
      }
    },
    async (request, reply) => {
      const refresh = presented(request)
      if (refresh === undefined) return noContent(reply)
      const proof = await app.dpop.proof(request)
      return answer(
        reply,
        await request.flows.refresh(refresh.token, refresh.transport, proof, { requester: request.requester })
      )
    }
  )

  /**
   * The session of a page's cookie or of an access token, whose form and signature are enough to leave. So they are where
   * the token is bound to a key: whoever lost the key must be able to leave, and whoever stole the token gains nothing.
   */
  async function leaving(request: Presenting, reply: FastifyReply): Promise<{ sessionId: string } | undefined> {
    const cookie = sessionCookie.read(request)
    if (cookie !== undefined) {
      app.assertSameSite(request)
      sessionCookie.clear(reply)
      const sessionId = request.flows.readSessionCookie(cookie)
      return sessionId === null ? undefined : { sessionId }
    }
    const authorization = readAuthorization(request.raw.rawHeaders)
    if (authorization === null || authorization === 'several') return undefined
    if (authorization.scheme !== 'bearer' && authorization.scheme !== 'dpop') return undefined
    const token = bearerToken(authorization)
    return token === undefined ? undefined : await app.accessTokens.sessionOf(token)
  }

  /** Ends what the request proves to be in, and answers 204 once it is over, whatever it was. */
  async function leave(
    request: Presenting,
    reply: FastifyReply,
    by: {
      refreshToken: (token: string) => Promise<boolean>
      accessToken: (who: { sessionId: string }) => Promise<unknown>
    }
  ) {
    const refresh = presented(request)
    if (refresh !== undefined) {
      const over = await by.refreshToken(refresh.token)
      if (over && refresh.transport === 'cookie') {
        refreshCookie.clear(reply)
        const cookie = sessionCookie.read(request)
        if (cookie !== undefined) {
          // It may be left over from an earlier sign-in, whose session nobody could end any more without it.
          const sessionId = request.flows.readSessionCookie(cookie)
          if (sessionId !== null) await request.flows.endOne(sessionId)
          sessionCookie.clear(reply)
        }
        reply.header('clear-site-data', '"cache", "storage"')
      }
    } else {
      const who = await leaving(request, reply)
      if (who !== undefined) await by.accessToken(who)
    }
    return noContent(reply)
  }

  const leaveSchema = {
    tags: ['sessions'],
    body: RefreshRequest,
    // 401 where two cookies of one name leave open who it is.
    response: { 204: Empty, ...problems(400, 401, 403, 413, 415, 429, 503) }
  }

  app.post(
    '/logout',
    {
      config: { load: 'session' },
      preValidation: emptyBodyIsAllowed,
      preHandler: app.rateLimits.logout,
      schema: {
        ...leaveSchema,
        operationId: 'logout',
        summary: 'End the session',
        description:
          'By the refresh token in the cookie or the body, or by an access token, also an expired one. 204 also when ' +
          'repeated. A cookie is cleared only once its session is over.'
      }
    },
    (request, reply) =>
      leave(request, reply, {
        refreshToken: (token) => request.flows.logout(token),
        accessToken: (who) => request.flows.endOne(who.sessionId)
      })
  )

  app.post(
    '/logout/all',
    {
      config: { load: 'session' },
      preValidation: emptyBodyIsAllowed,
      preHandler: app.rateLimits.logout,
      schema: { ...leaveSchema, operationId: 'logoutAll', summary: 'End all sessions of the account' }
    },
    (request, reply) =>
      leave(request, reply, {
        refreshToken: (token) => request.flows.logoutAllByRefreshToken(token),
        accessToken: (who) => request.flows.logoutAllBySession(who.sessionId)
      })
  )
}

export const sessionRoutes = fp(routes, {
  name: 'routes/sessions',
  dependencies: ['flows', 'cookies', 'access-tokens', 'dpop', 'guard', 'rate-limits'],
  encapsulate: true,
  fastify: '5.x'
})
