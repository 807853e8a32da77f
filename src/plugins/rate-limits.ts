import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'

export interface Rate {
  readonly max: number
  /** Milliseconds. */
  readonly window: number
}

export interface RateLimits {
  /** Counts an attempt to sign in from an address; throws `rate_limited` where there were too many. */
  signIn(request: FastifyRequest): Promise<void>
  /** Counts a registration from an address. */
  register(request: FastifyRequest): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly rateLimits: RateLimits
  }
}

export interface RateLimitsOptions {
  /** Attempts by password of one address; null for no limit. */
  readonly signIn: Rate | null
  readonly register: Rate | null
}

/** How often one address may try, counted in this process (a throttle class of Django REST Framework). */
export const rateLimits = fp<RateLimitsOptions>(
  async (app, options) => {
    await app.register(rateLimit, { global: false })

    function limiter(rate: Rate | null): (request: FastifyRequest) => Promise<void> {
      if (rate === null) return async () => {}
      const count = app.createRateLimit({ max: rate.max, timeWindow: rate.window })
      return async (request) => {
        const outcome = await count(request)
        if (outcome.isAllowed || !outcome.isExceeded) return
        throw new Refusal('rate_limited', { because: 'too many attempts', retryAfter: outcome.ttlInSeconds })
      }
    }

    app.decorate('rateLimits', { signIn: limiter(options.signIn), register: limiter(options.register) })
  },
  { name: 'rate-limits', fastify: '5.x' }
)
