import type { RevocationOptions, VerifierOptions } from './options.js'

type Environment = Readonly<Record<string, string | undefined>>

/** Seconds of a variable; what is not a number is refused with the name of the option. */
const seconds = (text: string | undefined) => (text === undefined ? {} : { value: Number(text) })

function onStaleOf(env: Environment): 'allow' | 'deny' {
  const onStale = env.KEYTURN_REVOCATION_ON_STALE
  if (onStale === 'allow' || onStale === 'deny') return onStale
  throw new TypeError('KEYTURN_REVOCATION_ON_STALE is allow or deny: what to do while nobody knows what has ended')
}

function revocationOf(env: Environment): RevocationOptions {
  const mode = env.KEYTURN_REVOCATION
  const { value: interval } = seconds(env.KEYTURN_REVOCATION_INTERVAL)
  const { value: maxStaleness } = seconds(env.KEYTURN_REVOCATION_MAX_STALENESS)
  const staleness = maxStaleness === undefined ? {} : { maxStaleness }
  switch (mode) {
    case 'none':
      return 'none'
    case 'introspect':
      return { mode }
    case 'status-list':
      return { mode, onStale: onStaleOf(env), ...staleness }
    case 'feed':
    case 'push':
      return { mode, onStale: onStaleOf(env), ...staleness, ...(interval === undefined ? {} : { interval }) }
    default:
      throw new TypeError('KEYTURN_REVOCATION is none, feed, push, status-list or introspect')
  }
}

/**
 * Options from the environment: KEYTURN_ISSUER, KEYTURN_AUDIENCE (several by commas), KEYTURN_REVOCATION,
 * KEYTURN_REVOCATION_ON_STALE, KEYTURN_REVOCATION_INTERVAL, KEYTURN_REVOCATION_MAX_STALENESS, KEYTURN_BASE_URL, KEYTURN_JWKS_URI,
 * KEYTURN_INTROSPECTION_CLIENT_ID and KEYTURN_INTROSPECTION_CLIENT_SECRET. Throws where one of the first three is missing,
 * or the fourth where the third needs it.
 */
export function fromEnv(env?: Environment): VerifierOptions {
  const given = env ?? (globalThis as { process?: { env: Environment } }).process?.env ?? {}
  // An empty variable is one that somebody forgot to fill.
  const set: Environment = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
  for (const name of ['KEYTURN_ISSUER', 'KEYTURN_AUDIENCE', 'KEYTURN_REVOCATION']) {
    if (set[name] === undefined) throw new TypeError(`set ${name}: a verifier trusts nobody by default`)
  }
  const { KEYTURN_INTROSPECTION_CLIENT_ID: clientId, KEYTURN_INTROSPECTION_CLIENT_SECRET: clientSecret } = set
  return {
    issuer: set.KEYTURN_ISSUER!,
    audience: set.KEYTURN_AUDIENCE!.split(',').map((one) => one.trim()),
    revocation: revocationOf(set),
    ...(set.KEYTURN_BASE_URL === undefined ? {} : { baseUrl: set.KEYTURN_BASE_URL }),
    ...(set.KEYTURN_JWKS_URI === undefined ? {} : { jwksUri: set.KEYTURN_JWKS_URI }),
    ...(clientId === undefined && clientSecret === undefined
      ? {}
      : { client: { clientId: clientId ?? '', clientSecret: clientSecret ?? '' } })
  }
}
