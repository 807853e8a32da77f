import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import fp from 'fastify-plugin'

export interface ResponseHeadersOptions {
  readonly secure: boolean
  /** Exact origins that may call with credentials. */
  readonly allowedOrigins: ReadonlySet<string>
}

/** Headers of every response: nothing of it may run, be framed or be read by an origin that is not allowed. */
export const responseHeaders = fp<ResponseHeadersOptions>(
  async (app, { secure, allowedOrigins }) => {
    await app.register(helmet, {
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"] }
      },
      crossOriginResourcePolicy: { policy: 'same-origin' },
      referrerPolicy: { policy: 'no-referrer' },
      strictTransportSecurity: secure ? { maxAge: 31_536_000, includeSubDomains: true } : false
    })
    const allowed = {
      origin: [...allowedOrigins],
      credentials: true,
      methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ['authorization', 'content-type', 'dpop', 'x-auth-request'],
      // Date: a page whose clock is wrong makes proofs by the one that counts.
      exposedHeaders: ['date', 'dpop-nonce', 'www-authenticate', 'retry-after', 'x-request-id'],
      maxAge: 600
    }
    // An OPTIONS request without the headers of a preflight is a question to the route itself.
    await app.register(cors, {
      delegator: (request, done) =>
        done(null, { ...allowed, preflight: 'access-control-request-method' in request.headers })
    })
    app.addHook('onSend', async (request, reply) => {
      reply.header('x-request-id', request.id)
    })
  },
  { name: 'response-headers', fastify: '5.x' }
)
