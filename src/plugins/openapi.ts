import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { describeRequirement, isOpen } from '../domain/requirement.js'
import { problems } from '../schemas/common.js'
import type { Authenticator } from './authenticators.js'

export interface OpenapiOptions {
  readonly version: string
  readonly serverUrl: string
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The whole interface as an OpenAPI 3.1 document, made from the routes. */
    openapi(): Promise<Record<string, unknown>>
  }
}

type Json = null | boolean | number | string | Json[] | { [member: string]: Json }

/** Moves every schema with a title into the components, so that the document says each thing once. */
function hoist(node: Json, components: Record<string, Json>): Json {
  if (Array.isArray(node)) return node.map((item) => hoist(item, components))
  if (typeof node !== 'object' || node === null) return node
  const copy = Object.fromEntries(Object.entries(node).map(([member, value]) => [member, hoist(value, components)]))
  const { title } = copy
  const isSchema = typeof title === 'string' && /^[A-Z]\w*$/.test(title) && ('type' in copy || 'anyOf' in copy)
  if (!isSchema) return copy
  components[title] = copy
  return { $ref: `#/components/schemas/${title}` }
}

/**
 * The security scheme of an authenticator that is there by configuration alone, as its challenge tells it. Without one
 * nobody knows where its credential goes; a header of the same name is the nearest that OpenAPI can say.
 */
function schemeOf({ name, challenge }: Authenticator) {
  if (challenge === undefined) {
    const description = 'An authenticator of this installation. It has no challenge; its owners say where the key goes.'
    return { type: 'apiKey', in: 'header', name, description } as const
  }
  const [scheme = ''] = challenge.split(/[ ,]/)
  return {
    type: 'http',
    scheme: scheme.toLowerCase(),
    description: `An authenticator of this installation, with the challenge \`${challenge}\`.`
  } as const
}

/**
 * An instance whose routes are those that are given, by their schemas alone. The library follows routes while they are
 * registered, and takes long to load for a document that few ask for: so it follows them here, once somebody does.
 */
async function describe(
  routes: readonly RouteOptions[],
  { version, serverUrl }: OpenapiOptions
): Promise<FastifyInstance> {
  const { default: swagger } = await import('@fastify/swagger')
  const described = Fastify({ exposeHeadRoutes: false })
  described.setValidatorCompiler(() => () => true).setSerializerCompiler(() => () => '')
  await described.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Keyturn',
        version,
        summary: 'Stateless JWT authentication service',
        description:
          'Sessions with rotating refresh tokens, and access tokens that any service verifies offline with the key set. ' +
          'Errors are RFC 9457 problems; switch on `code`. ' +
          'The endpoints for clients of Django REST Framework (`AUTH_DRF`) are in docs/django.md.',
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: serverUrl, description: 'This installation' }],
      tags: [
        { name: 'accounts', description: 'Sign-up' },
        { name: 'sessions', description: 'Sign-in, refresh, sign-out' },
        { name: 'account', description: 'The own account and its devices' },
        { name: 'API tokens', description: 'Long-lived keys for scripts and services' },
        { name: 'OAuth', description: 'For services that ask; forms in, RFC 6749 errors out' },
        { name: 'proxies', description: 'For proxies that ask before they pass a request on' },
        { name: 'administration', description: 'Other accounts; role `admin`' },
        { name: 'discovery', description: 'For those who verify tokens' },
        { name: 'operation', description: 'Probes and documentation' }
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'RFC 9068, RFC 6750.' },
          token: {
            type: 'apiKey',
            in: 'header',
            name: 'Authorization',
            description: '`Token <key>`: an API token, or a key that came from Django.'
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: '__Host-Http-session',
            description: 'For pages. Unsafe methods also need the header `X-Auth-Request` and an allowed origin.'
          },
          client: {
            type: 'http',
            scheme: 'basic',
            description:
              'A client by its id and secret (RFC 6749 §2.3.1), here or as `client_id` and `client_secret` in the form; ' +
              'or by `client_assertion`, a JWT that it signed (RFC 7523). The public client sends `client_id` alone.'
          }
        }
      }
    },
    transform({ schema, url, route, ...document }) {
      const { requirement, authenticators = [], access, clientAuthentication, proxy } = route.config ?? {}
      // Hidden routes are not in the document, and neither are those whom they alone ask.
      if (schema?.hide !== true && 'openapiObject' in document) {
        const known = document.openapiObject.components!.securitySchemes!
        for (const one of access?.authenticators ?? []) known[one.name] ??= schemeOf(one)
      }
      const security = authenticators.map((name) => ({ [name]: [] }))
      // Whoever comes in anyway needs no credential, and may bring one.
      if (security.length > 0 && requirement !== undefined && isOpen(requirement)) security.unshift({})
      if (clientAuthentication !== undefined) security.push({ client: [] })
      const isGuarded = requirement !== undefined && !isOpen(requirement)
      const described = isGuarded ? { 'x-requirement': describeRequirement(requirement) } : {}
      // Whoever sends a password is counted, at every route that looks at credentials. Proxies are told in their own way.
      const isCounted = security.length > 0 && proxy === undefined
      // Bodies are read before a route is asked, also where it has no use for one; so are places in the path.
      const mayHaveBody = [route.method].flat().some((method) => method !== 'GET' && method !== 'HEAD')
      const before = {
        ...(url.includes(':') ? problems(400) : {}),
        ...(mayHaveBody ? problems(400, 413, 415) : {}),
        ...(isCounted ? problems(429) : {})
      }
      const told = schema?.response && proxy === undefined ? { response: { ...before, ...schema.response } } : {}
      return { schema: { ...schema, ...told, security, ...described } as never, url }
    }
  })
  for (const { method, url, schema, config } of routes) {
    described.route({ method, url, handler: async () => '', ...(schema && { schema }), ...(config && { config }) })
  }
  await described.ready()
  return described
}

/** openapi.yaml, made from the routes: registered before them. */
export const openapi = fp<OpenapiOptions>(
  async (app, options) => {
    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => {
      if (route.method !== 'HEAD') routes.push(route)
    })
    let described: Promise<FastifyInstance> | undefined
    app.decorate('openapi', async () => {
      // Made once; what could not be made is tried again by the next who asks.
      described ??= describe(routes, options).catch((error) => {
        described = undefined
        throw error
      })
      const document = JSON.parse(JSON.stringify((await described).swagger())) as {
        components: { schemas?: Record<string, Json> }
        paths: Json
      }
      const schemas: Record<string, Json> = {}
      document.paths = hoist(document.paths, schemas)
      document.components.schemas = Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)))
      return document as unknown as Record<string, unknown>
    })
  },
  { name: 'openapi', fastify: '5.x' }
)
