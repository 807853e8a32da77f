import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyServerOptions,
  LogController
} from 'fastify'
import { type SigningAlgorithm, verifierCache } from './domain/key-ring.js'
import { allow } from './domain/requirement.js'
import { accessTokens } from './plugins/access-tokens.js'
import { type AuditOptions, audit } from './plugins/audit.js'
import { type Authenticator, authenticators, principalMaxAge } from './plugins/authenticators.js'
import { type BreachedPasswordsOptions, breachedPasswords } from './plugins/breached-passwords.js'
import { type BroomOptions, broom } from './plugins/broom.js'
import { callers } from './plugins/callers.js'
import { clientAuthentication } from './plugins/client-authentication.js'
import { clock as followClock } from './plugins/clock.js'
import { type ConnectionsOptions, connections, lastConnections, serverOptions } from './plugins/connections.js'
import { cookies } from './plugins/cookies.js'
import { type DatabaseOptions, database } from './plugins/database.js'
import { docs } from './plugins/docs.js'
import { type DpopOptions, dpop } from './plugins/dpop.js'
import { drf, drfAuthenticators } from './plugins/drf.js'
import { type EventDeliveryOptions, eventDelivery } from './plugins/event-delivery.js'
import { type FlowsOptions, flows } from './plugins/flows.js'
import { type ForwardAuthOptions, forwardAuth } from './plugins/forward-auth.js'
import { forwarded } from './plugins/forwarded.js'
import { guard, principals } from './plugins/guard.js'
import { jsonBody } from './plugins/json-body.js'
import type { KeyProvider } from './plugins/key-providers.js'
import { keys } from './plugins/keys.js'
import { type MetricsOptions, metrics } from './plugins/metrics.js'
import { notifications } from './plugins/notifications.js'
import { oauth } from './plugins/oauth.js'
import { openapi } from './plugins/openapi.js'
import { type OverloadOptions, overload } from './plugins/overload.js'
import { type PasswordsOptions, passwords } from './plugins/passwords.js'
import { clientError, frameworkError, problems } from './plugins/problems.js'
import { type RateLimitsOptions, rateLimits } from './plugins/rate-limits.js'
import { readiness } from './plugins/readiness.js'
import { requestIds, requestLog } from './plugins/request-log.js'
import { requesters } from './plugins/requesters.js'
import { responseHeaders } from './plugins/response-headers.js'
import { type RevocationFeedOptions, revocationFeed } from './plugins/revocation-feed.js'
import { type RevocationsOptions, revocations } from './plugins/revocations.js'
import { compilersFactory } from './plugins/schema-compilers.js'
import { sealedValuesPlugin } from './plugins/sealed-values.js'
import { statusLists } from './plugins/status-lists.js'
import { type TracingOptions, tracing } from './plugins/tracing.js'
import { vault } from './plugins/vault.js'
import { accountRoutes } from './routes/accounts.js'
import { auditRoutes } from './routes/audit.js'
import { clientRoutes } from './routes/clients.js'
import { drfKnoxRoutes } from './routes/drf/knox.js'
import { drfTokenRoutes } from './routes/drf/tokens.js'
import { drfUserRoutes } from './routes/drf/users.js'
import { forwardAuthRoutes } from './routes/forward-auth.js'
import { healthRoutes } from './routes/health.js'
import { meRoutes } from './routes/me.js'
import { oauthRoutes } from './routes/oauth.js'
import { pageRoutes } from './routes/pages.js'
import { type RevocationRoutesOptions, revocationRoutes } from './routes/revocations.js'
import { roleRoutes } from './routes/roles.js'
import { sessionRoutes } from './routes/sessions.js'
import { statusListRoutes } from './routes/status-lists.js'
import { tokenRoutes } from './routes/tokens.js'
import { administration, userRoutes } from './routes/users.js'
import { wellKnownRoutes } from './routes/well-known.js'

export interface AppOptions {
  readonly logger: FastifyServerOptions['logger']
  readonly version: string
  /** Addresses and networks of proxies whose X-Forwarded headers count. */
  readonly trustedProxies: readonly string[]
  /** `iss` of every token, and where clients reach the service; never taken from a request. */
  readonly issuer: string
  readonly audience: readonly string[]
  /** Exact origins of pages that may call with credentials. */
  readonly allowedOrigins: readonly string[]
  readonly masterKey: Buffer
  /** Master keys that open and authenticate, beside the present one that seals and signs. */
  readonly previousMasterKeys: readonly Buffer[]
  readonly connections: ConnectionsOptions
  readonly database: DatabaseOptions
  readonly tracing: TracingOptions
  readonly breachedPasswords: BreachedPasswordsOptions
  readonly passwords: PasswordsOptions
  readonly overload: OverloadOptions
  readonly flows: Omit<FlowsOptions, 'issuer' | 'audience' | 'leeway' | 'clock' | 'revocationLifetime'>
  /** Authenticators in the order in which they are asked, and those that are added to the service's own. */
  readonly authenticators: { readonly order: readonly string[]; readonly custom: readonly Authenticator[] }
  readonly dpop: Pick<DpopOptions, 'nonce'>
  /** The endpoints of Django REST Framework's packages; null where they are switched off. */
  readonly drf: {
    readonly authenticators: readonly string[]
    readonly rotate: boolean
    readonly knox: { readonly lifetime: number; readonly limit: number }
  } | null
  readonly rateLimits: Omit<RateLimitsOptions, 'clock'>
  readonly forwardAuth: Omit<ForwardAuthOptions, 'issuer' | 'clock'>
  readonly revocations: Omit<RevocationsOptions, 'clock'>
  readonly metrics: MetricsOptions
  readonly broom: BroomOptions
  readonly audit: Omit<AuditOptions, 'clock'>
  readonly revocationFeed: Omit<RevocationFeedOptions, 'issuer' | 'clock'> & RevocationRoutesOptions
  /** Milliseconds between two looks at the database for status lists. */
  readonly statusListInterval: number
  readonly events: Omit<EventDeliveryOptions, 'issuer' | 'clock'>
  readonly signing: {
    readonly algorithm: SigningAlgorithm
    readonly pollInterval: number
    /** Milliseconds from one key's turn to the next; null for none by the calendar. */
    readonly rotationInterval: number | null
    /** Who keeps new keys: `local`, or one of the providers. */
    readonly provider: string
    readonly providers: readonly KeyProvider[]
    /** Milliseconds that a provider may take. */
    readonly providerTimeout: number
  }
  /** Seconds that verifiers may keep the key set. */
  readonly jwksMaxAge: number
  /** Seconds by which clocks may disagree. */
  readonly leeway: number
  readonly docs: boolean
  readonly latestMigration: string
  /** False for the flows alone: commands answer no requests, and are ready sooner. */
  readonly routes?: boolean
  /** Whether schemas are compiled with the service, or each when it is needed first, as where this is left out. */
  readonly schemas?: 'ahead' | 'on demand'
  /** Without it Postgres' clock is followed. */
  readonly clock?: () => Date
  /** Registered first: how tests look inside. */
  readonly before?: FastifyPluginAsync
}

/** Seconds for which others may keep a status list. */
const statusListTtl = 30

/** For routes that are for everybody, and that look at no credential. */
const everybody = { requirement: allow.allowAny(), authenticators: [] } as const

/** Builds the service without listening. What was opened is closed again where it cannot be built. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    logger: options.logger ?? false,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIds(),
    trustProxy: options.trustedProxies.length > 0 ? [...options.trustedProxies] : false,
    bodyLimit: 16 * 1024,
    ...serverOptions(options.connections),
    // The first start makes a signing key, which takes a slow machine its time with RSA.
    pluginTimeout: 60_000,
    // Who sends over a connection that is open is answered until it is closed.
    return503OnClosing: false,
    frameworkErrors: frameworkError(options.issuer),
    clientErrorHandler: clientError(options.issuer),
    routerOptions: { maxParamLength: 200 },
    ...(options.schemas === 'ahead' ? {} : { schemaController: { compilersFactory: compilersFactory as object } }),
    // Every wrong member is told, so all are looked for; a body is small, and a message carries twenty at most. `verbose`: an
    // error carries its schema, whose words say what is asked for.
    ajv: {
      customOptions: {
        removeAdditional: false,
        coerceTypes: false,
        useDefaults: false,
        allErrors: true,
        verbose: true
      }
    }
  }).withTypeProvider<TypeBoxTypeProvider>()
  try {
    await assemble(app, options)
    if (options.routes !== false) await addRoutes(app, options)
    return app
  } catch (error) {
    await app.close().catch(() => {})
    throw error
  }
}

/** What routes share. Read it top to bottom. */
async function assemble(app: FastifyInstance, options: AppOptions): Promise<void> {
  const secure = options.issuer.startsWith('https:')
  const allowedOrigins = new Set([new URL(options.issuer).origin, ...options.allowedOrigins])
  const { access } = options.flows.lifetimes
  // Until everything that a revocation ends has expired by itself, here and at others whose clocks disagree.
  const revocationLifetime = Math.max(access, principalMaxAge) + options.leeway * 2000

  if (options.before) await app.register(options.before)

  await app.register(problems, { baseUrl: options.issuer })
  await app.register(tracing, options.tracing)
  await app.register(requestLog)
  await app.register(connections, options.connections)
  await app.register(jsonBody)
  await app.register(responseHeaders, { secure, allowedOrigins })
  // Commands sign nobody in.
  await app.register(passwords, { ...options.passwords, isAhead: options.routes !== false })
  await app.register(overload, options.overload)
  await app.register(cookies, { secure, allowedOrigins })
  await app.register(openapi, { version: options.version, serverUrl: options.issuer })
  await app.register(database, options.database)
  await app.register(followClock, { clock: options.clock })
  const { clock } = app
  await app.register(notifications, { databaseUrl: options.database.url })
  await app.register(revocations, { ...options.revocations, clock })
  await app.register(forwarded, { trustedProxies: options.trustedProxies })
  await app.register(vault, { masterKey: options.masterKey, previousMasterKeys: options.previousMasterKeys })
  await app.register(audit, { ...options.audit, clock })
  await app.register(rateLimits, { ...options.rateLimits, clock })
  await app.register(sealedValuesPlugin)
  await app.register(dpop, { ...options.dpop, issuer: options.issuer, clock })
  const { providers, providerTimeout, ...signing } = options.signing
  await app.register(keys, {
    ...signing,
    providers: { known: providers, timeout: providerTimeout },
    lookupInterval: 5_000,
    times: {
      // A replica whose clock is ahead begins earlier by that.
      publishAhead: Math.max(options.jwksMaxAge * 1000, verifierCache) + options.leeway * 1000,
      accessLifetime: access + options.leeway * 1000
    },
    revocationLifetime,
    clock
  })
  await app.register(revocationFeed, { ...options.revocationFeed, issuer: options.issuer, clock })
  await app.register(statusLists, {
    on: options.flows.statusList,
    issuer: options.issuer,
    ttl: statusListTtl,
    interval: options.statusListInterval,
    clock
  })
  await app.register(eventDelivery, { ...options.events, issuer: options.issuer, clock })
  await app.register(breachedPasswords, options.breachedPasswords)
  await app.register(accessTokens, {
    issuer: options.issuer,
    audience: options.audience,
    lifetime: access,
    leeway: options.leeway,
    clock
  })
  await app.register(callers)
  await app.register(flows, {
    ...options.flows,
    revocationLifetime,
    issuer: options.issuer,
    audience: options.audience,
    leeway: options.leeway,
    clock
  })
  await app.register(metrics, options.metrics)
  await app.register(broom, options.broom)
  await app.register(clientAuthentication)
  await app.register(readiness, { latestMigration: options.latestMigration })
  await app.register(principals)
  await app.register(requesters, { clock })
  await app.register(authenticators, {
    order: options.authenticators.order,
    custom: [...drfAuthenticators, ...options.authenticators.custom],
    clock
  })
}

async function addRoutes(app: FastifyInstance, options: AppOptions): Promise<void> {
  const { clock } = app
  await app.register(
    async function open(scope) {
      await scope.register(guard, everybody)
      await scope.register(accountRoutes)
      await scope.register(sessionRoutes)
      await scope.register(revocationRoutes, { access: options.revocationFeed.access })
      await scope.register(statusListRoutes)
    },
    { prefix: '/v1' }
  )

  await app.register(
    async function guarded(scope) {
      await scope.register(guard)
      await scope.register(meRoutes)
      await scope.register(tokenRoutes)
    },
    { prefix: '/v1' }
  )

  await app.register(
    async function administrators(scope) {
      await scope.register(guard, { requirement: administration })
      await scope.register(userRoutes)
      await scope.register(roleRoutes)
      await scope.register(clientRoutes)
      await scope.register(auditRoutes)
    },
    { prefix: '/v1/admin' }
  )

  await app.register(
    async function proxies(scope) {
      await scope.register(forwardAuth, { ...options.forwardAuth, issuer: options.issuer, clock })
      await scope.register(guard, everybody)
      await scope.register(forwardAuthRoutes)
    },
    { prefix: '/v1' }
  )

  await app.register(
    async function oauthEndpoints(scope) {
      await scope.register(oauth)
      await scope.register(guard)
      await scope.register(oauthRoutes, { issuer: options.issuer })
    },
    { prefix: '/oauth' }
  )

  const { drf: face } = options
  if (face !== null) {
    await app.register(async function djangoRestFramework(scope) {
      await scope.register(drf)
      await scope.register(guard)
      await scope.register(drfTokenRoutes, { rotate: face.rotate })
      await scope.register(drfKnoxRoutes, face.knox)
      await scope.register(drfUserRoutes, {
        authenticators: face.authenticators.map((name) => `drf-${name}`),
        passwordMinLength: options.flows.passwordPolicy.minLength
      })
    })
  }

  await app.register(async function everyone(scope) {
    await scope.register(guard, everybody)
    await scope.register(healthRoutes)
    await scope.register(wellKnownRoutes, {
      prefix: '/.well-known',
      issuer: options.issuer,
      maxAge: options.jwksMaxAge
    })
    await scope.register(pageRoutes)
    if (options.docs) await scope.register(docs)
  })
  await app.register(lastConnections)
}
