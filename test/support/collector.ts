import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** A span as OTLP has it in JSON. */
export interface CollectedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly attributes: Record<string, unknown>
  readonly status: { code?: number; message?: string }
  readonly service: Record<string, unknown>
}

type Pairs = Array<{ key: string; value: Record<string, unknown> }>
const toObject = (pairs: Pairs) => Object.fromEntries(pairs.map(({ key, value }) => [key, Object.values(value)[0]]))

export interface Collector {
  readonly url: string
  /** Every body, as it came. */
  readonly bodies: string[]
  readonly requests: Array<{ url: string; headers: http.IncomingHttpHeaders }>
  spans(): CollectedSpan[]
}

/** A real receiver of OTLP over HTTP, on this machine. */
export async function collector(t: Test): Promise<Collector> {
  const bodies: string[] = []
  const requests: Collector['requests'] = []
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    requests.push({ url: request.url!, headers: request.headers })
    bodies.push(body)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    requests,
    spans: () =>
      bodies.flatMap((body) =>
        (JSON.parse(body).resourceSpans as Array<{ resource: { attributes: Pairs }; scopeSpans: unknown[] }>).flatMap(
          ({ resource, scopeSpans }) =>
            (scopeSpans as Array<{ spans: Array<CollectedSpan & { attributes: Pairs }> }>).flatMap(({ spans }) =>
              spans.map((span) => ({
                ...span,
                attributes: toObject(span.attributes as unknown as Pairs),
                service: toObject(resource.attributes)
              }))
            )
        )
      )
  }
}
