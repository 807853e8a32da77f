import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import fp from 'fastify-plugin'

interface Operation {
  readonly responses: Record<string, { content?: Record<string, { schema: object }> } | undefined>
}

/** Validators are compiled once a process: every app has the same document. */
const validators = new Map<string, ValidateFunction>()

/**
 * Holds every response against the OpenAPI document: its status must be in it, its content type and its body must be
 * what it says. What does not hold is pushed to `faults`.
 */
export const contract = (faults: string[]) =>
  fp(async (app) => {
    app.addHook('onSend', async (request, reply, payload) => {
      const url = request.routeOptions.url?.replace(/:(\w+)/g, '{$1}')
      if (url === undefined) return
      const document = app.openapi() as { paths: Record<string, Record<string, Operation>>; components: object }
      const operation = document.paths[url]?.[request.method.toLowerCase()]
      if (operation === undefined) return
      const where = `${request.method} ${url} ${reply.statusCode}`
      const response = operation.responses[String(reply.statusCode)]
      if (response === undefined) {
        // Any route may answer these to anybody; the document says so once, in its description.
        if (reply.statusCode !== 500) faults.push(`${where}: this status is not in the document`)
        return
      }
      if (payload == null || payload === '') return
      const type = String(reply.getHeader('content-type')).split(';')[0]!
      const isJson = type.endsWith('json')
      const schema =
        response.content?.[type]?.schema ?? (isJson ? response.content?.['application/json']?.schema : undefined)
      if (schema === undefined) {
        faults.push(`${where}: content type ${type} is not in the document`)
        return
      }
      const key = `${where} ${type}`
      let validate = validators.get(key)
      if (validate === undefined) {
        const ajv = new Ajv2020({ strict: false, allErrors: true })
        addFormats.default(ajv)
        validate = ajv.compile({ ...schema, components: document.components })
        validators.set(key, validate)
      }
      if (!validate(isJson ? JSON.parse(String(payload)) : payload))
        faults.push(`${where}: ${JSON.stringify(validate.errors)}`)
    })
  })
