import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { DrfError } from '../../domain/drf.js'
import { Refusal } from '../../domain/refusal.js'
import { allow } from '../../domain/requirement.js'
import { addEndpoint, noContent, ok } from './endpoint.js'

export interface DrfKnoxOptions {
  /** Milliseconds that a token lives (knox's TOKEN_TTL). */
  readonly lifetime: number
  /** How many an account may have (knox's TOKEN_LIMIT_PER_USER). */
  readonly limit: number
}

const somebody = allow.authenticated()

/** django-rest-knox: a token for each device. */
const routes: FastifyPluginAsync<DrfKnoxOptions> = async (app, { lifetime, limit }) => {
  addEndpoint(app, {
    url: '/api/auth/login/',
    name: 'Login',
    // By a password or a sign-in: a key that leaked must not make itself successors.
    access: { load: 'sign_in', requirement: somebody, authenticators: ['drf-basic', 'drf-bearer'] },
    methods: {
      async POST({ principal, flows }) {
        try {
          const made = await flows.createApiToken(principal.accountId, { name: 'knox', kind: 'knox', lifetime, limit })
          // Django writes microseconds.
          return ok({ expiry: made.token.expiresAt!.toISOString().replace('Z', '000Z'), token: made.key })
        } catch (error) {
          if (!(error instanceof Refusal && error.code === 'limit_reached')) throw error
          throw new DrfError(403, { error: 'Maximum amount of tokens allowed per user exceeded.' })
        }
      }
    }
  })

  const byToken = { requirement: somebody, authenticators: ['drf-token'] }

  addEndpoint(app, {
    url: '/api/auth/logout/',
    name: 'Logout',
    access: byToken,
    methods: {
      async POST({ principal, flows }) {
        await flows.deleteApiToken(principal.accountId, principal.tokenId!)
        return noContent
      }
    }
  })

  addEndpoint(app, {
    url: '/api/auth/logoutall/',
    name: 'Logout All',
    description: 'Log the user out of all sessions\nI.E. deletes all auth tokens for the user',
    access: byToken,
    methods: {
      async POST({ principal, flows }) {
        await flows.deleteApiTokens(principal.accountId, 'knox')
        return noContent
      }
    }
  })
}

export const drfKnoxRoutes = fp(routes, {
  name: 'routes/drf/knox',
  dependencies: ['flows', 'guard', 'drf'],
  encapsulate: true,
  fastify: '5.x'
})
