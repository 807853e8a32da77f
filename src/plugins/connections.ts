import type { Socket } from 'node:net'
import fp from 'fastify-plugin'

/** Milliseconds between two looks at the connections of a service that closes. */
const interval = 100
/** Milliseconds that a connection may take to say anything: a request may be on its way. */
const patience = 1_000

/**
 * Lets a service close as soon as its requests are answered. What Node closes by itself are the connections that are idle
 * at that moment; it would wait a minute for one that answers its last request afterwards and is kept alive, and for one
 * that was opened in advance, as browsers do, and never says anything.
 */
export const connections = fp(
  async (app) => {
    const { server } = app
    const open = new Set<Socket>()
    server.on('connection', (socket) => {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    })
    app.addHook('preClose', async () => {
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
