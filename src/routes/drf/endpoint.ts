import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DrfError, detail } from '../../domain/drf.js'
import type { LoadClass } from '../../domain/overload.js'
import { allow, type Requirement } from '../../domain/requirement.js'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Access {
  readonly load?: LoadClass
  readonly requirement: Requirement
  readonly authenticators: readonly string[]
}

/** Views that look at no credential (`authentication_classes = []`, `AllowAny`). */
export const open: Access = { load: 'session', requirement: allow.allowAny(), authenticators: [] }
/** Those of them where somebody signs in or registers. */
export const door: Access = { ...open, load: 'sign_in' }

export interface Field {
  readonly type: string
  readonly required: boolean
  readonly read_only: boolean
  readonly label: string
  readonly max_length?: number
  readonly help_text?: string
}

export interface Endpoint {
  readonly url: string
  /** For OPTIONS. */
  readonly name: string
  readonly description?: string
  readonly fields?: Readonly<Record<string, Field>>
  /** Media types in the view's own order. */
  readonly parses?: readonly string[]
  /** Who may come in: for the methods that say nothing else, for OPTIONS, and to be told that a method is not allowed. */
  readonly access: Access
  readonly methods: { readonly [M in Method]?: (request: FastifyRequest) => Promise<Answer> }
  /** Methods that let in others. */
  readonly accessOf?: { readonly [M in Method]?: Access }
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
}

export const ok = (body: unknown): Answer => ({ status: 200, body })
export const noContent: Answer = { status: 204 }

export const text = (label: string, required = true, readOnly = false): Field => ({
  type: 'string',
  required,
  read_only: readOnly,
  label
})

const order = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'] as const
const schema = { hide: true } as object

/** A view of Django REST Framework: its methods, `Allow` on every answer, 405 for the others, and OPTIONS about itself. */
export function addEndpoint(app: FastifyInstance, endpoint: Endpoint): void {
  const { methods, access } = endpoint
  const allowed = order.filter(
    (method) => method in methods || method === 'OPTIONS' || (method === 'HEAD' && 'GET' in methods)
  )
  const allow = allowed.join(', ')
  const sayAllowed = async (_request: FastifyRequest, reply: FastifyReply) => void reply.header('allow', allow)
  const onRequest = [app.noteRequester, sayAllowed]

  const description = {
    name: endpoint.name,
    description: endpoint.description ?? '',
    renders: ['application/json'],
    parses: endpoint.parses ?? ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'],
    ...(endpoint.fields === undefined ? {} : { actions: { ['PUT' in methods ? 'PUT' : 'POST']: endpoint.fields } })
  }

  for (const method of order) {
    const own = methods[method as Method] ?? (method === 'HEAD' ? methods.GET : undefined)
    const config = endpoint.accessOf?.[method as Method] ?? access
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      if (method === 'OPTIONS') return reply.sendDrf(200, description)
      if (own === undefined) throw new DrfError(405, detail(`Method "${method}" not allowed.`))
      const { status, body } = await own(request)
      return reply.sendDrf(status, body)
    }
    app.route({ method, url: endpoint.url, schema, config, onRequest, handler, exposeHeadRoute: false })
  }
}
