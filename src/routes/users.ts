import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { allow } from '../domain/requirement.js'
import { Empty, problems } from '../schemas/common.js'
import { EndedCount } from '../schemas/sessions.js'
import { ApiTokenList, MadeApiToken, NewApiToken, UserTokenParams } from '../schemas/tokens.js'
import {
  Invitation,
  InvitationRequest,
  NewUser,
  PermissionsChange,
  RolesChange,
  UserPage,
  UserParams,
  UserQuery,
  UserResponse
} from '../schemas/users.js'
import { fromNewApiToken, noContent, toApiToken, toUser } from './wire.js'

const week = 604_800

/** The role; a credential that is limited to scopes also needs this one. */
export const administration = allow.all(allow.admin(), allow.any(allow.authenticated(), allow.scope('admin')))

/** For what makes credentials: by a sign-in that is alive now, since a key that leaked must not make itself successors. */
export const makesCredentials = {
  authenticators: ['session', 'bearer'],
  requirement: allow.all(administration, allow.fresh(), allow.notByClientToken())
}

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const tags = ['administration']

  app.get(
    '/users',
    {
      schema: {
        operationId: 'listUsers',
        summary: 'List and search accounts, oldest first',
        tags,
        querystring: UserQuery,
        response: { 200: UserPage, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ query, flows }) => {
      const page = await flows.listUsers({ cursor: query.cursor, search: query.q, limit: Number(query.limit ?? 50) })
      return { users: page.users.map(toUser), ...(page.next === undefined ? {} : { next_cursor: page.next }) }
    }
  )

  app.post(
    '/users',
    {
      schema: {
        operationId: 'createUser',
        summary: 'Make an account for somebody',
        tags,
        body: NewUser,
        response: { 201: UserResponse, ...problems(400, 401, 403, 409, 413, 415, 503) }
      }
    },
    async ({ body, flows }, reply) => reply.code(201).send({ user: toUser(await flows.createAccount(body)) })
  )

  const one = { tags, params: UserParams, response: { 200: UserResponse, ...problems(400, 401, 403, 404, 409, 503) } }

  app.get(
    '/users/:id',
    { schema: { ...one, operationId: 'readUser', summary: 'One account' } },
    async ({ params, flows }) => ({ user: toUser(await flows.readUser(params.id)) })
  )

  app.post(
    '/users/:id/disable',
    { schema: { ...one, operationId: 'disableUser', summary: 'Disable an account, and end its sessions' } },
    async ({ params, flows }) => ({ user: toUser(await flows.disableUser(params.id)) })
  )

  app.post(
    '/users/:id/enable',
    { schema: { ...one, operationId: 'enableUser', summary: 'Enable an account again' } },
    async ({ params, flows }) => ({ user: toUser(await flows.enableUser(params.id)) })
  )

  app.post(
    '/users/:id/unlock',
    {
      schema: {
        ...one,
        operationId: 'unlockUser',
        summary: 'Let an account be signed in to that wrong passwords had locked',
        description: 'Its wrong passwords are forgotten, on every device (`sign_in_delayed`, `sign_in_locked`).'
      }
    },
    async ({ params, flows }) => ({ user: toUser(await flows.unlockUser(params.id)) })
  )

  app.put(
    '/users/:id/roles',
    {
      schema: {
        tags,
        params: UserParams,
        operationId: 'setUserRoles',
        summary: 'Replace the roles of an account',
        description:
          'New tokens have them at once; tokens that were issued before are refused, and a client refreshes.',
        body: RolesChange,
        response: { 200: UserResponse, ...problems(400, 401, 403, 404, 409, 413, 415, 503) }
      }
    },
    async ({ params, body, flows }) => ({ user: toUser(await flows.setUserRoles(params.id, body.roles)) })
  )

  app.put(
    '/users/:id/permissions',
    {
      schema: {
        tags,
        params: UserParams,
        operationId: 'setUserPermissions',
        summary: 'Replace what an account may do beyond its roles',
        description:
          'New tokens have them at once; tokens that were issued before are refused, and a client refreshes.',
        body: PermissionsChange,
        response: { 200: UserResponse, ...problems(400, 401, 403, 404, 413, 415, 503) }
      }
    },
    async ({ params, body, flows }) => ({ user: toUser(await flows.setUserPermissions(params.id, body.permissions)) })
  )

  app.get(
    '/users/:id/tokens',
    {
      schema: {
        tags,
        params: UserParams,
        operationId: 'listUserTokens',
        summary: 'The API tokens of an account',
        response: { 200: ApiTokenList, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ params, flows }) => {
      const user = await flows.readUser(params.id)
      return { tokens: (await flows.listApiTokens(user.id)).map(toApiToken) }
    }
  )

  app.post(
    '/users/:id/tokens',
    {
      config: makesCredentials,
      schema: {
        tags,
        params: UserParams,
        operationId: 'createUserToken',
        summary: 'Make an API token for somebody, a service say',
        description: 'The key is in the answer, and nowhere else. A session is needed: no API token makes another one.',
        body: NewApiToken,
        response: { 201: MadeApiToken, ...problems(400, 401, 403, 404, 409, 413, 415, 503) }
      }
    },
    async ({ params, body, flows }, reply) => {
      const user = await flows.readUser(params.id)
      const made = await flows.createApiToken(user.id, fromNewApiToken(body))
      return reply.code(201).send({ key: made.key, token: toApiToken(made.token) })
    }
  )

  app.delete(
    '/users/:id/tokens/:token_id',
    {
      schema: {
        tags,
        params: UserTokenParams,
        operationId: 'deleteUserToken',
        summary: 'Remove an API token of an account',
        response: { 204: Empty, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ params, flows }, reply) => {
      await flows.deleteApiToken(params.id, params.token_id)
      return noContent(reply)
    }
  )

  app.delete(
    '/users/:id/sessions',
    {
      schema: {
        tags,
        params: UserParams,
        operationId: 'endUserSessions',
        summary: 'End all sessions of an account',
        response: { 200: EndedCount, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ params, flows }) => ({ ended: await flows.endUserSessions(params.id) })
  )

  app.post(
    '/invitations',
    {
      schema: {
        tags,
        operationId: 'invite',
        summary: 'Make an invitation, good for one registration',
        body: InvitationRequest,
        response: { 201: Invitation, ...problems(400, 401, 403, 413, 415, 503) }
      }
    },
    async ({ principal, body, flows }, reply) => {
      const made = await flows.invite({
        roles: body.roles ?? [],
        lifetime: (body.expires_in ?? week) * 1000,
        createdBy: principal.accountId
      })
      return reply.code(201).send({ invitation: made.token, expires_at: made.expiresAt.toISOString() })
    }
  )
}

/** Mounted behind the guard that demands the role `admin`. */
export const userRoutes = fp(routes, {
  name: 'routes/users',
  dependencies: ['flows', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
