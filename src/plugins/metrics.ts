import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import fp from 'fastify-plugin'
import { Gauge, Registry } from 'prom-client'

declare module 'fastify' {
  interface FastifyInstance {
    /** What Prometheus is told. */
    readonly metrics: Registry
  }
}

export interface MetricsOptions {
  readonly host: string
  /** Null where nobody asks for metrics. */
  readonly port: number | null
}

/** Metrics for Prometheus, on a port of their own: they are for those who run the service alone. */
export const metrics = fp<MetricsOptions>(
  async (app, { host, port }) => {
    const registry = new Registry()
    app.decorate('metrics', registry)

    new Gauge({
      name: 'keyturn_revocation_staleness_seconds',
      help: 'Seconds for which something may have been revoked that this replica has not read.',
      registers: [registry],
      collect() {
        this.set(app.revocations.staleness() / 1000)
      }
    })
    new Gauge({
      name: 'keyturn_revocations',
      help: 'Revocations that this replica holds in memory.',
      registers: [registry],
      collect() {
        this.set(app.revocations.size())
      }
    })

    if (port === null) return
    let server: Server | undefined
    app.addHook('onListen', async () => {
      server = createServer(async (request, response) => {
        const isAsked = request.method === 'GET' && request.url?.split('?')[0] === '/metrics'
        const text = isAsked ? await registry.metrics() : 'GET /metrics\n'
        response.writeHead(isAsked ? 200 : 404, { 'content-type': isAsked ? registry.contentType : 'text/plain' })
        response.end(text)
      })
      server.listen(port, host)
      await once(server, 'listening')
    })
    app.addHook('onClose', async () => {
      server?.closeAllConnections()
      server?.close()
    })
  },
  { name: 'metrics', dependencies: ['revocations'], fastify: '5.x' }
)
