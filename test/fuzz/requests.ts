import fc from 'fast-check'
import { type Operation, operations, valueFor } from './document.js'
import { addressText, headerText, hostileJson } from './garbage.js'

/** A request as it will be sent, but for the `{{…}}` in it. Bodies and headers are bytes, written as latin1. */
export interface FuzzRequest {
  readonly method: string
  readonly url: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: string
  /** Over a socket of its own, byte for byte, instead of in the process. */
  readonly overSocket: boolean
}

/** Routes that openapi.yaml leaves out: the Django face, pages, and none at all. */
export interface Undocumented {
  readonly method: string
  readonly url: string
}

const form = 'application/x-www-form-urlencoded'
const latin1 = (text: string) => Buffer.from(text).toString('latin1')

/** A credential of some kind, whole or damaged: what damages one is written behind its name and done when it is filled in. */
const damage = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.nat(400).map((at) => `|flip:${at}`) },
  { weight: 1, arbitrary: fc.nat(400).map((at) => `|cut:${at}`) },
  { weight: 1, arbitrary: fc.constantFrom('|add:A', '|add:=', '|add: ', '|twice', '|upper') }
)
const credential = (...names: string[]) =>
  fc.tuple(fc.constantFrom(...names), damage).map(([name, change]) => `{{${name}${change}}}`)

const authorization = fc.oneof(
  { weight: 6, arbitrary: credential('access', 'adminAccess').map((token) => `Bearer ${token}`) },
  { weight: 2, arbitrary: credential('apiToken', 'adminApiToken').map((token) => `Token ${token}`) },
  { weight: 2, arbitrary: credential('basic', 'clientBasic').map((token) => `Basic ${token}`) },
  { weight: 1, arbitrary: credential('access', 'refresh').map((token) => `DPoP ${token}`) },
  { weight: 1, arbitrary: credential('refresh', 'serviceToken', 'apiToken').map((token) => `Bearer ${token}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('Bearer', 'Bearer ', 'bearer\t{{access}}', 'Basic Og==', 'Negotiate', 'Token')
  },
  { weight: 1, arbitrary: headerText }
)

const cookie = fc.oneof(
  {
    weight: 3,
    arbitrary: credential('sessionCookie').map((value) => `__Host-Http-session=${value}`)
  },
  { weight: 3, arbitrary: credential('cookieRefresh').map((value) => `__Host-Http-rt=${value}`) },
  { weight: 1, arbitrary: credential('deviceCookie').map((value) => `__Host-Http-device=${value}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '__Host-Http-session={{sessionCookie}}; __Host-Http-session={{sessionCookie}}',
      '__Host-Http-rt="{{cookieRefresh}}"',
      '__Host-Http-rt={{cookieRefresh}}; __Host-Http-rt=x',
      '__host-http-rt={{cookieRefresh}}',
      '__proto__=x; constructor=y',
      '=;=;=',
      `a=${'x'.repeat(5_000)}`,
      ';'.repeat(500)
    )
  },
  { weight: 1, arbitrary: headerText }
)

const mediaTypes = [
  'application/json',
  form,
  'text/plain',
  'multipart/form-data; boundary=x',
  'multipart/form-data',
  'application/json; charset=utf-16',
  'application/json;charset="',
  'application/JSON',
  'application/problem+json',
  'application/octet-stream',
  ',',
  ''
]

/** Headers beside those that say who somebody is and what the body is. */
const odd: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.tuple(fc.constant('cookie'), cookie),
  fc.tuple(fc.constant('authorization'), authorization),
  fc.tuple(fc.constant('content-type'), fc.constantFrom(...mediaTypes)),
  fc.tuple(
    fc.constantFrom(
      'dpop',
      'origin',
      'referer',
      'accept',
      'accept-encoding',
      'content-encoding',
      'if-none-match',
      'if-match',
      'if-modified-since',
      'last-event-id',
      'range',
      'user-agent',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-method',
      'x-forwarded-proto',
      'x-forwarded-uri',
      'x-original-url',
      'x-original-uri',
      'x-http-method-override',
      'forwarded',
      'sec-fetch-site',
      'x-auth-request',
      'access-control-request-method',
      'access-control-request-headers',
      'x-request-id',
      'traceparent',
      'upgrade-insecure-requests',
      '__proto__',
      'constructor',
      'x-content-length'
    ),
    headerText
  ),
  fc.constantFrom(
    ['x-auth-request', '1'],
    ['sec-fetch-site', 'same-origin'],
    ['sec-fetch-site', 'cross-site'],
    ['origin', 'https://app.test'],
    ['origin', 'null'],
    ['accept', 'application/token-introspection+jwt'],
    ['accept', 'application/statuslist+jwt'],
    ['accept', 'text/html'],
    ['content-encoding', 'gzip'],
    ['if-none-match', '*'],
    ['dpop', '{{access}}'],
    ['access-control-request-method', 'DELETE'],
    ['x-forwarded-uri', '/v1/admin/users']
  ) as fc.Arbitrary<readonly [string, string]>
)

/** A JSON text, after one thing or another has gone wrong with it. */
function damagedJson(value: unknown, wrong: string, at: number, kind: number): string {
  const text = JSON.stringify(value) ?? 'null'
  const members = Object.entries((value ?? {}) as object).map(([key, one]) => [
    JSON.stringify(key),
    JSON.stringify(one)
  ])
  const write = (list: ReadonlyArray<readonly (string | undefined)[]>) => `{${list.map((one) => one.join(':')).join()}}`
  const chosen = members[at % Math.max(members.length, 1)]
  const rest = members.filter((one) => one !== chosen)
  switch (kind) {
    case 0:
      return chosen === undefined ? wrong : write([...rest, [chosen[0], wrong]])
    case 1:
      return write([...members, [JSON.stringify(['x', '__proto__', 'constructor', 'toString', ''][at % 5]), wrong]])
    case 2:
      return chosen === undefined ? text : write([...members, [chosen[0], wrong]])
    case 3:
      return write(rest)
    case 4:
      return wrong
    case 5:
      return text.slice(0, at % (text.length + 1))
    case 6:
      return text + wrong
    case 7:
      return `\ufeff${text}`
    case 8:
      return text + ' '.repeat(20_000)
    default:
      return text.replaceAll('"', "'")
  }
}

/** How a text becomes bytes: nearly always as it should. */
const encoded = (text: string, encoding: number) =>
  encoding === 0 ? Buffer.from(text, 'utf16le').toString('latin1') : encoding === 1 ? text : latin1(text)

function bodyOf({ body }: Operation): fc.Arbitrary<string> {
  const schema = body?.schema ?? {}
  if (body?.type === form) {
    const field = fc.tuple(fc.constantFrom('grant_type', 'token', 'client_id', '__proto__', 'a[b]', ''), addressText)
    return fc.tuple(valueFor(schema), fc.array(field, { maxLength: 2 }), fc.nat(9)).map(([value, more, how]) => {
      // Written by hand, so that what is to be filled in stays readable.
      const pairs = Object.entries(value as object).map(
        ([key, one]) => `${key}=${encodeURIComponent(String(one)).replace(/%7B/gi, '{').replace(/%7D/gi, '}')}`
      )
      const all = [...pairs, ...(how < 5 ? [] : more.map((one) => one.join('=')))].join('&')
      return how === 9 ? `${all}&${all}` : how === 8 ? `${all}%` : all
    })
  }
  const whole = valueFor(schema)
  return fc.oneof(
    { weight: 3, arbitrary: whole.map((value) => latin1(JSON.stringify(value) ?? '')) },
    {
      weight: 6,
      arbitrary: fc
        .tuple(whole, hostileJson, fc.nat(30), fc.nat(9), fc.nat(20))
        .map(([value, wrong, at, kind, encoding]) => encoded(damagedJson(value, wrong, at, kind), encoding))
    },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
    }
  )
}

const pathTricks: ReadonlyArray<(path: string) => string> = [
  (path) => `/${path}`,
  (path) => `${path}/`,
  (path) => path.toUpperCase(),
  (path) => `${path};a=b`,
  (path) => `${path}%00`,
  (path) => `${path}%2f..`,
  (path) => path.replace('/', '/./'),
  (path) => `/x/..${path}`,
  (path) => path.replaceAll('/', '%2f').replace('%2f', '/'),
  (path) => path.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (path) => `${path}.json`,
  (path) => `${path}/${'x/'.repeat(500)}`
]

function urlOf({ template, parameters }: Operation): fc.Arbitrary<string> {
  const places = [...template.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const place = (name: string) =>
    fc.oneof(
      { weight: 3, arbitrary: valueFor({ type: 'string' }, name).map(String) },
      { weight: 2, arbitrary: addressText }
    )
  const query = parameters.filter((one) => one.in === 'query')
  const pair = fc.oneof(
    ...query.map(({ name, schema }) =>
      fc.tuple(
        fc.constant(name),
        fc.oneof(
          valueFor(schema, name).map((value) =>
            encodeURIComponent(String(value)).replace(/%7B/gi, '{').replace(/%7D/gi, '}')
          ),
          // A long poll that is right is one that waits.
          name === 'wait' ? fc.constant('x') : addressText
        )
      )
    ),
    fc.tuple(fc.constantFrom('x', '__proto__[a]', 'access_token', 'token', 'q[]', 'limit', ''), addressText)
  )
  const pairs = fc.array(pair, { maxLength: 3 })
  return fc
    .tuple(
      fc.tuple(...places.map(place)),
      query.length > 0 ? pairs : fc.oneof(fc.constant([]), fc.constant([]), pairs),
      fc.nat(40)
    )
    .map(([values, asked, trick]) => {
      const filled = values.reduce((path, value, at) => path.replace(`{${places[at]}}`, () => value), template)
      const path = pathTricks[trick]?.(filled) ?? filled
      return asked.length === 0 ? path : `${path}?${asked.map((one) => one.join('=')).join('&')}`
    })
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND']

function requestTo(operation: Operation): fc.Arbitrary<FuzzRequest> {
  const type = operation.body?.type ?? 'application/json'
  return fc
    .record({
      method: fc.oneof(
        { weight: 12, arbitrary: fc.constant(operation.method) },
        { weight: 1, arbitrary: fc.constantFrom(...methods) }
      ),
      url: urlOf(operation),
      credential: fc.option(authorization, { freq: 3 }),
      contentType: fc.oneof(
        { weight: 8, arbitrary: fc.constant(type) },
        { weight: 1, arbitrary: fc.constantFrom(...mediaTypes) },
        { weight: 1, arbitrary: headerText }
      ),
      headers: fc.array(odd, { maxLength: 3 }),
      page: fc.boolean(),
      body:
        operation.body === undefined
          ? fc.oneof(fc.constant(''), fc.constant(''), bodyOf(operation))
          : bodyOf(operation),
      overSocket: fc.nat(9)
    })
    .map(({ method, url, credential, contentType, headers, page, body, overSocket }) => ({
      method,
      url,
      headers: [
        ...(credential === null ? [] : [['authorization', credential] as const]),
        ...(page ? [['x-auth-request', '1'] as const, ['sec-fetch-site', 'same-origin'] as const] : []),
        ...(body === '' ? [] : [['content-type', contentType] as const]),
        ...headers
      ],
      body,
      // A stream has no end, so that it can be read only where it can be left.
      overSocket: overSocket === 0 || url.includes('/stream') || !methods.slice(0, 7).includes(method)
    }))
}

/** Any request to anything that is served. */
export function requests(undocumented: readonly Undocumented[]): fc.Arbitrary<FuzzRequest> {
  const others = undocumented.map(({ method, url }): Operation => {
    const members = ['username', 'password', 'token', 'refresh', 'email', 'name', 'current_password', 'new_password']
    const properties = Object.fromEntries(members.map((name) => [name, { type: 'string' }]))
    const template = url.replace(/:(\w+)(\([^/]*\))?/g, '{$1}')
    return {
      method,
      template,
      parameters: [],
      body: { type: 'application/json', schema: { properties } },
      statuses: new Set()
    }
  })
  return fc.oneof(
    { weight: 8, arbitrary: fc.oneof(...operations.map(requestTo)) },
    { weight: 2, arbitrary: others.length === 0 ? requestTo(operations[0]!) : fc.oneof(...others.map(requestTo)) }
  )
}
