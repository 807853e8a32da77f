import type { onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import type { Requester } from '../flows/flow.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** A hook that notes when a request comes, before its body is read, and whether its sender still waits. */
    readonly noteRequester: onRequestHookHandler
  }
  interface FastifyRequest {
    /** Who waits for the answer, on routes with `noteRequester`. */
    requester: Requester | undefined
  }
}

export interface RequestersOptions {
  readonly clock: () => Date
}

/** For routes where a request that came too late must not be taken for another one. */
export const requesters = fp<RequestersOptions>(
  async (app, { clock }) => {
    app.decorateRequest('requester', undefined)
    app.decorate('noteRequester', (request, _reply, done) => {
      const { socket } = request.raw
      // Where a client ends its half of the connection Node ends the other one too: no answer would reach it.
      const hasLeft = () => socket.destroyed || socket.writableEnded
      request.requester = { receivedAt: clock(), hasLeft }
      done()
    })
  },
  { name: 'requesters', fastify: '5.x' }
)
