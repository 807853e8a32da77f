import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { ClientChange, ClientList, ClientParams, ClientResponse, MadeClient, NewClient } from '../schemas/clients.js'
import { Empty, problems } from '../schemas/common.js'
import { makesCredentials } from './users.js'
import { noContent, toClientBody, toMadeClient } from './wire.js'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const tags = ['administration']

  app.get(
    '/clients',
    {
      schema: {
        operationId: 'listClients',
        summary: 'The services that authenticate themselves, oldest first',
        tags,
        response: { 200: ClientList, ...problems(400, 401, 403, 503) }
      }
    },
    async ({ flows }) => ({ clients: (await flows.listClients()).map(toClientBody) })
  )

  app.post(
    '/clients',
    {
      config: makesCredentials,
      schema: {
        operationId: 'createClient',
        summary: 'Register a service that authenticates itself',
        description: 'Its secret is in the answer, and nowhere else. A session is needed.',
        tags,
        body: NewClient,
        response: { 201: MadeClient, ...problems(400, 401, 403, 413, 415, 503) }
      }
    },
    async ({ body, flows }, reply) => reply.code(201).send(toMadeClient(await flows.createClient(body)))
  )

  app.get(
    '/clients/:id',
    {
      schema: {
        operationId: 'readClient',
        summary: 'One client',
        tags,
        params: ClientParams,
        response: { 200: ClientResponse, ...problems(400, 401, 403, 404, 503) }
      }
    },
    async ({ params, flows }) => ({ client: toClientBody(await flows.readClient(params.id)) })
  )

  app.patch(
    '/clients/:id',
    {
      config: makesCredentials,
      schema: {
        operationId: 'changeClient',
        summary: 'Change a client, disable it or enable it again',
        description:
          'Tokens that it got before are refused where its scopes, its audience or its keys change, and where it is disabled. ' +
          '`jwks` takes the place of the keys or the secret that it has.',
        tags,
        params: ClientParams,
        body: ClientChange,
        response: { 200: ClientResponse, ...problems(400, 401, 403, 404, 409, 413, 415, 503) }
      }
    },
    async ({ params, body, flows }) => ({ client: toClientBody(await flows.updateClient(params.id, body)) })
  )

  app.delete(
    '/clients/:id',
    {
      schema: {
        operationId: 'deleteClient',
        summary: 'Remove a client and its account; its tokens are refused from then on',
        tags,
        params: ClientParams,
        response: { 204: Empty, ...problems(400, 401, 403, 404, 409, 503) }
      }
    },
    async ({ params, flows }, reply) => {
      await flows.deleteClient(params.id)
      return noContent(reply)
    }
  )

  app.post(
    '/clients/:id/secret',
    {
      config: makesCredentials,
      schema: {
        operationId: 'rotateClientSecret',
        summary: 'Give a client another secret',
        description:
          'The old one is over at once, with the tokens that it got. The new one is in the answer, and nowhere else.',
        tags,
        params: ClientParams,
        response: { 200: MadeClient, ...problems(400, 401, 403, 404, 409, 503) }
      }
    },
    async ({ params, flows }) => toMadeClient(await flows.rotateClientSecret(params.id))
  )
}

/** Mounted behind the guard that demands the role `admin`. */
export const clientRoutes = fp(routes, {
  name: 'routes/clients',
  dependencies: ['flows', 'guard'],
  encapsulate: true,
  fastify: '5.x'
})
