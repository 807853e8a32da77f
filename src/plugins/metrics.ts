import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { loadClasses } from '../domain/overload.js'
import { breakerOf, connectionsOf } from './database.js'

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

/** Seconds: what a cached look takes, up to what a queue of passwords may. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** What is looked at when somebody asks. */
function addGauges(app: FastifyInstance, registers: Registry[]): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      }
    })
  gauge(
    'keyturn_revocation_staleness_seconds',
    'Seconds for which something may have been revoked that this replica has not read.',
    () => app.revocations.staleness() / 1000
  )
  gauge('keyturn_revocations', 'Revocations that this replica holds in memory.', () => app.revocations.size())
  gauge('keyturn_passwords_waiting', 'Passwords that wait to be hashed or checked.', () => app.waitingPasswords())
  gauge(
    'keyturn_requests_under_way',
    'Requests that are under way, but for those that verifiers and probes make.',
    () => app.overload.state().requests
  )
  gauge(
    'keyturn_overload_classes_refused',
    'How many classes of requests are refused because the event loop is late: sign-ins first, then changes, then the rest.',
    () => app.overload.state().refused
  )
  new Gauge({
    name: 'keyturn_database_breaker',
    help: 'Whether the database is asked (closed) or, since it did not answer, is not (open), but for a probe (probing).',
    labelNames: ['state'],
    registers,
    collect() {
      const { state } = breakerOf(app.db)
      for (const one of ['closed', 'open', 'probing'] as const) this.set({ state: one }, state === one ? 1 : 0)
    }
  })
  new Counter({
    name: 'keyturn_database_breaker_opened_total',
    help: 'How often the database was asked nothing for a while because it did not answer.',
    registers,
    collect() {
      this.reset()
      this.inc(breakerOf(app.db).opened)
    }
  })
  gauge('keyturn_audit_waiting', 'Audit events that wait to be written.', () => app.audit.waiting())
  new Counter({
    name: 'keyturn_audit_dropped_total',
    help: 'Audit events that were not written, because too many waited or Postgres refused them.',
    registers,
    collect() {
      this.reset()
      this.inc(app.audit.dropped())
    }
  })
  new Gauge({
    name: 'keyturn_database_connections',
    help: 'Connections of the pool, by what they do; `waiting` are statements without one.',
    labelNames: ['state'],
    registers,
    collect() {
      const { open, idle, waiting } = connectionsOf(app.db)
      this.set({ state: 'busy' }, open - idle)
      this.set({ state: 'idle' }, idle)
      this.set({ state: 'waiting' }, waiting)
    }
  })
}

/** What is counted as it happens: it costs each request a little, so only where somebody asks. */
function addCounters(app: FastifyInstance, registers: Registry[]): void {
  const events = new Counter({
    name: 'keyturn_events_total',
    help: 'What happened, by the name under which the log tells of it.',
    labelNames: ['event'],
    registers
  })
  app.onEvent((event) => events.inc({ event }))
  const requests = new Histogram({
    name: 'keyturn_request_duration_seconds',
    help: 'Seconds from a request to its answer, by route.',
    labelNames: ['method', 'route', 'status'],
    buckets,
    registers
  })
  app.addHook('onResponse', (request, reply, done) => {
    // The route, never the URL: whoever asks for a thousand paths must not make a thousand series.
    const route = request.routeOptions.url ?? 'none'
    requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
    done()
  })
  const limited = new Counter({
    name: 'keyturn_rate_limited_total',
    help: 'Requests that were refused because there were too many, by the limit.',
    labelNames: ['policy'],
    registers
  })
  app.rateLimits.onExceeded((policy) => limited.inc({ policy }))
  const refused = new Counter({
    name: 'keyturn_overload_refused_total',
    help: 'Requests that were answered 503 at the door because there was too much to do, by what they were for.',
    labelNames: ['class'],
    registers
  })
  for (const one of loadClasses) if (one !== 'vital') refused.inc({ class: one }, 0)
  app.overload.onRefused((loadClass) => refused.inc({ class: loadClass }))
}

/** Metrics for Prometheus, on a port of their own: they are for those who run the service alone. */
export const metrics = fp<MetricsOptions>(
  async (app, { host, port }) => {
    const registry = new Registry()
    app.decorate('metrics', registry)
    addGauges(app, [registry])
    if (port === null) return
    addCounters(app, [registry])
    collectDefaultMetrics({ register: registry })

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
  {
    name: 'metrics',
    dependencies: ['revocations', 'passwords', 'overload', 'flows', 'rate-limits', 'audit'],
    fastify: '5.x'
  }
)
