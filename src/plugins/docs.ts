import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'

const prefix = '/docs'
/** What of a request its answer depends on, beside the path. */
const conditions = ['if-none-match', 'if-modified-since', 'accept-encoding'] as const

const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** An instance that has the pages of Swagger UI and nothing else. */
async function makePages(document: Record<string, unknown>): Promise<FastifyInstance> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui')
  ])
  const pages = Fastify()
  await pages.register(swagger, { mode: 'static', specification: { document: document as never } })
  await pages.register(swaggerUi, {
    routePrefix: prefix,
    staticCSP: contentSecurityPolicy,
    // The standalone layout brings a bar with a style that the policy refuses, and a box that loads other documents.
    uiConfig: { layout: 'BaseLayout', deepLinking: true, validatorUrl: null } as never,
    theme: { title: 'Keyturn', favicon: [] }
  })
  await pages.ready()
  return pages
}

/**
 * Swagger UI at /docs. The libraries for it take as long to load as a tenth of a start, and nobody may look for months:
 * they are loaded for whoever is the first.
 */
export const docs = fp(
  async (app) => {
    let pages: Promise<FastifyInstance> | undefined
    /** Made once; what could not be made is tried again by the next who looks. */
    const open = () => {
      pages ??= app
        .openapi()
        .then(makePages)
        .catch((error) => {
          pages = undefined
          throw error
        })
      return pages
    }
    for (const url of [prefix, `${prefix}/*`]) {
      app.get(url, { schema: { hide: true } }, async (request, reply) => {
        const headers = Object.fromEntries(
          conditions.flatMap((name) => (request.headers[name] ? [[name, request.headers[name]]] : []))
        )
        const page = await (await open()).inject({ method: 'GET', url: request.url, headers })
        if (page.statusCode >= 500) throw new Error(`the page could not be made: ${page.body}`)
        if (page.statusCode >= 400) throw new Refusal('not_found')
        const { connection: _connection, date: _date, ...told } = page.headers
        return reply
          .code(page.statusCode)
          .headers(told)
          .send(page.statusCode === 304 ? undefined : page.rawPayload)
      })
    }
  },
  { name: 'docs', dependencies: ['openapi'], encapsulate: true, fastify: '5.x' }
)
