import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { moment } from './moment.js'

/** What may happen to a request between a browser and the service. */
export type Fault =
  /** The connection breaks before the service hears of it. */
  | { readonly kind: 'unheard' }
  /** The service does it, and the connection breaks before its answer arrives. */
  | { readonly kind: 'lost' }
  /** Somebody in between answers. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: string
    }
  /** The service's answer waits until it is let go. */
  | { readonly kind: 'held'; readonly until: Promise<unknown>; arrived(): void }
  /** The request itself waits before the service hears of it, which it never does where the browser gives it up meanwhile. */
  | { readonly kind: 'slow'; readonly until: Promise<unknown>; arrived(): void }

export interface Front {
  readonly url: string
  /** Where the requests of the service's paths go; set once there is one. */
  upstream: URL | undefined
  /** What the front itself serves, by path. */
  readonly files: Map<string, { readonly type: string; readonly body: string }>
  /** The service's requests that came, oldest first. */
  readonly requests: Array<{
    readonly method: string
    readonly path: string
    readonly headers: IncomingMessage['headers']
  }>
  count(path: string): number
  /** Does this to the next request of a path. */
  once(path: string, fault: Fault): void
  /** Does this to all requests of the service, until it is mended. */
  break(fault: Fault): void
  mend(): void
  /** Holds the answer to the next request of a path. */
  hold(path: string): { readonly arrived: Promise<void>; release(): void }
  /** Holds the next request of a path before the service hears of it. */
  delay(path: string): { readonly arrived: Promise<void>; release(): void }
}

async function forward(request: IncomingMessage, body: Buffer, upstream: URL) {
  const outgoing = http.request(new URL(request.url!, upstream), { method: request.method!, headers: request.headers })
  outgoing.end(body)
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { answer, text: Buffer.concat(await answer.toArray()) }
}

/** A small server in front of the service that breaks what a test wants broken; pages and the service are one origin. */
export async function front(t: Test): Promise<Front> {
  const queues = new Map<string, Fault[]>()
  let broken: Fault | undefined
  const requests: Front['requests'] = []
  const files: Front['files'] = new Map()

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url!, 'http://front').pathname
    const file = files.get(path)
    if (file) return void response.writeHead(200, { 'content-type': file.type }).end(file.body)
    const body = Buffer.concat(await request.toArray())
    if (result.upstream === undefined || path === '/favicon.ico') return void response.writeHead(404).end()
    requests.push({ method: request.method!, path, headers: request.headers })
    const fault = queues.get(path)?.shift() ?? broken
    if (fault?.kind === 'unheard') return void request.socket.destroy()
    if (fault?.kind === 'answer') return void response.writeHead(fault.status, fault.headers).end(fault.body)
    if (fault?.kind === 'slow') {
      fault.arrived()
      await fault.until
      if (request.socket.destroyed) return
    }
    const { answer, text } = await forward(request, body, result.upstream)
    if (fault?.kind === 'lost') return void request.socket.destroy()
    if (fault?.kind === 'held') {
      fault.arrived()
      await fault.until
    }
    response.writeHead(answer.statusCode!, answer.rawHeaders).end(text)
  }

  function pause(path: string, kind: 'held' | 'slow') {
    const [arrival, end] = [moment(), moment()]
    result.once(path, { kind, until: end.there, arrived: arrival.come })
    return { arrived: arrival.there, release: end.come }
  }

  const server = http.createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const result: Front = {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    upstream: undefined,
    files,
    requests,
    count: (path) => requests.filter((one) => one.path === path).length,
    once(path, fault) {
      queues.set(path, [...(queues.get(path) ?? []), fault])
    },
    break(fault) {
      broken = fault
    },
    mend() {
      broken = undefined
      queues.clear()
    },
    hold: (path) => pause(path, 'held'),
    delay: (path) => pause(path, 'slow')
  }
  return result
}
