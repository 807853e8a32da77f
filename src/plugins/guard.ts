import type { FastifyInstance, FastifyRequest, preParsingHookHandler, preValidationHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { hasTokenInQuery, readAuthorization } from '../domain/authorization.js'
import type { Principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import {
  allow,
  type Inquiry,
  inquiryOf,
  isOpen,
  judge,
  type RequestContext,
  type Requirement,
  type Verdict
} from '../domain/requirement.js'
import type { Authenticator } from './authenticators.js'

/** What a route asks for, looked up once. */
export interface Access {
  readonly requirement: Requirement
  readonly authenticators: readonly Authenticator[]
  readonly inquiry: Inquiry
  /** What the route says itself, which no guard around it overrules. */
  readonly own: GuardOptions
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who the request speaks for. Throws `authentication_required` where nobody is there: no silent undefined. */
    principal: Principal
    /** The same, null where nobody is there. */
    principalOrNull: Principal | null
    /** The name of the authenticator that recognized the request, whether or not it accepted it. */
    authenticatedBy: string | null
  }
  interface FastifyContextConfig {
    /** Who may come in; `authenticated` behind a guard that says nothing else. */
    requirement?: Requirement
    /** Which credentials count here, in their order; those of AUTH_AUTHENTICATORS where it is left out. */
    authenticators?: readonly string[]
    /** Made of the two by the guard. */
    access?: Access
  }
}

export interface GuardOptions {
  readonly requirement?: Requirement | undefined
  readonly authenticators?: readonly string[] | undefined
}

/**
 * Guards every route registered after it in the same scope: each gets the guard's requirement unless it has one of its
 * own. Of several guards around a route the innermost decides what it says, and the one around it the rest. It stands after all onRequest hooks, so that requests which fail here are still counted by what counts requests,
 * and before the body is read.
 */
export const guard = fp<GuardOptions>(
  async (scope, options) => {
    scope.addHook('onRoute', (route) => {
      // An outer guard's hook runs first, and leaves its word in the configuration: what the route said is kept apart.
      const { access: outer, requirement: said, authenticators: named } = route.config ?? {}
      const own = outer?.own ?? { requirement: said, authenticators: named }
      const requirement = own.requirement ?? options.requirement ?? said ?? allow.authenticated()
      const names = own.authenticators ?? options.authenticators ?? named ?? scope.authenticators.order
      const access = {
        requirement,
        authenticators: names.map((name) => scope.authenticators.byName(name)),
        inquiry: inquiryOf(requirement),
        own
      }
      const acceptsClients = route.config?.clientAuthentication !== undefined
      if (names.length === 0 && !acceptsClients && !isOpen(requirement)) {
        throw new Error(`${route.method} ${route.url} asks for a principal and accepts no credential`)
      }
      route.config = { ...route.config, requirement, authenticators: names, access }
      const before = [route.preParsing ?? []].flat() as preParsingHookHandler[]
      // A HEAD route is made of its GET route, hooks and all.
      if (names.length > 0 && !before.includes(guardRequest)) route.preParsing = [guardRequest, ...before]
      if (acceptsClients) {
        // After the route's own, which may refuse what nobody may ask for.
        const own = [route.preValidation ?? []].flat() as preValidationHookHandler[]
        if (!own.includes(guardClient)) route.preValidation = [...own, guardClient]
      }
    })
  },
  { name: 'guard', dependencies: ['authenticators', 'principals'], fastify: '5.x' }
)

const guardRequest: preParsingHookHandler = async function (this: FastifyInstance, request, reply) {
  const { config } = request.routeOptions
  const { authenticators } = config.access!
  // An outer guard looked at credentials, and the innermost does not.
  if (authenticators.length === 0) return
  // What one person is told is for nobody's cache.
  reply.header('cache-control', 'no-store')
  if (config.clientAuthentication !== undefined && !hasOtherCredential(request, authenticators)) return
  request.principalOrNull = await authenticate(request, authenticators)
  await admitTo(this, request)
}

/** Whether a caller is to be known by what the route's authenticators look at; a client is otherwise, by its form. */
function hasOtherCredential(request: FastifyRequest, authenticators: readonly Authenticator[]): boolean {
  const authorization = readAuthorization(request.raw.rawHeaders)
  if (authorization !== null && (authorization === 'several' || authorization.scheme !== 'basic')) return true
  return authenticators.some((one) => one.recognizes?.(request, authorization))
}

/** Lets in a client that authenticates itself in its form or by Basic, once the body was read. */
const guardClient: preValidationHookHandler = async function (this: FastifyInstance, request, reply) {
  reply.header('cache-control', 'no-store')
  if (request.principalOrNull !== null) {
    const { client_secret: secret, client_assertion: assertion } = (request.body ?? {}) as Record<string, unknown>
    if (secret !== undefined || assertion !== undefined) throw twoCredentials('a token and a client')
    return
  }
  request.clientOrNull = await this.authenticateClient(request)
  request.principalOrNull = this.flows.principalOfClient(request.clientOrNull)
  await admitTo(this, request)
}

async function admitTo(app: FastifyInstance, request: FastifyRequest): Promise<void> {
  const context = { method: request.method, params: request.params }
  await admit(app, request.principalOrNull, request.routeOptions.config.access!, context)
}

/** Judges whether who is there, or nobody, may come in. Throws what would help where they may not. */
export async function admit(
  app: FastifyInstance,
  principal: Principal | null,
  { requirement, inquiry }: Pick<Access, 'requirement' | 'inquiry'>,
  context: RequestContext
): Promise<void> {
  const facts = { principal, context, now: app.clock() }
  let verdict: Verdict
  if (principal === null || (!inquiry.fresh && inquiry.checks.length === 0)) verdict = judge(requirement, facts)
  else {
    const checks = new Map<Requirement, boolean>()
    for (const check of inquiry.checks) checks.set(check, (await check.run(principal, context)) === true)
    const fresh = inquiry.fresh && (await app.flows.isFresh(principal))
    verdict = judge(requirement, { ...facts, checks, fresh })
  }
  if (!verdict.ok) throw refusalOf(verdict, principal)
}

/**
 * The first authenticator that recognizes its credential decides. Two credentials are an error: whoever stands in front
 * may have looked at the other one (RFC 6750 §2).
 */
async function authenticate(
  request: FastifyRequest,
  authenticators: readonly Authenticator[]
): Promise<Principal | null> {
  const authorization = readAuthorization(request.raw.rawHeaders)
  if (authorization === 'several') throw twoCredentials('two Authorization headers')
  if (hasTokenInQuery(request.query)) {
    throw new Refusal('request_malformed', { because: 'token in the query', detail: 'Send tokens in headers alone.' })
  }
  const recognizing = authenticators.filter((one) => one.recognizes?.(request, authorization))
  if (recognizing.length > 1) throw twoCredentials(recognizing.map(({ name }) => name).join(' and '))
  let found: Principal | null = null
  for (const one of authenticators) {
    if (one.recognizes !== undefined && !recognizing.includes(one)) continue
    request.authenticatedBy = one.name
    // One written in JavaScript may return nothing at all.
    const principal = (await one.authenticate(request, authorization)) ?? null
    if (principal === null) continue
    if (found !== null) throw twoCredentials(`${found.authenticator} and ${one.name}`)
    found = principal
  }
  if (found !== null) {
    request.authenticatedBy = found.authenticator
    return found
  }
  request.authenticatedBy = null
  if (authorization !== null) {
    throw new Refusal('authentication_required', { because: 'no authenticator of this route knows the scheme' })
  }
  return null
}

const limited = 'The token is limited to its scopes. This operation asks for a credential that is not, or for more.'

function twoCredentials(because: string): Refusal {
  return new Refusal('request_malformed', { because, detail: 'Send one credential: the request carries two.' })
}

function refusalOf(verdict: Exclude<Verdict, { ok: true }>, principal: Principal | null): Refusal {
  switch (verdict.because) {
    case 'anonymous':
      return new Refusal('authentication_required', { because: 'none' })
    case 'not_fresh':
      return new Refusal('token_revoked', { because: 'not alive in the database' })
    case 'scope':
      return new Refusal('insufficient_scope', {
        because: `scope ${verdict.scope} is required`,
        challenge: { error: 'insufficient_scope', scope: verdict.scope }
      })
    case 'step_up':
      return new Refusal('reauthentication_required', {
        because: 'the sign-in is too old or too weak',
        challenge: {
          error: 'insufficient_user_authentication',
          ...(verdict.acrValues === undefined ? {} : { acr_values: verdict.acrValues }),
          ...(verdict.maxAge === undefined ? {} : { max_age: String(verdict.maxAge) })
        }
      })
    case 'denied':
      return new Refusal('permission_denied', {
        because: 'the requirement is not met',
        ...(principal !== null && principal.scopes.size > 0 ? { detail: limited } : {}),
        challenge: { error: 'insufficient_scope' }
      })
  }
}

/** Lets requests have a principal, and refuses to start with a route that says nothing of who may come in. */
export const principals = fp(
  async (app) => {
    app.decorateRequest('principalOrNull', null)
    app.decorateRequest('authenticatedBy', null)
    app.decorateRequest('principal', {
      getter() {
        const { principalOrNull } = this as FastifyRequest
        if (principalOrNull === null) throw new Refusal('authentication_required', { because: 'none' })
        return principalOrNull
      }
    } as never)

    const undeclared = new Set<{ method: string | string[]; url: string; config?: { access?: Access } }>()
    app.addHook('onRoute', (route) => {
      // Preflights are answered before any route.
      if (route.method !== 'OPTIONS') undeclared.add(route)
    })
    app.addHook('onReady', async () => {
      for (const { method, url, config } of undeclared) {
        if (config?.access === undefined) {
          throw new Error(`${method} ${url} says nothing of who may come in: register it behind a guard`)
        }
      }
    })
  },
  { name: 'principals', dependencies: ['clock'], fastify: '5.x' }
)
