import { readFileSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { refusalOfOrigin } from './domain/origin.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** One setting: this list is the schema, `.env.example` and the documentation's table. */
interface Setting<T> {
  readonly help: string
  /** The default as a person would write it; undefined where there is none. */
  readonly fallback?: string
  /** What stands in the list where the default follows from something else. */
  readonly fallbackNote?: string
  /** Never printed, and also read from the file that `<NAME>_FILE` names. */
  readonly secret?: boolean
  readonly example?: string
  /** Throws an Error that says what the value must be. */
  parse(text: string): T
}

const must = (what: string): never => {
  throw new Error(`must be ${what}`)
}

const text = (text: string) => (text.trim() === '' ? must('a text') : text)

const integer = (from: number, to: number) => (text: string) => {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  return value >= from && value <= to ? value : must(`a whole number from ${from} to ${to}`)
}

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** A duration such as 10m, in milliseconds. */
const duration = (from: string, to: string) => {
  const read = (text: string) => {
    const match = /^(\d{1,9})(s|m|h|d)$/.exec(text)
    return match ? Number(match[1]) * units[match[2]!]! * 1000 : Number.NaN
  }
  return (text: string) => {
    const value = read(text)
    return value >= read(from) && value <= read(to)
      ? value
      : must(`a duration from ${from} to ${to}, such as 90s, 10m, 12h or 30d`)
  }
}

const oneOf =
  <const T extends string>(...values: T[]) =>
  (text: string) =>
    values.find((value) => value === text) ?? must(`one of ${values.join(', ')}`)

/** Where passwords that leaked are looked up. */
function breachedPasswords(text: string): string | URL | null {
  if (text === 'off') return null
  if (!/^https?:/.test(text)) return text
  return URL.canParse(text)
    ? new URL(text)
    : must('a file, an address such as https://api.pwnedpasswords.com/range, or off')
}

const onOrOff = (text: string) => oneOf('on', 'off')(text) === 'on'

/** Where limits are counted. */
function rateLimitStore(text: string): 'postgres' | 'memory' | URL {
  if (text === 'postgres' || text === 'memory') return text
  return /^rediss?:\/\//.test(text) && URL.canParse(text)
    ? new URL(text)
    : must('postgres, memory, or an address such as redis://:password@host:6379/0')
}

/** A rate such as 20/m; null for `off`. */
function rate(text: string): { max: number; window: number } | null {
  if (text === 'off') return null
  const match = /^(\d{1,6})\/(s|m|h|d)$/.exec(text)
  const max = Number(match?.[1] ?? 0)
  return max >= 1
    ? { max, window: units[match![2]!]! * 1000 }
    : must('a rate such as 5/s, 20/m, 100/h or 1000/d, or off')
}

const flag = (text: string) =>
  text === 'true' || text === 'on' ? true : text === 'false' || text === 'off' ? false : must('true or false')

const list =
  <T>(parse: (item: string) => T) =>
  (text: string): T[] =>
    text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
      .map(parse)

function origin(text: string): string {
  const because = refusalOfOrigin(text)
  return because === null ? text : must(because)
}

function issuer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) must('an http or https URL')
  if (url!.search !== '' || url!.hash !== '' || url!.username !== '') must('a URL without query, fragment and user')
  if (text.endsWith('/')) must('written without a slash at its end: verifiers compare it letter by letter')
  return text
}

function pageUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) must('an http or https URL')
  if (url!.hash !== '' || url!.username !== '' || url!.password !== '') must('a URL without fragment and user')
  return text
}

function network(text: string): string {
  const [address = '', prefix] = text.split('/')
  const family = isIP(address)
  if (family === 0) must('an address or a network such as 10.0.0.0/8')
  if (prefix !== undefined) {
    if (!/^\d{1,3}$/.test(prefix)) must('a network such as 10.0.0.0/8')
    try {
      new BlockList().addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4')
    } catch {
      must('a network such as 10.0.0.0/8')
    }
  }
  return text
}

function databaseUrl(text: string): string {
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text)
    ? text
    : must('a URL such as postgres://user:password@host:5432/database')
}

function masterKey(text: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== 32) must('32 random bytes in base64: make one with `openssl rand -base64 32`')
  if (new Set(key).size < 8) must('random: make one with `openssl rand -base64 32`')
  return key
}

const define = <T>(setting: Setting<T>) => setting

export const definitions = {
  NODE_ENV: define({
    help: '`production` refuses to start with unsafe settings.',
    fallback: 'development',
    parse: text
  }),
  DATABASE_URL: define({
    help: 'Postgres 13 or newer. Without it the embedded Postgres is used.',
    secret: true,
    example: 'postgres://keyturn:password@localhost:5432/keyturn',
    parse: databaseUrl
  }),
  HOST: define({ help: 'Address to listen on; 0.0.0.0 or :: for all.', fallback: '127.0.0.1', parse: text }),
  PORT: define({ help: 'Port to listen on.', fallback: '3000', parse: integer(0, 65_535) }),
  LOG_LEVEL: define({
    help: 'How much is logged, as JSON lines on standard output.',
    fallback: 'info',
    parse: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')
  }),
  AUTH_DATA_DIR: define({
    help: 'Folder of the embedded database and of the master key that was made for it.',
    fallback: '.keyturn',
    parse: text
  }),
  AUTH_MASTER_KEY: define({
    help: 'Seals the signing keys and authenticates refresh tokens; 32 random bytes in base64, the same on every replica. Without it one is made and kept in AUTH_DATA_DIR (not in production). Losing it ends every session.',
    secret: true,
    parse: masterKey
  }),
  AUTH_MASTER_KEY_PREVIOUS: define({
    help: 'Comma-separated master keys that open and authenticate beside AUTH_MASTER_KEY, which alone seals and signs: how the master key changes without signing anybody out (docs/keys.md).',
    secret: true,
    parse: list(masterKey)
  }),
  AUTH_ISSUER: define({
    help: 'Address at which clients reach this service: `iss` of every token, letter by letter.',
    fallbackNote: 'http://localhost:PORT',
    example: 'https://auth.example.com',
    parse: issuer
  }),
  AUTH_AUDIENCE: define({
    help: 'Comma-separated `aud` of access tokens: the services that may accept them.',
    fallback: 'api',
    parse: (value: string) => {
      const audience = list(text)(value)
      return audience.length > 0 ? audience : must('at least one name')
    }
  }),
  AUTH_CLIENT_ID: define({
    help: '`client_id` of tokens from this service’s own sign-in.',
    fallback: 'web',
    parse: (value) => (value.startsWith('ktc_') ? must('another name: ktc_ begins the ids of clients') : text(value))
  }),
  AUTH_ALLOWED_ORIGINS: define({
    help: 'Comma-separated origins of pages that may call with cookies, besides the issuer’s own.',
    fallback: '',
    example: 'https://app.example.com',
    parse: list(origin)
  }),
  AUTH_TRUSTED_PROXIES: define({
    help: 'Comma-separated addresses and networks of proxies whose X-Forwarded-For counts, and whose questions /v1/forward-auth answers. Without it no such header counts.',
    fallback: '',
    example: '10.0.0.0/8',
    parse: list(network)
  }),
  AUTH_ACCESS_TTL: define({
    help: 'Life of an access token, shortened by a random 0 to 5 %.',
    fallback: '10m',
    parse: duration('30s', '1h')
  }),
  AUTH_REFRESH_IDLE_TTL: define({
    help: 'A session ends when it was not refreshed for this long.',
    fallback: '14d',
    parse: duration('1m', '365d')
  }),
  AUTH_SESSION_TTL: define({
    help: 'A session ends this long after its sign-in, whatever happens in between.',
    fallback: '30d',
    parse: duration('1m', '3650d')
  }),
  AUTH_REFRESH_REPLAY_WINDOW: define({
    help: 'For so long a refresh token that was just used gets the very same successor again: tabs race, answers get lost.',
    fallback: '30s',
    parse: duration('0s', '10m')
  }),
  AUTH_REFRESH_LOST_RESPONSE: define({
    help: '`recover`: in a cookie or bound to a key (DPoP), a refresh token whose successor was never used is honoured however late. `strict`: only within the replay window.',
    fallback: 'recover',
    parse: oneOf('recover', 'strict')
  }),
  AUTH_SESSIONS_PER_ACCOUNT: define({
    help: 'How many sessions an account may have at a time: the next sign-in ends the oldest. 1 for one device; `off` for no limit.',
    fallback: 'off',
    parse: (value: string) => (value === 'off' ? null : integer(1, 1_000)(value))
  }),
  AUTH_REVOCATION_MAX_STALENESS: define({
    help: 'A replica that has read no revocations for this long is not ready: /readyz, and AUTH_REVOCATION_STALE.',
    fallback: '10s',
    parse: duration('2s', '1h')
  }),
  AUTH_REVOCATION_STALE: define({
    help: 'What access tokens get from such a replica: `deny`, a 503 with Retry-After; `allow`, what it last knew.',
    fallback: 'deny',
    parse: oneOf('deny', 'allow')
  }),
  AUTH_SIGNING_ALGORITHM: define({
    help: 'How access tokens are signed: ES256, Ed25519 (`EdDSA` in the header), RS256 or PS256 (3072 bits). A change takes effect once verifiers can know the new key.',
    fallback: 'ES256',
    parse: oneOf('ES256', 'Ed25519', 'RS256', 'PS256')
  }),
  AUTH_KEY_ROTATION_INTERVAL: define({
    help: 'How long a key signs before the next one takes over by itself; `off` for rotation by command alone.',
    fallback: '90d',
    parse: (value: string) => (value === 'off' ? null : duration('1d', '3650d')(value))
  }),
  AUTH_KEY_PROVIDER: define({
    help: 'Who keeps new signing keys: `local` (sealed in Postgres), or a key provider of AUTH_PLUGINS by name (docs/keys.md).',
    fallback: 'local',
    parse: text
  }),
  AUTH_JWKS_MAX_AGE: define({
    help: 'How long verifiers may keep the key set.',
    fallback: '5m',
    parse: duration('10s', '1d')
  }),
  AUTH_AUTHENTICATORS: define({
    help: 'Comma-separated credentials that count, in the order in which they are looked for: `session` (cookie), `token` (API token), `bearer` (access token, also by the scheme DPoP), `basic` (username and password; for scripts), and those of AUTH_PLUGINS by name.',
    fallback: 'session,token,bearer',
    parse: (value: string) => {
      const names = list(text)(value)
      if (names.length === 0) must('at least one name')
      if (new Set(names).size < names.length) must('a list without repetition')
      return names
    }
  }),
  AUTH_PLUGINS: define({
    help: 'Comma-separated JavaScript modules that add authenticators and key providers: paths, or names of installed packages. An authenticator counts once AUTH_AUTHENTICATORS names it too.',
    fallback: '',
    example: './x-api-key.js',
    parse: list(text)
  }),
  AUTH_TOKEN_ON_REGISTER: define({
    help: 'Whether every new account gets an API token.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_DPOP_NONCE: define({
    help: 'Whether DPoP proofs must carry a nonce of this service: `off`, or `required`, which costs a client one more request now and then and makes proofs that were made ahead of time worthless.',
    fallback: 'off',
    parse: oneOf('off', 'required')
  }),
  AUTH_DRF: define({
    help: 'Whether the endpoints of Django REST Framework’s authtoken, simplejwt, djoser and knox are served: /api-token-auth/, /api/token/, /auth/, /api/auth/, /api/register/.',
    fallback: 'true',
    parse: flag
  }),
  AUTH_DRF_AUTHENTICATORS: define({
    help: 'Comma-separated credentials of those endpoints in the order of DEFAULT_AUTHENTICATION_CLASSES: `bearer` (JWT), `token`, `basic`, `session`. The first one names the challenge.',
    fallback: 'bearer,token',
    parse: list(oneOf('bearer', 'token', 'basic', 'session'))
  }),
  AUTH_DRF_ROTATE_REFRESH_TOKENS: define({
    help: 'Whether /api/token/refresh/ also answers with a new refresh token (simplejwt’s ROTATE_REFRESH_TOKENS). Its clients must then keep it.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_DRF_KNOX_TTL: define({ help: 'Life of a knox token.', fallback: '10h', parse: duration('1m', '3650d') }),
  AUTH_DRF_KNOX_LIMIT: define({
    help: 'How many knox tokens an account may have at a time.',
    fallback: '100',
    parse: integer(1, 10_000)
  }),
  AUTH_RATE_LIMIT: define({
    help: 'Whether anything is limited at all. `off` is for load tests, and stops a start in production.',
    fallback: 'on',
    parse: onOrOff
  }),
  AUTH_RATE_LIMIT_STORE: define({
    help: 'Where replicas count together: in `postgres`, in a Redis or Valkey (`redis://…`, `rediss://…`), or each by itself (`memory`). Each answers from its memory and tells the others within 50 ms; where it cannot, it goes on by itself.',
    fallback: 'postgres',
    secret: true,
    parse: rateLimitStore
  }),
  AUTH_RATE_LIMIT_SIGN_IN: define({
    help: 'Attempts to sign in with a password from one address, as N/s, N/m, N/h or N/d; `off` for no limit. Behind a proxy set AUTH_TRUSTED_PROXIES, or all clients share one address.',
    fallback: '100/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_REGISTER: define({
    help: 'Registrations from one address, as N/s, N/m, N/h or N/d; `off` for no limit.',
    fallback: '100/h',
    parse: rate
  }),
  AUTH_RATE_LIMIT_REFRESH: define({
    help: 'Refreshes from one address, which may be a whole office. A client that is over it waits, and stays signed in.',
    fallback: '6000/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_LOGOUT: define({
    help: 'Sign-outs from one address; counted apart from all else, so that whoever wants to leave can.',
    fallback: '6000/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_CLIENT_FAILURES: define({
    help: 'Wrong secrets and assertions of OAuth clients from one address. Those that were right are not counted.',
    fallback: '60/m',
    parse: rate
  }),
  AUTH_REVOCATION_FEED: define({
    help: 'Who may read GET /v1/revocations and its stream: everybody (`public`), as with the key set, or clients with the permission `keyturn.revocations` (`clients`).',
    fallback: 'public',
    parse: oneOf('public', 'clients')
  }),
  AUTH_STATUS_LIST: define({
    help: 'Whether new sessions get a place in an OAuth Token Status List, which their access tokens name: /v1/status-lists.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_FORWARD_AUTH_AUDIENCE: define({
    help: 'Comma-separated `aud` of the short-lived JWT that /v1/forward-auth gives a proxy’s upstream in X-Auth-Token: the first one, or the one that the proxy’s configuration names (docs/proxies.md). Without it there is no such token.',
    fallback: '',
    example: 'orders',
    parse: list(text)
  }),
  AUTH_FORWARD_AUTH_TOKEN_TTL: define({
    help: 'Life of that token.',
    fallback: '60s',
    parse: duration('5s', '10m')
  }),
  AUTH_FORWARD_AUTH_EMAIL: define({
    help: 'Whether /v1/forward-auth tells a proxy’s upstream the account’s email, where it is verified: one read of the database per request.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_LOGIN_URL: define({
    help: 'Page of yours where people sign in: /v1/forward-auth sends browsers there that ask for a page. Without it they get a 401.',
    example: 'https://app.example.com/login',
    parse: pageUrl
  }),
  AUTH_LOGIN_RETURN_ORIGINS: define({
    help: 'Comma-separated origins to which that page may lead back: of others it is told no `returnTo`.',
    fallback: '',
    example: 'https://app.example.com',
    parse: list(origin)
  }),
  AUTH_SIGN_UP: define({
    help: 'Who may register: anybody (`open`), whoever has an invitation (`invitation`), nobody but new administrators (`closed`).',
    fallback: 'open',
    parse: oneOf('open', 'closed', 'invitation')
  }),
  AUTH_GUESSES_FREE: define({
    help: 'Wrong passwords in a row for one account after which the next has to wait: 30 s, then twice as long each time, an hour at most.',
    fallback: '5',
    parse: integer(1, 100)
  }),
  AUTH_GUESSES_MAX: define({
    help: 'Wrong passwords in a row after which only an administrator lets an account be signed in to again (NIST SP 800-63B-4: 100 at most).',
    fallback: '100',
    parse: integer(5, 100)
  }),
  AUTH_PASSWORD_MIN_LENGTH: define({
    help: 'Characters of a new password (NIST SP 800-63B-4: 15 where it is the only factor).',
    fallback: '15',
    parse: integer(8, 64)
  }),
  AUTH_BREACHED_PASSWORDS: define({
    help: 'Where new passwords are looked up among those that leaked: a sorted file of lines SHA1:COUNT (as Have I Been Pwned’s downloader writes it), or a service that is asked for ranges (https://api.pwnedpasswords.com/range) and never learns the password; `off` for nowhere. Where it cannot be asked a password passes, and the log tells.',
    fallback: 'off',
    parse: breachedPasswords
  }),
  AUTH_PASSWORD_PEPPER: define({
    help: 'A secret that passwords go through before they are hashed, kept apart from the database; 32 random bytes in base64, the same on every replica. Losing it loses every password.',
    secret: true,
    parse: masterKey
  }),
  AUTH_PASSWORD_PEPPER_PREVIOUS: define({
    help: 'Comma-separated peppers of before, with which stored passwords are still checked; each gets the present one at its next sign-in.',
    secret: true,
    parse: list(masterKey)
  }),
  AUTH_HASH_MEMORY: define({ help: 'argon2id memory in KiB.', fallback: '19456', parse: integer(8, 1_048_576) }),
  AUTH_HASH_ITERATIONS: define({ help: 'argon2id passes.', fallback: '2', parse: integer(1, 100) }),
  AUTH_HASH_CONCURRENCY: define({
    help: 'Passwords hashed at a time; each takes AUTH_HASH_MEMORY.',
    fallbackNote: 'number of cores',
    parse: integer(1, 256)
  }),
  AUTH_HASH_QUEUE: define({
    help: 'Passwords that may wait to be hashed; the next sign-in is answered 503 with Retry-After.',
    fallback: '100',
    parse: integer(0, 100_000)
  }),
  AUTH_LEGACY_HASH_CONCURRENCY: define({
    help: 'Passwords of other systems checked at a time, until each becomes argon2id at its next sign-in; one takes up to 256 MiB (Django’s argon2: 100 MiB).',
    fallback: '1',
    parse: integer(1, 64)
  }),
  AUTH_DATABASE_POOL_SIZE: define({
    help: 'Connections to Postgres, besides the one that listens for changes.',
    fallback: '10',
    parse: integer(1, 500)
  }),
  AUTH_DATABASE_TIMEOUT: define({
    help: 'Milliseconds that a connection, a statement and a lock may take.',
    fallback: '1000',
    parse: integer(50, 60_000)
  }),
  AUTH_MIGRATE_ON_START: define({
    help: 'Whether `serve` applies migrations. Otherwise run `keyturn migrate up` first.',
    fallbackNote: 'true, in production false',
    parse: flag
  }),
  AUTH_BROOM_INTERVAL: define({
    help: 'How often what is over is removed, by one replica at a time: sessions, API tokens and invitations a day after their end. `off`: only by `keyturn sweep`.',
    fallback: '1m',
    parse: (value: string) => (value === 'off' ? null : duration('1s', '1d')(value))
  }),
  AUTH_AUDIT_RETENTION: define({
    help: 'For how long audit events are kept; the broom removes what is older. `off`: none is written.',
    fallback: '90d',
    parse: (value: string) => (value === 'off' ? null : duration('1d', '3650d')(value))
  }),
  AUTH_AUDIT_CHAIN: define({
    help: 'Whether each audit event carries an HMAC of itself and of the one before, so that `keyturn audit verify` finds what was changed or removed in the database.',
    fallback: 'off',
    parse: onOrOff
  }),
  AUTH_METRICS_PORT: define({
    help: 'Port on which /metrics is served to Prometheus, on HOST. Without it there are none.',
    example: '9464',
    parse: integer(1, 65_535)
  }),
  AUTH_DOCS: define({ help: 'Whether /docs shows the interface.', fallback: 'true', parse: flag }),
  AUTH_PRINT_SETUP_LINK: define({
    help: 'Whether a start without an administrator prints a link to make the first one.',
    fallbackNote: 'true, in production false',
    parse: flag
  }),
  AUTH_BOOTSTRAP_ADMIN_USERNAME: define({ help: 'Made an administrator at a start without one.', parse: text }),
  AUTH_BOOTSTRAP_ADMIN_EMAIL: define({ help: 'Email of that administrator.', parse: text }),
  AUTH_BOOTSTRAP_ADMIN_PASSWORD: define({ help: 'Password of that administrator.', secret: true, parse: text })
}

type Definitions = typeof definitions
type Value<D> = D extends Setting<infer T> ? T : never
/** Settings without a default, which may be missing. */
type Optional =
  | 'DATABASE_URL'
  | 'AUTH_MASTER_KEY'
  | 'AUTH_MASTER_KEY_PREVIOUS'
  | 'AUTH_PASSWORD_PEPPER'
  | 'AUTH_PASSWORD_PEPPER_PREVIOUS'
  | 'AUTH_ISSUER'
  | 'AUTH_LOGIN_URL'
  | 'AUTH_HASH_CONCURRENCY'
  | 'AUTH_METRICS_PORT'
  | 'AUTH_MIGRATE_ON_START'
  | 'AUTH_PRINT_SETUP_LINK'
  | 'AUTH_BOOTSTRAP_ADMIN_USERNAME'
  | 'AUTH_BOOTSTRAP_ADMIN_EMAIL'
  | 'AUTH_BOOTSTRAP_ADMIN_PASSWORD'

export type Settings = {
  readonly [K in keyof Definitions]: K extends Optional ? Value<Definitions[K]> | undefined : Value<Definitions[K]>
}

/** A setting's text from its variable, or from the file that its `_FILE` variable names. */
function textOf(name: string, setting: Setting<unknown>, environment: Environment): string | undefined {
  const direct = environment[name]
  const file = setting.secret ? environment[`${name}_FILE`] : undefined
  if (file === undefined || file === '') return direct === '' ? undefined : direct
  if (direct !== undefined && direct !== '') throw new Error(`and ${name}_FILE are both set: keep one`)
  let content: string
  try {
    content = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new Error(`cannot be read from ${file} (${(error as NodeJS.ErrnoException).code}), which ${name}_FILE names`)
  }
  if (content === '') throw new Error(`is empty in ${file}, which ${name}_FILE names`)
  return content
}

/** How many letters to change to come from one to the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[to.length]!
}

/** Variables that look like ours and are not: a misspelt setting would otherwise silently keep its default. */
function unknownFaults(environment: Environment): string[] {
  const names = Object.keys(definitions)
  return Object.keys(environment)
    .filter((name) => name.startsWith('AUTH_') && !names.includes(name))
    .filter(
      (name) =>
        !(name.endsWith('_FILE') && (definitions as Record<string, Setting<unknown>>)[name.slice(0, -5)]?.secret)
    )
    .map((name) => {
      const nearest = names.toSorted((a, b) => distance(name, a) - distance(name, b))[0]!
      const hint = distance(name, nearest) <= 4 ? ` Did you mean ${nearest}?` : ''
      return `${name} is not a setting of Keyturn.${hint}`
    })
}

/** Reads every setting, and says of each wrong one what it must be. A secret's value is never repeated. */
export function readSettings(environment: Environment): { settings: Settings; faults: string[] } {
  const faults = unknownFaults(environment)
  const settings: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(definitions) as [string, Setting<unknown>][]) {
    let value: string | undefined
    try {
      value = textOf(name, setting, environment) ?? setting.fallback
      settings[name] =
        value === undefined
          ? undefined
          : value === '' && setting.fallback === ''
            ? setting.parse('')
            : setting.parse(value)
    } catch (error) {
      const shown = setting.secret || value === undefined ? '' : ` (it is ${JSON.stringify(value)})`
      faults.push(`${name} ${(error as Error).message}${shown}.`)
    }
  }
  return { settings: settings as Settings, faults }
}

/** The text of `.env.example`: every setting with its default. */
export function exampleEnvironment(): string {
  const blocks = (Object.entries(definitions) as [string, Setting<unknown>][]).map(([name, setting]) => {
    const notes = [setting.help]
    if (setting.secret) notes.push(`Also as ${name}_FILE.`)
    if (setting.fallbackNote !== undefined) notes.push(`Default: ${setting.fallbackNote}.`)
    return `# ${notes.join(' ')}\n#${name}=${setting.fallback || setting.example || ''}`
  })
  return `# Every setting of Keyturn with its default. None is needed to start.\n\n${blocks.join('\n\n')}\n`
}

/** The settings as they are in force, secrets left out. */
export function describeSettings(
  environment: Environment,
  settings: Settings
): Array<{ name: string; value: string; source: string }> {
  return (Object.entries(definitions) as [keyof Settings, Setting<unknown>][]).map(([name, setting]) => {
    const fromFile = setting.secret && environment[`${name}_FILE`]
    const source = fromFile ? 'file' : environment[name] ? 'environment' : 'default'
    const value = settings[name]
    const shown =
      value === undefined
        ? (setting.fallbackNote ?? '')
        : setting.secret
          ? '(secret)'
          : environment[name] || setting.fallback || String(value)
    return { name, value: shown, source }
  })
}
