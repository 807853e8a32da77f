import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context, Span, SpanOptions } from '@opentelemetry/api'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** What a span tells. Never what somebody sent: no header, no query, no path, no value of a statement. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

/** What a span is about, before it begins. */
export interface SpanDraft {
  /** One of few: a route, a statement's kind and table. */
  readonly name: string
  /** `client` for what asks another system. */
  readonly kind: 'internal' | 'client'
  readonly attributes: Attributes
}

export interface Tracing {
  /** Runs something as a span within the one that runs now; `tell` adds to what it tells. What is thrown marks it as failed. */
  span<T>(draft: SpanDraft, run: (tell: (attributes: Attributes) => void) => Promise<T>): Promise<T>
}

/** Runs something as a span where anybody looks at spans. */
export function traced<T>(
  tracing: Tracing | null,
  draft: SpanDraft,
  run: (tell: (attributes: Attributes) => void) => Promise<T>
): Promise<T> {
  return tracing === null ? run(() => {}) : tracing.span(draft, run)
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Null where nobody looks at spans. */
    readonly tracing: Tracing | null
  }
  interface FastifyRequest {
    span: Span | undefined
  }
}

type RootSampler = 'always_on' | 'always_off' | 'traceidratio'

export interface TracingOptions {
  /** Where spans are sent: the base address of OTLP over HTTP. Null for nowhere, and then nothing of this is loaded. */
  readonly endpoint: string | null
  readonly headers: Readonly<Record<string, string>>
  /** `service.name`, and what else every span says of its process. */
  readonly resource: Readonly<Record<string, string>>
  readonly sampler: RootSampler | `parentbased_${RootSampler}`
  /** Of `traceidratio`, from 0 to 1. */
  readonly ratio: number
  /** Milliseconds that the receiver of spans may take. */
  readonly timeout: number
}

/** What failed, in a word: a refusal's code, SQLSTATE or the kind of error, since messages repeat what was sent. */
function kindOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'error'
}

/** An exporter that says once when it cannot reach its receiver, and once more after it could. */
function telling(exporter: SpanExporter, warn: (error: string) => void): SpanExporter {
  let isTold = false
  return {
    export(spans: ReadableSpan[], done) {
      exporter.export(spans, (result) => {
        if (result.code !== 0 && !isTold) warn(result.error?.message ?? 'no reason given')
        isTold = result.code !== 0
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => await exporter.forceFlush?.()
  }
}

async function start(app: FastifyInstance, options: TracingOptions & { readonly endpoint: string }): Promise<void> {
  // Here alone, so that whoever traces nothing loads nothing; on Node 20 an AsyncLocalStorage slows every promise down.
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }, { W3CTraceContextPropagator }] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/core')
    ])
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api
  const { endpoint, headers, timeout, ratio } = options

  const base = options.sampler.replace('parentbased_', '')
  const root =
    base === 'always_off'
      ? new sdk.AlwaysOffSampler()
      : base === 'traceidratio'
        ? new sdk.TraceIdRatioBasedSampler(ratio)
        : new sdk.AlwaysOnSampler()
  const exporter = new OTLPTraceExporter({
    url: new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href,
    headers: { ...headers },
    timeoutMillis: timeout
  })
  const warn = (error: string) => app.log.warn({ error }, 'spans cannot be sent, and are lost meanwhile')
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ ...options.resource }),
    sampler: options.sampler.startsWith('parentbased') ? new sdk.ParentBasedSampler({ root }) : root,
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter: telling(exporter, warn), exportTimeoutMillis: timeout })]
  })
  const tracer = provider.getTracer('keyturn')
  const running = new AsyncLocalStorage<Context>()
  const kinds = { internal: SpanKind.INTERNAL, client: SpanKind.CLIENT }

  const begin = (name: string, spanOptions: SpanOptions, parent: Context) => {
    const span = tracer.startSpan(name, spanOptions, parent)
    return { span, context: trace.setSpan(parent, span) }
  }
  const fail = (span: Span, kind: string) => {
    span.setAttribute('error.type', kind)
    span.setStatus({ code: SpanStatusCode.ERROR })
  }

  app.decorate('tracing', {
    async span(draft, run) {
      const { name, attributes } = draft
      const { span, context } = begin(name, { kind: kinds[draft.kind], attributes }, running.getStore() ?? ROOT_CONTEXT)
      try {
        return await running.run(context, run, (more: Attributes) => void span.setAttributes(more))
      } catch (error) {
        fail(span, kindOf(error))
        throw error
      } finally {
        span.end()
      }
    }
  } satisfies Tracing)

  const propagator = new W3CTraceContextPropagator()
  const header = {
    keys: (carrier: Record<string, unknown>) => Object.keys(carrier),
    get: (carrier: Record<string, unknown>, key: string) => carrier[key] as string | string[] | undefined
  }
  app.decorateRequest('span', undefined)
  app.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url
    const begun = begin(
      route === undefined ? request.method : `${request.method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': request.method,
          'keyturn.request_id': request.id,
          ...(route === undefined ? {} : { 'http.route': route })
        }
      },
      propagator.extract(ROOT_CONTEXT, request.headers, header)
    )
    request.span = begun.span
    request.log = request.log.child({ trace_id: begun.span.spanContext().traceId })
    reply.log = request.log
    running.run(begun.context, done)
  })
  app.addHook('onResponse', async (request, { statusCode }) => {
    const { span } = request
    span?.setAttribute('http.response.status_code', statusCode)
    if (span !== undefined && statusCode >= 500) fail(span, String(statusCode))
    span?.end()
  })
  app.addHook('onRequestAbort', async ({ span }) => {
    if (span?.isRecording() !== true) return
    fail(span, 'aborted')
    span.end()
  })
  app.addHook('onClose', async () => {
    // What is left is sent; a receiver that is gone keeps nobody from stopping.
    await provider.shutdown().catch(() => {})
  })
}

/** Spans of what happens here, for OpenTelemetry. Before everything that makes some. */
export const tracing = fp<TracingOptions>(
  async (app, options) => {
    const { endpoint } = options
    if (endpoint === null) app.decorate('tracing', null)
    else await start(app, { ...options, endpoint })
  },
  { name: 'tracing', fastify: '5.x' }
)
