import fc from 'fast-check'
import { readOpenapi } from '../support/openapi.js'

/** openapi.yaml as the fuzzer reads it: a route that is new there is fuzzed without anybody doing anything. */

export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly format?: string
  readonly minLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly schema: Schema
}

interface OperationObject {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<Record<string, unknown>>
}

export interface Operation {
  readonly method: string
  readonly template: string
  readonly parameters: readonly Parameter[]
  readonly body: { readonly type: string; readonly schema: Schema } | undefined
  /** The statuses that it may answer with. */
  readonly statuses: ReadonlySet<number>
}

const document = readOpenapi<{
  paths: Record<string, Record<string, OperationObject>>
  components: { schemas: Record<string, Schema> }
}>()

export const operations: readonly Operation[] = Object.entries(document.paths).flatMap(([template, methods]) =>
  Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => {
    const [body] = Object.entries(requestBody?.content ?? {})
    return {
      method: method.toUpperCase(),
      template,
      parameters,
      body: body && { type: body[0], schema: body[1].schema },
      statuses: new Set(Object.keys(responses).map(Number))
    }
  })
)

function resolve(schema: Schema): Schema {
  if (schema.$ref === undefined) return schema
  return resolve(document.components.schemas[schema.$ref.split('/').at(-1)!]!)
}

/**
 * Texts that are right, by the name of the member, the parameter or the place in the path that they stand in. `{{…}}` is
 * filled in when the request is sent. Names that are not here get any text at all.
 */
const rightTexts: Readonly<Record<string, readonly string[]>> = {
  username: ['{{username}}', '{{otherUsername}}', 'nobody', 'new-{{unique}}'],
  email: ['{{unique}}@app.test', 'nobody@app.test'],
  password: ['{{password}}', 'wrong but long enough'],
  current_password: ['{{password}}', 'wrong but long enough'],
  new_password: ['{{password}}'],
  refresh_token: ['{{refresh}}', '{{cookieRefresh}}', '{{access}}', '{{apiToken}}'],
  token: ['{{refresh}}', '{{access}}', '{{apiToken}}', '{{serviceToken}}'],
  invitation: ['{{invitation}}'],
  client_id: ['{{clientId}}', 'web'],
  client_secret: ['{{clientSecret}}'],
  client_assertion: ['{{assertion}}', '{{access}}'],
  id: ['{{accountId}}', '{{otherAccountId}}', '{{sessionId}}', '{{apiTokenId}}', '{{clientId}}', '1'],
  token_id: ['{{apiTokenId}}'],
  name: ['staff', 'admin', 'role-{{unique}}'],
  demand: ['role:staff', 'authenticated', 'scope:a,methods:GET'],
  code: ['token_invalid', 'nothing'],
  since: ['{{cursor}}', '0'],
  // Nobody waits here for what does not come.
  wait: ['0'],
  limit: ['1', '100'],
  roles: ['staff'],
  permissions: ['shop.view'],
  scopes: ['read'],
  expires_at: ['2030-06-01T00:00:00Z']
}

/** A value that the schema takes, most of the time. */
export function valueFor(schema: Schema, name = ''): fc.Arbitrary<unknown> {
  const { enum: choices, const: only, anyOf, oneOf, allOf, properties, items, ...rest } = resolve(schema)
  if (only !== undefined) return fc.constant(only)
  if (choices !== undefined) return fc.constantFrom(...choices)
  const alternatives = anyOf ?? oneOf
  if (alternatives !== undefined) return fc.oneof(...alternatives.map((one) => valueFor(one, name)))
  if (allOf !== undefined)
    return fc
      .tuple(...allOf.map((one) => valueFor(one, name)))
      .map((parts) => Object.assign({}, ...(parts as object[])))
  const type = Array.isArray(rest.type) ? rest.type[0] : rest.type
  if (properties !== undefined) {
    const members = Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, valueFor(one, key)]))
    const requiredKeys = Object.keys(members).filter((key) => rest.required?.includes(key))
    return fc.record(members, { requiredKeys })
  }
  if (type === 'array') return fc.array(valueFor(items ?? {}, name), { maxLength: 3 })
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  if (type === 'integer' || type === 'number') {
    return fc.integer({ min: rest.minimum ?? 0, max: Math.min(rest.maximum ?? 1_000, 1_000_000) })
  }
  if (type === 'object') return fc.constant({})
  const known = rightTexts[name]
  return known === undefined ? fc.string({ minLength: rest.minLength ?? 0, maxLength: 30 }) : fc.constantFrom(...known)
}
