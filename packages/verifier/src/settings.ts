import type { ClientCredentials, Logger, OnStale, VerifierOptions } from './options.js'

/** The options, checked and complete. All times are milliseconds but the leeway. */
export interface Settings<C extends object> {
  readonly issuer: string
  readonly audience: readonly string[]
  readonly revocation: RevocationSettings
  readonly baseUrl: string
  readonly jwksUri: string | undefined
  readonly jwks: { readonly keys: readonly object[] } | undefined
  /** Seconds. */
  readonly leeway: number
  readonly keys: {
    readonly maxAge: number
    readonly refreshAhead: number
    readonly cooldown: number
    readonly staleIfError: number
  }
  readonly rememberedTokens: number
  readonly rememberedProofs: number
  readonly client: ClientCredentials | undefined
  readonly feedAuthorization: VerifierOptions['feedAuthorization']
  readonly claims: VerifierOptions<C>['claims']
  readonly timeout: number
  readonly allowHttp: boolean
  readonly fetch: typeof globalThis.fetch
  readonly now: () => number
  readonly logger: Logger
  readonly metrics: NonNullable<VerifierOptions['metrics']>
}

export type RevocationSettings =
  | { readonly mode: 'none' }
  | {
      readonly mode: 'feed' | 'push'
      readonly interval: number
      readonly maxStaleness: number
      readonly onStale: OnStale
    }
  | { readonly mode: 'status-list'; readonly maxStaleness: number; readonly onStale: OnStale }
  | { readonly mode: 'introspect'; readonly cache: number }

const names: Record<keyof VerifierOptions, true> = {
  issuer: true,
  audience: true,
  revocation: true,
  baseUrl: true,
  jwksUri: true,
  jwks: true,
  leeway: true,
  keys: true,
  rememberedTokens: true,
  client: true,
  feedAuthorization: true,
  claims: true,
  rememberedProofs: true,
  timeout: true,
  allowHttp: true,
  fetch: true,
  now: true,
  logger: true,
  metrics: true
}

const fail = (sentence: string): never => {
  throw new TypeError(`verifier: ${sentence}`)
}

/** A misspelt option would be none, and its default may be the wrong one. */
function assertKnown(where: string, value: object, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((name) => !known.includes(name))
  if (unknown.length > 0) fail(`${where} has no ${unknown.join(', ')}; it has ${known.join(', ')}`)
}

/** A finite number within bounds: Infinity would switch a limit off (CVE-2026-107721). */
function number(name: string, value: unknown, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback
  if (typeof value === 'number' && value >= least && value <= most) return value
  return fail(`${name} is a number from ${least} to ${most}`)
}

function whole(name: string, value: unknown, fallback: number, least: number, most: number): number {
  const checked = number(name, value, fallback, least, most)
  return Number.isInteger(checked) ? checked : fail(`${name} is a whole number`)
}

const loopback = /^(localhost|([a-z0-9-]+\.)*localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** What is wrong with an address that is to be trusted; null where nothing is. */
export function refusalOfUrl(text: unknown, allowHttp: boolean): string | null {
  if (typeof text !== 'string' || text.length > 2000 || !/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) {
    return 'is no URL'
  }
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'has a user in it'
  if (url.hash !== '') return 'has a fragment'
  if (url.protocol === 'https:') return null
  if (url.protocol !== 'http:') return 'is not https'
  return allowHttp || loopback.test(url.hostname) ? null : 'is not https (allowHttp: true lets http pass)'
}

const withoutSlash = (text: string) => (text.endsWith('/') ? text.slice(0, -1) : text)

function readRevocation(value: VerifierOptions['revocation']): RevocationSettings {
  const choices =
    "revocation is 'none', or has a mode: feed, push, status-list or introspect. See the README: it decides for how " +
    'long a token outlives its session'
  if (value === 'none') return { mode: 'none' }
  if (typeof value !== 'object' || value === null) return fail(choices)
  const stale = () => {
    const { onStale } = value as { onStale?: unknown }
    if (onStale === 'allow' || onStale === 'deny') return onStale
    return fail("revocation.onStale is 'allow' or 'deny': what to do while nobody knows what has ended")
  }
  switch (value.mode) {
    case 'feed':
    case 'push': {
      assertKnown('revocation', value, ['mode', 'interval', 'maxStaleness', 'onStale'])
      const interval = number('revocation.interval', value.interval, 15, 0.05, 300) * 1000
      const maxStaleness = number('revocation.maxStaleness', value.maxStaleness, 60, 0.05, 86_400) * 1000
      // A stream shows that it is alive every 15 s.
      if (maxStaleness < interval || (value.mode === 'push' && maxStaleness < 20_000)) {
        fail('revocation.maxStaleness is not less than the interval, and in the mode push not less than 20')
      }
      return { mode: value.mode, interval, maxStaleness, onStale: stale() }
    }
    case 'status-list': {
      assertKnown('revocation', value, ['mode', 'maxStaleness', 'onStale'])
      const maxStaleness = number('revocation.maxStaleness', value.maxStaleness, 60, 0, 86_400) * 1000
      return { mode: 'status-list', maxStaleness, onStale: stale() }
    }
    case 'introspect':
      assertKnown('revocation', value, ['mode', 'cache'])
      return { mode: 'introspect', cache: number('revocation.cache', value.cache, 0, 0, 300) * 1000 }
    default:
      return fail(choices)
  }
}

function readAudience(value: unknown): readonly string[] {
  const list = Array.isArray(value) ? value : [value]
  if (list.length === 0 || list.some((one) => typeof one !== 'string' || one === '')) {
    fail('audience is a text or a list of texts: who this service is, as AUTH_AUDIENCE of Keyturn names it')
  }
  return Object.freeze([...list]) as readonly string[]
}

function readClient(client: ClientCredentials | undefined): ClientCredentials | undefined {
  if (client === undefined) return undefined
  assertKnown('client', client, ['clientId', 'clientSecret'])
  const { clientId, clientSecret } = client
  const isText = (value: unknown) => typeof value === 'string' && value !== ''
  if (!isText(clientId) || !(typeof clientSecret === 'function' || isText(clientSecret))) {
    fail('client has a clientId and a clientSecret; make them with "keyturn client create"')
  }
  return client
}

const nothing = () => {}

/** Checks the options. Throws a TypeError that says what to set: nothing starts half configured. */
export function readOptions<C extends object>(options: VerifierOptions<C>): Settings<C> {
  if (typeof options !== 'object' || options === null) fail('give at least issuer, audience and revocation')
  assertKnown('it', options, Object.keys(names))
  const allowHttp = options.allowHttp === true
  const checkUrl = (name: string, value: unknown) => {
    const refusal = refusalOfUrl(value, allowHttp)
    if (refusal !== null) fail(`${name} ${refusal}`)
    return value as string
  }
  const issuer = checkUrl('issuer', options.issuer)
  if (new URL(issuer).search !== '') fail('issuer has a query')
  const revocation = readRevocation(options.revocation)
  const client = readClient(options.client)
  if (revocation.mode === 'introspect' && client === undefined) fail('the mode introspect needs client')
  const { jwks, keys = {}, claims, feedAuthorization } = options
  if (jwks !== undefined && !Array.isArray(jwks?.keys)) fail('jwks has a list of keys')
  assertKnown('keys', keys, ['maxAge', 'refreshAhead', 'cooldown', 'staleIfError'])
  const maxAge = number('keys.maxAge', keys.maxAge, 300, 1, 86_400)
  return {
    issuer,
    audience: readAudience(options.audience),
    revocation,
    baseUrl: withoutSlash(options.baseUrl === undefined ? issuer : checkUrl('baseUrl', options.baseUrl)),
    jwksUri: options.jwksUri === undefined ? undefined : checkUrl('jwksUri', options.jwksUri),
    jwks,
    leeway: whole('leeway', options.leeway, 5, 0, 60),
    keys: {
      maxAge: maxAge * 1000,
      refreshAhead: number('keys.refreshAhead', keys.refreshAhead, Math.min(60, maxAge / 2), 0, maxAge) * 1000,
      cooldown: number('keys.cooldown', keys.cooldown, 5, 1, 300) * 1000,
      staleIfError: number('keys.staleIfError', keys.staleIfError, 86_400, 0, 604_800) * 1000
    },
    rememberedTokens: whole('rememberedTokens', options.rememberedTokens, 2_000, 0, 1_000_000),
    rememberedProofs: whole('rememberedProofs', options.rememberedProofs, 100_000, 1, 10_000_000),
    client,
    feedAuthorization,
    claims,
    timeout: number('timeout', options.timeout, 5, 0.05, 60) * 1000,
    allowHttp,
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    now: options.now ?? Date.now,
    logger: options.logger ?? { warn: nothing, error: nothing },
    metrics: options.metrics ?? nothing
  }
}
