import { isIP, type Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Caller } from '../domain/audit-event.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends the request, and from where, as far as that is known by now. */
    readonly caller: Caller
  }
}

/** What a request says of its sender, looked up only where somebody asks: most requests are of no account to anybody. */
class RequestCaller implements Caller {
  readonly source = 'request'
  readonly #request: FastifyRequest

  constructor(request: FastifyRequest) {
    this.#request = request
  }

  /** A dual-stack socket shows IPv4 as ::ffff:192.0.2.1; a zone (%eth0) means nothing to anybody else. */
  get address(): string | null {
    // Not there where somebody hung up before this process had heard of the connection.
    const ip: string | undefined = this.#request.ip
    const address = ip?.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '') ?? ''
    return isIP(address) === 0 ? null : address
  }

  /** What the browser says of itself, without what no terminal should print. */
  get userAgent(): string | null {
    return this.#request.headers['user-agent']?.replace(/[^\x20-\x7e]/g, '').slice(0, 256) || null
  }

  get accountId(): string | null {
    return this.#request.principalOrNull?.accountId ?? null
  }

  get sessionId(): string | null {
    return this.#request.principalOrNull?.sessionId ?? null
  }

  get clientId(): string | null {
    return this.#request.clientOrNull?.id ?? this.#request.principalOrNull?.clientId ?? null
  }

  get amr(): readonly string[] {
    return this.#request.principalOrNull?.amr ?? []
  }
}

/** Tells who sends a request. */
export const callers = fp(
  async (app) => {
    // Node asks the system for the other end while the connection is open, and keeps the answer: whoever hangs up while
    // their request is done is still known to whatever it does.
    app.server.on('connection', (socket: Socket) => void socket.remoteAddress)
    app.decorateRequest('caller', {
      getter() {
        return new RequestCaller(this as FastifyRequest)
      }
    } as never)
  },
  { name: 'callers', fastify: '5.x' }
)
