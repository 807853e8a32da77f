import type { RevocationOptions, VerifierOptions } from './options.js'

type Environment = Readonly<Record<string, string | undefined>>

/** Seconds of a variable; what is not a number is refused with the name of the option. */
const seconds = (text: string | undefined) => (text === undefined ? {} : { value: Number(text) })

function revocationOf(env: Environment): RevocationOptions {
  const mode = env.AUTH_REVOCATION
  const onStale = env.AUTH_REVOCATION_ON_STALE as 'allow' | 'deny'
  const { value: interval } = seconds(env.AUTH_REVOCATION_INTERVAL)
  const { value: maxStaleness } = seconds(env.AUTH_REVOCATION_MAX_STALENESS)
  const staleness = maxStaleness === undefined ? {} : { maxStaleness }
  switch (mode) {
    case 'none':
      return 'none'
    case 'introspect':
      return { mode }
    case 'status-list':
      return { mode, onStale, ...staleness }
    case 'feed':
    case 'push':
      return { mode, onStale, ...staleness, ...(interval === undefined ? {} : { interval }) }
    default:
      throw new TypeError('AUTH_REVOCATION is none, feed, push, status-list or introspect')
  }
}

/**
 * Options from the environment: AUTH_ISSUER, AUTH_AUDIENCE (several by commas), AUTH_REVOCATION,
 * AUTH_REVOCATION_ON_STALE, AUTH_REVOCATION_INTERVAL, AUTH_REVOCATION_MAX_STALENESS, AUTH_BASE_URL, AUTH_JWKS_URI,
 * AUTH_INTROSPECTION_CLIENT_ID and AUTH_INTROSPECTION_CLIENT_SECRET. Throws where one of the first three is missing.
 */
export function fromEnv(env?: Environment): VerifierOptions {
  const given = env ?? (globalThis as { process?: { env: Environment } }).process?.env ?? {}
  // An empty variable is one that somebody forgot to fill.
  const set: Environment = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
  for (const name of ['AUTH_ISSUER', 'AUTH_AUDIENCE', 'AUTH_REVOCATION']) {
    if (set[name] === undefined) throw new TypeError(`set ${name}: a verifier trusts nobody by default`)
  }
  const { AUTH_INTROSPECTION_CLIENT_ID: clientId, AUTH_INTROSPECTION_CLIENT_SECRET: clientSecret } = set
  return {
    issuer: set.AUTH_ISSUER!,
    audience: set.AUTH_AUDIENCE!.split(',').map((one) => one.trim()),
    revocation: revocationOf(set),
    ...(set.AUTH_BASE_URL === undefined ? {} : { baseUrl: set.AUTH_BASE_URL }),
    ...(set.AUTH_JWKS_URI === undefined ? {} : { jwksUri: set.AUTH_JWKS_URI }),
    ...(clientId === undefined && clientSecret === undefined
      ? {}
      : { client: { clientId: clientId ?? '', clientSecret: clientSecret ?? '' } })
  }
}
