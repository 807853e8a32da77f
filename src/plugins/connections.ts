import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import fp from 'fastify-plugin'

/** Milliseconds between two looks at the connections of a service that closes. */
const interval = 100
/** Milliseconds that a connection may take to say anything: a request may be on its way. */
const patience = 1_000

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Says that this replica is about to stop, for so many milliseconds: /readyz is 503, whatever comes is done, and every
     * connection ends with its next answer. Who passes requests on finds another replica meanwhile.
     */
    drain(milliseconds: number): Promise<void>
    /** Whether it is about to stop, or stops. */
    isDraining(): boolean
  }
}

export interface ConnectionsOptions {
  /** Milliseconds that the head of a request may take, also on a connection that has said nothing yet. */
  readonly headersTimeout: number
  /** Milliseconds that a whole request may take to arrive. */
  readonly requestTimeout: number
  /** Milliseconds that a connection may be idle between two requests. */
  readonly keepAliveTimeout: number
  /** Milliseconds between two looks at which of them are over. */
  readonly checkInterval: number
  /** Bytes of a request's head. */
  readonly maxHeaderSize: number
  /** Connections at a time; more are closed as they come. Null for as many as the system gives. */
  readonly max: number | null
}

/** The same for the server, which is made before any plugin. */
export function serverOptions(options: ConnectionsOptions) {
  return {
    requestTimeout: options.requestTimeout,
    keepAliveTimeout: options.keepAliveTimeout,
    http: {
      headersTimeout: Math.min(options.headersTimeout, options.requestTimeout),
      connectionsCheckingInterval: options.checkInterval,
      maxHeaderSize: options.maxHeaderSize
    }
  } as const
}

/** Milliseconds that a turn of the event loop takes in which there was nothing to do. */
const calm = 0.2
/** How many turns are waited for one. */
const maxTurns = 200

/**
 * To be registered after all others, so that nothing happens between it and the end of listening. Connections that the
 * system has taken and this process has not are reset when nobody listens any more, and the requests on them are lost. Each
 * turn takes up all that wait; after one in which nothing else was done, none came since.
 */
export const lastConnections = fp(
  async (app) => {
    app.addHook('preClose', async () => {
      for (let turn = 0; turn < maxTurns; turn++) {
        const since = performance.now()
        await immediate()
        if (performance.now() - since < calm) return
      }
    })
  },
  { name: 'last-connections', dependencies: ['connections'], fastify: '5.x' }
)

/**
 * Bounds the connections, and lets a service close as soon as its requests are answered. What Node closes by itself are the connections that are idle
 * at that moment; it would wait a minute for one that answers its last request afterwards and is kept alive, and for one
 * that was opened in advance, as browsers do, and never says anything.
 */
export const connections = fp<ConnectionsOptions>(
  async (app, { max }) => {
    const { server } = app
    if (max !== null) server.maxConnections = max
    let isDraining = false
    app.addHook('onRequest', (request, reply, done) => {
      if (isDraining && request.raw.httpVersionMajor === 1) reply.raw.setHeader('connection', 'close')
      done()
    })
    app.decorate('isDraining', () => isDraining)
    app.decorate('drain', async (milliseconds: number) => {
      isDraining = true
      if (milliseconds > 0) {
        app.log.info({ ms: milliseconds }, 'about to stop: not ready any more')
        await delay(milliseconds)
      }
    })
    const open = new Set<Socket>()
    server.on('connection', (socket) => {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    })
    app.addHook('preClose', async () => {
      isDraining = true
      const startedAt = performance.now()
      const timer = setInterval(() => {
        server.closeIdleConnections()
        if (performance.now() - startedAt < patience) return
        for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
      }, interval)
      timer.unref()
      server.once('close', () => clearInterval(timer))
    })
  },
  { name: 'connections', fastify: '5.x' }
)
