import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { SecurityEventPage, SecurityEventQuery } from '../schemas/audit.js'
import { Empty, problems } from '../schemas/common.js'
import { SessionList, SessionParams } from '../schemas/sessions.js'
import { AccountDeletion, Me, PasswordChange, ProfileChange, UserResponse } from '../schemas/users.js'
import { noContent, toSecurityEvent, toUser } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  // By a sign-in: a key that leaked must not rename its owner, sign them out or take their account from them.
  const signedIn = app.authenticators.order.filter((name) => name !== 'token')
  const requirement = allow.all(allow.authenticated(), allow.notByClientToken())
  const changing = { requirement, ...(signedIn.length === 0 ? {} : { authenticators: signedIn }) }
  // A token that is limited to scopes may read who it is where it has this one, and change nothing.
  const readable = { load: 'session', requirement: allow.any(allow.authenticated(), allow.scope('profile')) } as const

  app.get(
    '/me',
    {
      config: readable,
      schema: {
        operationId: 'whoAmI',
        summary: 'Who the credential speaks for',
        description: 'For an access token answered from the token alone, without the database.',
        tags: ['account'],
        response: { 200: Me, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ principal }, reply) =>
      reply.send({
        id: principal.accountId,
        authenticator: principal.authenticator,
        session_id: principal.sessionId,
        client_id: principal.clientId,
        roles: [...principal.roles],
        permissions: [...principal.permissions],
        scope: [...principal.scopes].join(' '),
        auth_time: principal.authenticatedAt?.toISOString() ?? null,
        amr: [...principal.amr],
        acr: principal.acr,
        expires_at: principal.expiresAt?.toISOString() ?? null
      })
  )

  app.get(
    '/me/profile',
    {
      config: readable,
      schema: {
        operationId: 'readProfile',
        summary: 'The own account as it is now',
        tags: ['account'],
        response: { 200: UserResponse, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ principal, flows }) => ({ user: toUser(await flows.readProfile(principal.accountId)) })
  )

  app.patch(
    '/me',
    {
      config: changing,
      schema: {
        operationId: 'changeProfile',
        summary: 'Change the own username or email',
        tags: ['account'],
        body: ProfileChange,
        response: { 200: UserResponse, ...problems(400, 401, 403, 404, 409, 413, 415, 503) }
      }
    },
    async (request) => {
      const { principal, body } = request
      const { current_password: currentPassword, ...names } = body
      if (currentPassword !== undefined) await app.rateLimits.signIn(request)
      const changes = currentPassword === undefined ? names : { ...names, currentPassword }
      return { user: toUser(await request.flows.changeProfile(principal.accountId, changes)) }
    }
  )

  app.delete(
    '/me',
    {
      config: changing,
      schema: {
        operationId: 'deleteAccount',
        summary: 'Delete the own account',
        tags: ['account'],
        body: AccountDeletion,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 409, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const { principal, body } = request
      await app.rateLimits.signIn(request)
      await request.flows.deleteAccount(principal.accountId, body.current_password)
      return noContent(reply)
    }
  )

  app.post(
    '/me/password',
    {
      config: changing,
      schema: {
        operationId: 'changePassword',
        summary: 'Change the password, and end all other sessions',
        tags: ['account'],
        body: PasswordChange,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 413, 415, 503) }
      }
    },
    async (request, reply) => {
      const { principal, body } = request
      await app.rateLimits.signIn(request)
      await request.flows.changePassword(principal, body.current_password, body.new_password)
      return noContent(reply)
    }
  )

  app.get(
    '/me/security-events',
    {
      schema: {
        operationId: 'listSecurityEvents',
        summary: 'What happened to the own account, the newest first',
        description:
          'Sign-ins, refusals and changes, as long as they are kept (`AUTH_AUDIT_RETENTION`); docs/audit.md lists the events. ' +
          '`attention` marks what its owner should look at.',
        tags: ['account'],
        querystring: SecurityEventQuery,
        response: { 200: SecurityEventPage, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ principal, query, flows }) => {
      const { cursor, limit = '50' } = query
      const page = await flows.listSecurityEvents(principal.accountId, { cursor, limit: Number(limit) })
      return {
        events: page.events.map(toSecurityEvent),
        ...(page.next === undefined ? {} : { next_cursor: page.next })
      }
    }
  )

  app.get(
    '/sessions',
    {
      schema: {
        operationId: 'listSessions',
        summary: 'The devices that are signed in',
        tags: ['account'],
        response: { 200: SessionList, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ principal, flows }) => ({
      sessions: (await flows.listDevices(principal.accountId)).map((device) => ({
        id: device.id,
        user_agent: device.userAgent,
        address: device.address,
        created_at: device.createdAt.toISOString(),
        last_used_at: device.lastUsedAt.toISOString(),
        expires_at: device.expiresAt.toISOString(),
        current: device.id === principal.sessionId
      }))
    })
  )

  app.delete(
    '/sessions/:id',
    {
      config: changing,
      schema: {
        operationId: 'endSession',
        summary: 'Sign one device out',
        tags: ['account'],
        params: SessionParams,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ principal, params, flows }, reply) => {
      await flows.endOwn(principal.accountId, params.id)
      return noContent(reply)
    }
  )
}

/** Depends on the guard: mounted in a scope without one, the service does not boot. */
export const meRoutes = fp(routes, {
  name: 'routes/me',
  dependencies: ['flows', 'guard', 'rate-limits'],
  encapsulate: true,
  fastify: '5.x'
})
