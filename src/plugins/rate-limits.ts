import { createHmac } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type Rate, rateLimitHeaders, type Standing } from '../domain/rate-limit.js'
import { Refusal } from '../domain/refusal.js'
import type { Counts } from '../flows/flow.js'
import { addHits } from '../storage/rate-windows.js'
import { redisWindows } from './redis-windows.js'
import { SharedWindows } from './shared-windows.js'

/** Counts what one address does; throws `rate_limited` where it was too often. */
type Limit = (request: FastifyRequest) => Promise<void>

export interface RateLimits {
  /** Attempts by password. */
  readonly signIn: Limit
  readonly register: Limit
  readonly refresh: Limit
  readonly logout: Limit
  /** Clients that failed to prove themselves: asked before they try, and counted when they failed. */
  readonly clients: { readonly assert: Limit; readonly failed: Limit }
  /** Calls back with the limit's name whenever a request was one too many. */
  onExceeded(listener: (policy: string) => void): void
  /** Counts by which others than the limits judge. */
  readonly counts: Counts
  /** Tells the other replicas at once what was counted here. */
  share(): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly rateLimits: RateLimits
  }
  interface FastifyRequest {
    /** How its address stands by the limits that it was counted by. */
    standings: Map<string, Standing> | undefined
  }
}

export interface RateLimitsOptions {
  /** Null for no limit, in each of them. */
  readonly signIn: Rate | null
  readonly register: Rate | null
  readonly refresh: Rate | null
  readonly logout: Rate | null
  readonly clientFailures: Rate | null
  /** Where replicas count together: in Postgres, in a Redis or Valkey by its address, or each by itself. */
  readonly store: 'postgres' | 'memory' | URL
  readonly clock: () => Date
}

/** How often one address may try, counted by all replicas together (a throttle class of Django REST Framework). */
export const rateLimits = fp<RateLimitsOptions>(
  async (app, options) => {
    const { clock, store } = options
    const warn = (error: Error) => app.log.warn({ error: error.message }, 'each replica counts by itself for now')
    const redis = store instanceof URL ? await redisWindows(store, warn) : undefined
    const add = redis?.add ?? (store === 'postgres' ? addHits.bind(null, app.db) : undefined)
    const windows = new SharedWindows(add, clock, warn)
    // Whom this replica has counted already: others need no row of it.
    const firsts = new SharedWindows(undefined, clock, warn)
    const secret = app.vault.rateLimitSecret

    /** Whom a count is for, so that no table says who was here. */
    const digest = (policy: string, key: string) =>
      createHmac('sha256', secret).update(policy).update('\0').update(key).digest('base64')

    type Answer = (error: null, counted: { current: number; ttl: number }) => void
    /** What the library counts with. */
    class Store {
      readonly #policy: string
      constructor({ policy = '' }: { policy?: string }) {
        this.#policy = policy
      }
      incr(key: string, answer: Answer, length: number): void {
        const { hits, left } = windows.hit(digest(this.#policy, key), length)
        answer(null, { current: hits, ttl: left })
      }
      read(key: string, answer: Answer): void {
        const { hits, left } = windows.look(digest(this.#policy, key))
        answer(null, { current: hits, ttl: left })
      }
      child(policy: { policy?: string }): Store {
        return new Store(policy)
      }
    }

    await app.register(rateLimit, { global: false, store: Store as never })
    app.decorateRequest('standings', undefined)
    app.addHook('onSend', (request, reply, payload, done) => {
      if (request.standings !== undefined) reply.headers(rateLimitHeaders([...request.standings.values()]))
      done(null, payload)
    })

    const listeners: Array<(policy: string) => void> = []

    function limiter(policy: string, rate: Rate | null, counting: 'each' | 'failures' = 'each'): Limit[] {
      if (rate === null) return [async () => {}, async () => {}]
      const count = app.createRateLimit({ max: rate.max, timeWindow: rate.window, policy } as object)
      const limit = (increment: boolean): Limit => {
        return async (request) => {
          const outcome = await count(request, { increment })
          if (outcome.isAllowed) return
          request.standings ??= new Map()
          request.standings.set(policy, { policy, rate, remaining: outcome.remaining, reset: outcome.ttlInSeconds })
          // Who may fail so often may not try once more.
          const isOver = counting === 'failures' ? outcome.remaining === 0 && !increment : outcome.isExceeded
          if (!isOver) return
          for (const listener of listeners) listener(policy)
          const because = `${policy}: more than ${rate.max} in ${rate.window / 1000} s`
          throw new Refusal('rate_limited', { because, retryAfter: Math.max(1, outcome.ttlInSeconds) })
        }
      }
      return [limit(true), limit(false)]
    }

    const [signIn, register, refresh, logout] = [
      limiter('sign-in', options.signIn),
      limiter('register', options.register),
      limiter('refresh', options.refresh),
      limiter('logout', options.logout)
    ].map(([each]) => each!) as [Limit, Limit, Limit, Limit]
    const [failed, assert] = limiter('client-failures', options.clientFailures, 'failures') as [Limit, Limit]
    const share = () => windows.tell()
    app.decorate('rateLimits', {
      signIn,
      register,
      refresh,
      logout,
      clients: { assert, failed },
      onExceeded: (listener) => void listeners.push(listener),
      counts: {
        hit: (policy, key, length) => windows.hit(digest(policy, key), length),
        look: (policy, key) => windows.look(digest(policy, key)),
        isFirst: (policy, key, length) => firsts.hit(digest(policy, key), length).hits === 1
      },
      share
    } satisfies RateLimits)

    app.addHook('onClose', async () => {
      // What a replica counted before a restart counts after it.
      await windows.tell()
      windows.close()
      await redis?.close()
    })
  },
  { name: 'rate-limits', dependencies: ['database', 'vault'], fastify: '5.x' }
)
