import cors, { type FastifyCorsOptions } from '@fastify/cors'
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import Fastify, { type FastifyInstance, type onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'

export interface ResponseHeadersOptions {
  readonly secure: boolean
  /** Exact origins that may call with credentials. */
  readonly allowedOrigins: ReadonlySet<string>
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

type Delegator = (
  request: { headers: NodeJS.Dict<unknown> },
  done: (error: null, options: FastifyCorsOptions) => void
) => void

/** What @fastify/cors does at each request, to be done only where it concerns one: it makes its options anew each time. */
async function corsHook(app: FastifyInstance, delegator: Delegator): Promise<onRequestHookHandler> {
  let hook: onRequestHookHandler | undefined
  const registrar = Object.create(app, {
    addHook: {
      value(_name: string, handler: onRequestHookHandler) {
        hook = handler
      }
    }
  })
  await new Promise<void>((resolve, reject) => {
    cors(registrar, { delegator } as never, (error) => (error ? reject(error) : resolve()))
  })
  return hook!
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
    const share = await corsHook(app, ({ headers }, done) =>
      done(null, 'access-control-request-method' in headers ? allowed : direct)
    )
    const common = { ...protective, vary: 'Origin' }
    app.addHook('onRequest', function (request, reply, done) {
      reply.headers(common).header('x-request-id', request.id)
      // Whoever names no origin is no page of another one, and needs to be told nothing.
      if (request.headers.origin === undefined) done()
      else share.call(this, request, reply, done)
    })
  },
  { name: 'response-headers', fastify: '5.x' }
)
