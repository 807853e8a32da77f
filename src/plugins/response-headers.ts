import cors from '@fastify/cors'
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import Fastify from 'fastify'
import fp from 'fastify-plugin'

export interface ResponseHeadersOptions {
  readonly secure: boolean
  /** Exact origins that may call with credentials. */
  readonly allowedOrigins: ReadonlySet<string>
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Headers of every response; for those that no hook is run for. */
    readonly protectiveHeaders: Readonly<Record<string, string>>
  }
}

/** What helmet says for these options. It is the same for every response, so it is asked once. */
async function headersOf(options: FastifyHelmetOptions): Promise<Record<string, string>> {
  const sample = Fastify()
  await sample.register(helmet, options)
  const said = new Map<string, string>()
  sample.get('/', async (_request, reply) => {
    for (const [name, value] of Object.entries(reply.raw.getHeaders())) said.set(name, String(value))
  })
  await sample.inject('/')
  await sample.close()
  return Object.fromEntries(said)
}

/** Headers of every response: nothing of it may run, be framed or be read by an origin that is not allowed. */
export const responseHeaders = fp<ResponseHeadersOptions>(
  async (app, { secure, allowedOrigins }) => {
    const protective = await headersOf({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] }
      },
      crossOriginResourcePolicy: { policy: 'same-origin' },
      referrerPolicy: { policy: 'no-referrer' },
      strictTransportSecurity: secure ? { maxAge: 31_536_000, includeSubDomains: true } : false
    })
    app.decorate('protectiveHeaders', protective)
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(protective)
      done()
    })
    const allowed = {
      origin: [...allowedOrigins],
      credentials: true,
      methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ['authorization', 'content-type', 'dpop', 'x-auth-request'],
      // Date: a page whose clock is wrong makes proofs by the one that counts.
      exposedHeaders: [
        'date',
        'dpop-nonce',
        'ratelimit',
        'ratelimit-policy',
        'retry-after',
        'www-authenticate',
        'x-request-id'
      ],
      maxAge: 600
    }
    // An OPTIONS request without the headers of a preflight is a question to the route itself.
    const direct = { ...allowed, preflight: false }
    const closed = { origin: false, preflight: false }
    await app.register(cors, {
      delegator({ headers }, done) {
        // Whoever names no origin is no page of another one, and needs to be told nothing.
        if (headers.origin === undefined) done(null, closed)
        else done(null, 'access-control-request-method' in headers ? allowed : direct)
      }
    })
    app.addHook('onSend', (request, reply, payload, done) => {
      reply.header('x-request-id', request.id)
      done(null, payload)
    })
  },
  { name: 'response-headers', fastify: '5.x' }
)
