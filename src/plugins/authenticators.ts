import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Authorization } from '../domain/authorization.js'
import { basicCredentials } from '../domain/basic-credentials.js'
import type { Principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'

/** Finds out who a request speaks for, by one kind of credential (an authentication class of Django REST Framework). */
export interface Authenticator {
  readonly name: string
  /** What a 401 names, as in `Token realm="keyturn"` (RFC 9110 §11.6.1); left out where no challenge exists. */
  readonly challenge?: string | undefined
  /**
   * Whether the request carries this kind of credential, good or bad, by its form alone: no query, no waiting. Where it
   * is left out, `authenticate` is asked in its turn.
   */
  recognizes?(request: FastifyRequest, authorization: Authorization | null): boolean
  /**
   * Who the request speaks for; null where it carries no such credential. Throws a Refusal for a bad one: a bad
   * credential is an error, never nobody.
   */
  authenticate(
    request: FastifyRequest,
    authorization: Authorization | null
  ): Promise<Principal | null> | Principal | null
}

/** Says what an authenticator must have, at the start and not at the first request. */
export function defineAuthenticator(authenticator: Authenticator): Authenticator {
  const { name, challenge, recognizes, authenticate } = authenticator as Partial<Authenticator>
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_-]{0,31}$/.test(name)) {
    throw new Error('an authenticator needs a name: 1 to 32 lower-case letters, digits, - and _')
  }
  if (typeof authenticate !== 'function') throw new Error(`the authenticator ${name} needs a function authenticate()`)
  if (recognizes !== undefined && typeof recognizes !== 'function') {
    throw new Error(`recognizes of the authenticator ${name} must be a function`)
  }
  if (challenge !== undefined && (typeof challenge !== 'string' || !/^[\x20-\x7e]+$/.test(challenge))) {
    throw new Error(`challenge of the authenticator ${name} must be text such as 'ApiKey realm="keyturn"'`)
  }
  return authenticator
}

export interface Authenticators {
  /** The configured ones, in their order. */
  readonly order: readonly string[]
  /** Throws where there is none of this name. */
  byName(name: string): Authenticator
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly authenticators: Authenticators
  }
}

export interface AuthenticatorsOptions {
  readonly order: readonly string[]
  readonly custom: readonly Authenticator[]
  readonly clock: () => Date
}

type AccessTokenScheme = 'bearer' | 'dpop'

const isAccessTokenScheme = (scheme: string | undefined): scheme is AccessTokenScheme =>
  scheme === 'bearer' || scheme === 'dpop'

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Milliseconds for which a principal that was read from the database is remembered, and how many are. */
export const principalMaxAge = 30_000
const maxRemembered = 10_000

/** What a key is remembered by: never the key itself. */
const digest = (kind: string, secret: string) => createHash('sha256').update(kind).update(secret).digest('base64')

/** What a handler adds to the sets of its principal must not be remembered for the next request. */
function copyOf(principal: Principal): Principal {
  const { scopes, roles, permissions } = principal
  return { ...principal, scopes: new Set(scopes), roles: new Set(roles), permissions: new Set(permissions) }
}

/** Session cookie, API token, access token, password, and those of one's own, by name. */
export const authenticators = fp<AuthenticatorsOptions>(
  async (app, { order, custom, clock }) => {
    const { flows, revocations } = app
    const remembered = new Map<string, { readonly principal: Principal; readonly age: () => number }>()

    /**
     * Milliseconds since now, by whichever of two clocks has gone further: what measures time here stands still while a
     * machine sleeps, and revocations of that time may have come and gone when it wakes.
     */
    function stopwatch(): () => number {
      const [started, date] = [performance.now(), clock().getTime()]
      return () => Math.max(performance.now() - started, Math.abs(clock().getTime() - date))
    }

    /**
     * Remembers who a credential speaks for, so that it costs one read and then none. An entry dies by its age, by its
     * credential's end, and by every revocation that concerns it; where this replica does not know of revocations, it
     * asks the database each time.
     */
    async function remember(key: string, read: () => Promise<Principal>): Promise<Principal> {
      const found = remembered.get(key)
      if (found !== undefined) {
        const { principal, age } = found
        const isGood =
          revocations.isCurrent() &&
          age() < principalMaxAge &&
          (principal.expiresAt === null || principal.expiresAt > clock()) &&
          revocations.find(principal) === undefined
        if (isGood) return copyOf(principal)
        remembered.delete(key)
      }
      const age = stopwatch()
      const principal = await read()
      if (remembered.size >= maxRemembered) {
        const [oldest] = remembered.keys()
        remembered.delete(oldest!)
      }
      remembered.set(key, { principal, age })
      return copyOf(principal)
    }

    /**
     * Throws where what a browser sends by itself may have been sent by another site's page. A WebSocket begins with a
     * GET, and does anything after it.
     */
    function assertNotForged(request: FastifyRequest): void {
      const { forwarded } = request
      if (forwarded === null) {
        if (!safeMethods.has(request.method)) app.assertSameSite(request)
      } else if (!safeMethods.has(forwarded.method) || request.headers['sec-websocket-key'] !== undefined) {
        app.assertForwardedSameSite(request, forwarded)
      }
    }

    const session = defineAuthenticator({
      name: 'session',
      recognizes: (request) => app.sessionCookie.read(request) !== undefined,
      async authenticate(request) {
        const cookie = app.sessionCookie.read(request)
        if (cookie === undefined) return null
        assertNotForged(request)
        return await remember(digest('session', cookie), () => flows.authenticateSession(cookie))
      }
    })

    const token = defineAuthenticator({
      name: 'token',
      challenge: 'Token realm="keyturn"',
      recognizes: (_request, authorization) => authorization?.scheme === 'token',
      async authenticate(_request, authorization) {
        if (authorization?.scheme !== 'token') return null
        const key = authorization.credentials
        return await remember(digest('token', key), () => flows.authenticateApiToken(key))
      }
    })

    /** An access token is one kind of credential, by whichever of its two schemes it comes. */
    const bearer = defineAuthenticator({
      name: 'bearer',
      challenge: 'Bearer realm="keyturn"',
      recognizes: (_request, authorization) => isAccessTokenScheme(authorization?.scheme),
      async authenticate(request, authorization) {
        if (authorization === null || !isAccessTokenScheme(authorization.scheme)) return null
        // Whatever its form: what is no token at all is refused as any other that is not known to be good.
        const token = authorization.credentials
        const principal = await app.accessTokens.authenticate(token, authorization.scheme)
        revocations.assertKnown()
        const ended = revocations.find(principal)
        if (ended !== undefined) throw new Refusal('token_revoked', { because: ended.because })
        if (authorization.scheme === 'dpop') await prove(request, token, principal)
        return principal
      }
    })

    /** The holder of the token's key made this request, and no other request was made with this proof. */
    async function prove(request: FastifyRequest, token: string, principal: Principal): Promise<void> {
      const proof = await app.dpop.proof(request, token)
      if (proof === null) {
        const detail = 'Send the header DPoP with a proof for this request and this token.'
        throw new Refusal('dpop_proof_invalid', { because: 'none', detail })
      }
      if (proof.jkt !== principal.jkt) throw new Refusal('token_invalid', { because: 'bound to another key' })
      await flows.spendProof(proof)
    }

    const basic = defineAuthenticator({
      name: 'basic',
      challenge: 'Basic realm="keyturn", charset="UTF-8"',
      recognizes: (_request, authorization) => authorization?.scheme === 'basic',
      async authenticate(request, authorization) {
        if (authorization?.scheme !== 'basic') return null
        // A browser that was once asked for a password sends it for other sites too, and says where it comes from.
        const { origin, 'sec-fetch-site': fetchSite } = request.headers
        if ((origin ?? fetchSite) !== undefined) assertNotForged(request)
        const credentials = basicCredentials(authorization)
        if (credentials === undefined) throw new Refusal('invalid_credentials', { because: 'malformed' })
        await app.rateLimits.signIn(request)
        const name = credentials.name.includes('@') ? { email: credentials.name } : { username: credentials.name }
        const { address } = request.caller
        return await request.flows.authenticatePassword({ ...name, password: credentials.password }, address)
      }
    })

    const known = new Map<string, Authenticator>()
    for (const one of [session, token, bearer, basic, ...custom.map(defineAuthenticator)]) {
      if (known.has(one.name)) throw new Error(`there are two authenticators named ${one.name}`)
      known.set(one.name, one)
    }
    const byName = (name: string) => {
      const found = known.get(name)
      if (found === undefined) {
        const names = [...known.keys()].filter((one) => !one.startsWith('drf-'))
        throw new Error(`There is no authenticator "${name}"; AUTH_AUTHENTICATORS may name ${names.join(', ')}.`)
      }
      return found
    }
    for (const name of order) byName(name)
    app.decorate('authenticators', { order, byName } satisfies Authenticators)
  },
  {
    name: 'authenticators',
    dependencies: ['flows', 'revocations', 'cookies', 'access-tokens', 'dpop', 'rate-limits', 'forwarded'],
    fastify: '5.x'
  }
)
