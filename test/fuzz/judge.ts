import { contractFault } from '../support/contract.js'
import { operations } from './document.js'

export interface Answer {
  readonly method: string
  readonly url: string
  readonly status: number
  readonly headers: (name: string) => string | undefined
  readonly body: string
}

/** What no answer may have in it: SQL, stacks, paths of files, and how passwords are kept. */
const insides =
  /\bat (async )?\w[\w.<>]* \(|\bat file:|node_modules|\.(ts|js):\d+|node:internal|\bselect ["*]|\binsert into\b|\bupdate "|syntax error at or near|relation "|duplicate key value|violates |invalid input syntax|pg_catalog|kysely|ECONNREFUSED|\$argon2|postgres(ql)?:\/\//i

const templates = operations.map((operation) => ({
  operation,
  path: new RegExp(`^${operation.template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`)
}))

/** The path as the router reads it. */
export function pathOf(url: string): string {
  const [path = ''] = url.split('?')
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

const isJson = (type: string) => /^application\/(problem\+)?json(;|$)/.test(type)

/** What is wrong with an answer; undefined where nothing is. `secrets` are what nobody else may be shown. */
export function faultOf(answer: Answer, secrets: readonly string[], isDrf: boolean): string | undefined {
  const { method, url, status, body } = answer
  const path = pathOf(url)
  const where = `${method} ${path} ${status}`
  const documented = templates.find(({ operation, path: form }) => operation.method === method && form.test(path))
  if (status >= 500 && !documented?.operation.statuses.has(status)) return `${where}: an error of the service: ${body}`
  if (status < 200 || status > 599) return `${where}: no status of an answer`
  const type = answer.headers('content-type') ?? ''
  // What cannot be decoded is refused before there is a route, also where a route has answers without a body.
  const isUndecodable = status === 400 && path.startsWith('/v1/forward-auth') && isJson(type)
  const outside = isUndecodable
    ? undefined
    : contractFault({ method, url: path.replaceAll('?', '%3f'), status, contentType: type, body })
  if (outside !== undefined) return `not what openapi.yaml says: ${outside}`
  const inside = insides.exec(body)
  // The page of a problem, and the document itself, may speak of anything.
  if (inside !== null && !/^\/(problems|openapi)/.test(path))
    return `${where}: ${JSON.stringify(inside[0])} is in the answer`
  if (answer.headers('server') !== undefined || answer.headers('x-powered-by') !== undefined)
    return `${where}: a banner`
  if (status < 400) return undefined

  const told = secrets.find((secret) => secret !== '' && body.includes(secret))
  if (told !== undefined) return `${where}: ${told.slice(0, 12)}… is repeated in an error`
  if (answer.headers('x-content-type-options') !== 'nosniff' && status !== 408) return `${where}: may be guessed at`
  if (method === 'HEAD') return undefined
  // Proxies read a status and headers.
  if (path.startsWith('/v1/forward-auth') && body === '' && status < 500) return undefined
  if (!isJson(type)) return `${where}: an error that is ${type || 'nothing'}: ${body.slice(0, 80)}`
  const error = JSON.parse(body) as { code?: unknown; error?: unknown; status?: unknown }
  if (isDrf) return undefined
  if (type.startsWith('application/problem+json')) {
    return typeof error.code === 'string' && error.status === status ? undefined : `${where}: no problem: ${body}`
  }
  return path.startsWith('/oauth/') && typeof error.error === 'string' ? undefined : `${where}: no problem: ${body}`
}
