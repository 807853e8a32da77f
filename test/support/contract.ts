import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fp from 'fastify-plugin'
import { readOpenapi } from './openapi.js'

interface Operation {
  readonly responses: Record<string, { content?: Record<string, { schema: object }> } | undefined>
}

const document = readOpenapi<{ paths: Record<string, Record<string, Operation>>; components: object }>()
const templates = Object.entries(document.paths).map(([template, operations]) => ({
  template,
  operations,
  path: new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`)
}))
const ajv = new Ajv2020({ strict: false, allErrors: true })
addFormats.default(ajv)
const validators = new Map<string, ValidateFunction>()

export interface Answer {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly contentType: string | undefined
  readonly body: string
}

/**
 * What an answer is that openapi.yaml does not say: its status, its content type and its body are looked at. Undefined
 * where all holds, or where the document knows no such operation.
 */
export function contractFault({ method, url, status, contentType, body }: Answer): string | undefined {
  const [path = ''] = url.split('?')
  const found = templates.find((one) => one.path.test(path))
  const operation = found?.operations[method.toLowerCase()]
  if (found === undefined || operation === undefined || status === 500) return undefined
  const where = `${method} ${found.template} ${status}`
  const response = operation.responses[String(status)]
  if (response === undefined) return `${where}: this status is not in the document`
  if (body === '') return undefined
  const type = String(contentType).split(';')[0]!
  const isJson = type.endsWith('json')
  const schema =
    response.content?.[type]?.schema ?? (isJson ? response.content?.['application/json']?.schema : undefined)
  if (schema === undefined) return `${where}: content type ${type} is not in the document`
  const key = `${where} ${type}`
  let validate = validators.get(key)
  if (validate === undefined) {
    validate = ajv.compile({ ...schema, components: document.components })
    validators.set(key, validate)
  }
  return validate(isJson ? JSON.parse(body) : body) ? undefined : `${where}: ${JSON.stringify(validate.errors)}`
}

/** Holds every response of an app against the document. What does not hold is pushed to `faults`. */
export const contract = (faults: string[]) =>
  fp(async (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      if (request.routeOptions.url === undefined) return
      const type = reply.getHeader('content-type')
      const fault = contractFault({
        method: request.method,
        url: request.url,
        status: reply.statusCode,
        contentType: type === undefined ? undefined : String(type),
        body: payload == null ? '' : String(payload)
      })
      if (fault !== undefined) faults.push(fault)
    })
  })
