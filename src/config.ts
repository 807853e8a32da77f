import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import type { AppOptions } from './app.js'
import { wordsOfIssuer } from './domain/context-words.js'
import { signingAlgorithms } from './domain/key-ring.js'
import { type Pepper, pepperOf } from './domain/pepper.js'
import { loadBlocklist } from './password-lists.js'
import { type Environment, readAnew, readSettings, type Settings } from './settings.js'

/** All that a process needs to know, read once. */
export interface Config {
  readonly settings: Settings
  readonly production: boolean
  /** Undefined for the embedded database. */
  readonly databaseUrl: string | undefined
  readonly dataDir: string
  readonly host: string
  readonly port: number
  readonly issuer: string
  readonly migrateOnStart: boolean
  /** Milliseconds for which it goes on after it was told to stop. */
  readonly shutdownGrace: number
  readonly printSetupLink: boolean
  readonly bootstrapAdmin: { username: string; email: string | undefined; password: string } | undefined
  /** What the app is built with, once the database has an address. */
  app(databaseUrl: string): Omit<AppOptions, 'latestMigration'>
}

/** Wrong settings: every one of them, with what to do about it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(readonly faults: readonly string[]) {
    super(faults.join('\n'))
  }
}

/** The master key: from its setting, or made at the first start and kept beside the embedded database. */
function masterKey(settings: Settings, dataDir: string): Buffer {
  if (settings.AUTH_MASTER_KEY !== undefined) return settings.AUTH_MASTER_KEY
  const file = join(dataDir, 'master.key')
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    try {
      // wx: of two that start at once, one makes the key and both read it.
      writeFileSync(file, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64url')
  if (key.length !== 32)
    throw new ConfigError([
      `${file} is not a master key. Restore it from a backup, or remove it together with the database.`
    ])
  return key
}

/** What a production start refuses, each with what to set. */
function productionFaults(settings: Settings): string[] {
  const faults: string[] = []
  if (settings.DATABASE_URL === undefined) {
    faults.push('DATABASE_URL is not set: in production the embedded database is not used. Set it to a Postgres.')
  }
  if (settings.AUTH_MASTER_KEY === undefined) {
    faults.push(
      'AUTH_MASTER_KEY is not set. Make one with `openssl rand -base64 32` and set it, or AUTH_MASTER_KEY_FILE, on every replica.'
    )
  }
  if (settings.AUTH_ISSUER === undefined) {
    faults.push('AUTH_ISSUER is not set. Set it to the https address at which clients reach this service.')
  } else if (!settings.AUTH_ISSUER.startsWith('https:')) {
    faults.push('AUTH_ISSUER is not https. Browsers keep no safe cookie without TLS; set it to the https address.')
  }
  if (!settings.AUTH_RATE_LIMIT) {
    faults.push('AUTH_RATE_LIMIT is off, which is for load tests alone: anybody may guess passwords. Unset it.')
  }
  for (const origin of settings.AUTH_ALLOWED_ORIGINS) {
    if (!origin.startsWith('https:')) faults.push(`AUTH_ALLOWED_ORIGINS has ${origin}, which is not https.`)
  }
  for (const origin of settings.AUTH_LOGIN_RETURN_ORIGINS) {
    if (!origin.startsWith('https:')) faults.push(`AUTH_LOGIN_RETURN_ORIGINS has ${origin}, which is not https.`)
  }
  if (settings.AUTH_LOGIN_URL?.startsWith('http:')) {
    faults.push('AUTH_LOGIN_URL is not https. Passwords are typed there; set it to the https address.')
  }
  return faults
}

/** The present pepper first; without one, those of before are still checked, and new hashes have none. */
function peppersOf(settings: Settings): { current: Pepper | null; known: Pepper[] } {
  const current = settings.AUTH_PASSWORD_PEPPER === undefined ? null : pepperOf(settings.AUTH_PASSWORD_PEPPER)
  const previous = (settings.AUTH_PASSWORD_PEPPER_PREVIOUS ?? []).map(pepperOf)
  return { current, known: [...(current === null ? [] : [current]), ...previous] }
}

/**
 * The configuration, from the environment alone. Throws a ConfigError that names every setting that is wrong.
 */
export function readConfig(environment: Environment, version: string): Config {
  const { settings, faults } = readSettings(environment)
  const production = settings.NODE_ENV === 'production'
  if (production && faults.length === 0) faults.push(...productionFaults(settings))
  if (settings.AUTH_REFRESH_IDLE_TTL > settings.AUTH_SESSION_TTL) {
    faults.push(
      'AUTH_REFRESH_IDLE_TTL is longer than AUTH_SESSION_TTL. A session cannot be idle for longer than it lives.'
    )
  }
  if (settings.AUTH_ACCESS_TTL > settings.AUTH_REFRESH_IDLE_TTL) {
    faults.push('AUTH_ACCESS_TTL is longer than AUTH_REFRESH_IDLE_TTL. Nobody would refresh in time.')
  }
  if (
    (settings.AUTH_BOOTSTRAP_ADMIN_USERNAME === undefined) !==
    (settings.AUTH_BOOTSTRAP_ADMIN_PASSWORD === undefined)
  ) {
    faults.push('Set AUTH_BOOTSTRAP_ADMIN_USERNAME and AUTH_BOOTSTRAP_ADMIN_PASSWORD together, or neither.')
  }
  const shared = settings.AUTH_FORWARD_AUTH_AUDIENCE.find((name) => settings.AUTH_AUDIENCE.includes(name))
  if (shared !== undefined) {
    faults.push(
      `AUTH_FORWARD_AUTH_AUDIENCE and AUTH_AUDIENCE both have ${shared}. Name upstreams otherwise, so that no token of one kind is taken for the other.`
    )
  }
  if (settings.AUTH_LOGIN_RETURN_ORIGINS.length > 0 && settings.AUTH_LOGIN_URL === undefined) {
    faults.push('AUTH_LOGIN_RETURN_ORIGINS is set and AUTH_LOGIN_URL is not. Set where people sign in, or neither.')
  }
  const current = settings.AUTH_MASTER_KEY
  if (current !== undefined && settings.AUTH_MASTER_KEY_PREVIOUS?.some((key) => key.equals(current))) {
    faults.push('AUTH_MASTER_KEY_PREVIOUS has AUTH_MASTER_KEY itself among its keys. Name the others alone.')
  }
  if (faults.length > 0) throw new ConfigError(faults)

  const dataDir = resolve(settings.AUTH_DATA_DIR)
  const issuer = settings.AUTH_ISSUER ?? `http://localhost:${settings.PORT}`

  return {
    settings,
    production,
    databaseUrl: settings.DATABASE_URL,
    dataDir,
    host: settings.HOST,
    port: settings.PORT,
    issuer,
    shutdownGrace: settings.AUTH_SHUTDOWN_GRACE ?? (production ? 5_000 : 0),
    migrateOnStart: settings.AUTH_MIGRATE_ON_START ?? !production,
    printSetupLink: settings.AUTH_PRINT_SETUP_LINK ?? !production,
    bootstrapAdmin:
      settings.AUTH_BOOTSTRAP_ADMIN_USERNAME === undefined
        ? undefined
        : {
            username: settings.AUTH_BOOTSTRAP_ADMIN_USERNAME,
            email: settings.AUTH_BOOTSTRAP_ADMIN_EMAIL,
            password: settings.AUTH_BOOTSTRAP_ADMIN_PASSWORD!
          },
    app: (databaseUrl) => ({
      logger: { level: settings.LOG_LEVEL },
      version,
      trustedProxies: settings.AUTH_TRUSTED_PROXIES,
      issuer,
      audience: settings.AUTH_AUDIENCE,
      allowedOrigins: settings.AUTH_ALLOWED_ORIGINS,
      masterKey: masterKey(settings, dataDir),
      previousMasterKeys: settings.AUTH_MASTER_KEY_PREVIOUS ?? [],
      connections: {
        headersTimeout: 10_000,
        requestTimeout: settings.AUTH_REQUEST_TIMEOUT,
        keepAliveTimeout: settings.AUTH_KEEP_ALIVE_TIMEOUT,
        checkInterval: 2_000,
        maxHeaderSize: 16 * 1024,
        max: settings.AUTH_MAX_CONNECTIONS
      },
      database: {
        // Its password is changed by others, and a file of secrets with it, while the service runs.
        url: environment.DATABASE_URL_FILE ? readAnew('DATABASE_URL', environment, databaseUrl) : databaseUrl,
        poolSize: settings.AUTH_DATABASE_POOL_SIZE,
        timeout: settings.AUTH_DATABASE_TIMEOUT
      },
      tracing: {
        endpoint: settings.OTEL_EXPORTER_OTLP_ENDPOINT ?? null,
        headers: settings.OTEL_EXPORTER_OTLP_HEADERS,
        resource: {
          'service.version': version,
          ...settings.OTEL_RESOURCE_ATTRIBUTES,
          'service.name': settings.OTEL_SERVICE_NAME
        },
        sampler: settings.OTEL_TRACES_SAMPLER,
        ratio: settings.OTEL_TRACES_SAMPLER_ARG,
        timeout: 3_000
      },
      breachedPasswords: { source: settings.AUTH_BREACHED_PASSWORDS, timeout: 2_000 },
      passwords: {
        memory: settings.AUTH_HASH_MEMORY,
        iterations: settings.AUTH_HASH_ITERATIONS,
        concurrency: settings.AUTH_HASH_CONCURRENCY ?? availableParallelism(),
        peppers: peppersOf(settings),
        legacyConcurrency: settings.AUTH_LEGACY_HASH_CONCURRENCY,
        maxWaiting: settings.AUTH_HASH_QUEUE,
        maxWait: settings.AUTH_HASH_WAIT
      },
      overload: {
        delay: settings.AUTH_OVERLOAD_DELAY,
        requests: settings.AUTH_OVERLOAD_REQUESTS,
        interval: 500
      },
      flows: {
        lifetimes: {
          access: settings.AUTH_ACCESS_TTL,
          refreshIdle: settings.AUTH_REFRESH_IDLE_TTL,
          session: settings.AUTH_SESSION_TTL
        },
        rotation: {
          replayWindow: settings.AUTH_REFRESH_REPLAY_WINDOW,
          lostResponse: settings.AUTH_REFRESH_LOST_RESPONSE
        },
        sessionsPerAccount: settings.AUTH_SESSIONS_PER_ACCOUNT,
        passwordPolicy: {
          minLength: settings.AUTH_PASSWORD_MIN_LENGTH,
          blocklist: loadBlocklist(),
          contextWords: ['keyturn', ...wordsOfIssuer(issuer), ...settings.AUTH_PASSWORD_CONTEXT_WORDS]
        },
        guessing: { free: settings.AUTH_GUESSES_FREE, max: settings.AUTH_GUESSES_MAX },
        stuffing: settings.AUTH_RATE_LIMIT ? { limit: settings.AUTH_RATE_LIMIT_STUFFING } : null,
        signUp: settings.AUTH_SIGN_UP,
        tokenOnRegister: settings.AUTH_TOKEN_ON_REGISTER,
        clientId: settings.AUTH_CLIENT_ID,
        statusList: settings.AUTH_STATUS_LIST,
        loopbackReceivers: !production
      },
      authenticators: { order: settings.AUTH_AUTHENTICATORS, custom: [] },
      dpop: { nonce: settings.AUTH_DPOP_NONCE },
      drf: settings.AUTH_DRF
        ? {
            authenticators: settings.AUTH_DRF_AUTHENTICATORS,
            rotate: settings.AUTH_DRF_ROTATE_REFRESH_TOKENS,
            knox: { lifetime: settings.AUTH_DRF_KNOX_TTL, limit: settings.AUTH_DRF_KNOX_LIMIT }
          }
        : null,
      rateLimits: {
        ...(settings.AUTH_RATE_LIMIT
          ? {
              signIn: settings.AUTH_RATE_LIMIT_SIGN_IN,
              register: settings.AUTH_RATE_LIMIT_REGISTER,
              refresh: settings.AUTH_RATE_LIMIT_REFRESH,
              logout: settings.AUTH_RATE_LIMIT_LOGOUT,
              clientFailures: settings.AUTH_RATE_LIMIT_CLIENT_FAILURES
            }
          : { signIn: null, register: null, refresh: null, logout: null, clientFailures: null }),
        store: settings.AUTH_RATE_LIMIT_STORE
      },
      forwardAuth: {
        audiences: settings.AUTH_FORWARD_AUTH_AUDIENCE,
        tokenLifetime: settings.AUTH_FORWARD_AUTH_TOKEN_TTL,
        email: settings.AUTH_FORWARD_AUTH_EMAIL,
        login:
          settings.AUTH_LOGIN_URL === undefined
            ? null
            : { url: settings.AUTH_LOGIN_URL, returnOrigins: new Set(settings.AUTH_LOGIN_RETURN_ORIGINS) }
      },
      revocations: {
        pollInterval: 1_000,
        maxStaleness: settings.AUTH_REVOCATION_MAX_STALENESS,
        whenStale: settings.AUTH_REVOCATION_STALE
      },
      audit: {
        retention: settings.AUTH_AUDIT_RETENTION,
        chain: settings.AUTH_AUDIT_CHAIN,
        within: 'service',
        linkInterval: 1_000
      },
      broom: { interval: settings.AUTH_BROOM_INTERVAL, batch: 5_000, kept: 86_400_000 },
      metrics: { host: settings.HOST, port: settings.AUTH_METRICS_PORT ?? null },
      revocationFeed: {
        access: settings.AUTH_REVOCATION_FEED,
        maxWaiting: 1_000,
        maxStreams: 1_000,
        heartbeat: 15_000,
        slowAfter: 15_000
      },
      statusListInterval: 1_000,
      events: { pollInterval: 5_000, timeout: 10_000 },
      signing: {
        algorithm: signingAlgorithms.find((one) => one === settings.AUTH_SIGNING_ALGORITHM)!,
        pollInterval: 1_000,
        rotationInterval: settings.AUTH_KEY_ROTATION_INTERVAL,
        provider: settings.AUTH_KEY_PROVIDER,
        providers: [],
        providerTimeout: 2_000
      },
      jwksMaxAge: settings.AUTH_JWKS_MAX_AGE / 1000,
      leeway: 30,
      docs: settings.AUTH_DOCS
    })
  }
}
