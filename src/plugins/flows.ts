import { createHmac, randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { authtokenKey } from '../domain/api-token.js'
import type { Caller } from '../domain/audit-event.js'
import { formatDeviceCookie, readDeviceCookie } from '../domain/device-cookie.js'
import { formatRefreshToken, readRefreshToken } from '../domain/refresh-token.js'
import { formatSessionCookie, readSessionCookie } from '../domain/session-cookie.js'
import * as apiTokens from '../flows/api-tokens.js'
import * as auditEvents from '../flows/audit-events.js'
import * as authenticate from '../flows/authenticate.js'
import * as clientAuthentication from '../flows/client-authentication.js'
import * as clients from '../flows/clients.js'
import * as drf from '../flows/drf.js'
import * as eventReceivers from '../flows/event-receivers.js'
import type { FlowSettings, Tools } from '../flows/flow.js'
import * as forwardAuth from '../flows/forward-auth.js'
import * as guessing from '../flows/guessing.js'
import * as importSamples from '../flows/import-samples.js'
import * as importUsers from '../flows/import-users.js'
import * as introspect from '../flows/introspect.js'
import * as login from '../flows/login.js'
import * as ownAccount from '../flows/own-account.js'
import * as proof from '../flows/proof.js'
import * as refresh from '../flows/refresh.js'
import * as register from '../flows/register.js'
import * as revoke from '../flows/revoke.js'
import * as roles from '../flows/roles.js'
import * as sessions from '../flows/sessions.js'
import * as tokenGrants from '../flows/token-grants.js'
import * as users from '../flows/users.js'
import { makeClientReader } from '../storage/clients.js'
import { makeEnder } from '../storage/endings.js'
import { makeRotator } from '../storage/rotations.js'
import { makeSessionReader } from '../storage/sessions.js'
import { idEntropy } from './id-entropy.js'
import { isSignedBy, makeDecoys } from './jose.js'

/** What a person can do, each function with its tools already in its hand. */
type Bound<Module> = {
  readonly [Name in keyof Module as Module[Name] extends (tools: Tools, ...rest: never[]) => unknown
    ? Name
    : never]: Module[Name] extends (tools: Tools, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never
}

export type Flows = Bound<typeof register> &
  Bound<typeof login> &
  Bound<typeof refresh> &
  Bound<typeof guessing> &
  Bound<typeof proof> &
  Bound<typeof sessions> &
  Bound<typeof ownAccount> &
  Bound<typeof users> &
  Bound<typeof roles> &
  Bound<typeof apiTokens> &
  Bound<typeof authenticate> &
  Bound<typeof forwardAuth> &
  Bound<typeof introspect> &
  Bound<typeof clientAuthentication> &
  Bound<typeof clients> &
  Bound<typeof tokenGrants> &
  Bound<typeof revoke> &
  Bound<typeof drf> &
  Bound<typeof importUsers> &
  Bound<typeof importSamples> &
  Bound<typeof eventReceivers> &
  Bound<typeof auditEvents>

declare module 'fastify' {
  interface FastifyInstance {
    readonly flows: Flows
    /** Calls back with the name of everything that happened, as the log tells it. */
    onEvent(listener: (event: string) => void): void
  }
  interface FastifyRequest {
    /** The flows for whoever sends this request: what they tell of names the sender. */
    readonly flows: Flows
  }
}

export interface FlowsOptions extends FlowSettings {
  readonly clock: () => Date
}

/** The flows, given their tools. */
export const flows = fp<FlowsOptions>(
  async (app, { clock, ...settings }) => {
    const { vault } = app
    const [refreshKey] = vault.refreshKeys
    const [cookieKey] = vault.sessionCookieKeys
    const [deviceKey] = vault.deviceCookieKeys
    const decoyOf = makeDecoys()
    const listeners: Array<(event: string) => void> = []
    app.decorate('onEvent', (listener: (event: string) => void) => void listeners.push(listener))
    const tools: Tools = {
      db: app.db,
      clock,
      entropy: randomBytes,
      idEntropy,
      rotate: makeRotator(app.db),
      findSession: makeSessionReader(app.db),
      findClient: makeClientReader(app.db),
      endSession: makeEnder(app.db),
      async revokedBy(who) {
        await app.revocations.read()
        return app.revocations.find(who)
      },
      outage: app.revocations.outage,
      passwords: app.passwords,
      isBreached: app.isBreached,
      counts: app.rateLimits.counts,
      signAccessToken: app.accessTokens.sign,
      formatRefreshToken: (content) => formatRefreshToken(refreshKey!, content),
      readRefreshToken: (text) => readRefreshToken(vault.refreshKeys, text),
      formatSessionCookie: (sessionId) => formatSessionCookie(cookieKey!, sessionId),
      readSessionCookie: (text) => readSessionCookie(vault.sessionCookieKeys, text),
      formatDeviceCookie: (device) => formatDeviceCookie(deviceKey!, device),
      readDeviceCookie: (text) => readDeviceCookie(vault.deviceCookieKeys, text),
      digestName: (name) =>
        createHmac('sha256', vault.rateLimitSecret).update('name\0').update(name).digest('base64url'),
      authtokenKey: (tokenId) => authtokenKey(app.sealedValues.authtokenSecret, tokenId),
      async isSignedByOneOf(token, keys, algorithm) {
        for (const key of keys) if (await isSignedBy(token, key, key.alg)) return true
        if (keys.length === 0) await isSignedBy(token, decoyOf(algorithm), algorithm)
        return false
      },
      async judgeAccessToken(token) {
        const verdict = await app.accessTokens.judge(token)
        return verdict.ok ? verdict.claims : undefined
      },
      seal: vault.seal,
      caller: app.audit.caller,
      audit: app.audit,
      log(event, fields) {
        app.log.info({ event, ...fields }, event)
        for (const listener of listeners) listener(event)
      },
      settings
    }
    const modules = [
      register,
      login,
      refresh,
      guessing,
      proof,
      sessions,
      ownAccount,
      users,
      roles,
      apiTokens,
      authenticate,
      forwardAuth,
      introspect,
      clientAuthentication,
      clients,
      tokenGrants,
      revoke,
      drf,
      importUsers,
      importSamples,
      eventReceivers,
      auditEvents
    ]
    type Run = (tools: Tools, ...rest: unknown[]) => unknown
    const runs = modules.flatMap((module) => Object.entries(module)) as [string, Run][]

    const bound: Record<string, unknown> = {}
    for (const [name, run] of runs) bound[name] = (...rest: unknown[]) => run(tools, ...rest)
    app.decorate('flows', bound as unknown as Flows)

    /** The tools of one request: all are those of the service, but for who asks. */
    class RequestTools {
      constructor(readonly caller: Caller) {}
    }
    Object.setPrototypeOf(RequestTools.prototype, tools)

    /** The flows of one request: two small objects, whatever the number of flows and of tools. */
    class RequestFlows {
      readonly #tools: Tools

      constructor(caller: Caller) {
        this.#tools = new RequestTools(caller) as unknown as Tools
      }

      static {
        for (const [name, run] of runs) {
          Object.defineProperty(RequestFlows.prototype, name, {
            value(this: RequestFlows, ...rest: unknown[]) {
              return run(this.#tools, ...rest)
            }
          })
        }
      }
    }
    app.decorateRequest('flows', {
      getter() {
        return new RequestFlows((this as FastifyRequest).caller)
      }
    } as never)
  },
  {
    name: 'flows',
    dependencies: [
      'database',
      'vault',
      'rate-limits',
      'sealed-values',
      'passwords',
      'breached-passwords',
      'access-tokens',
      'audit',
      'callers'
    ],
    fastify: '5.x'
  }
)
