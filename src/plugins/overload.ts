import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { type LoadClass, loadClasses, refusedByDelay, requestBound } from '../domain/overload.js'
import { Refusal } from '../domain/refusal.js'

export interface OverloadState {
  /** Milliseconds by which the event loop is late. */
  readonly delay: number
  /** Requests under way, without those that are vital. */
  readonly requests: number
  /** How many classes are refused for the delay, from the first on. */
  readonly refused: number
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly overload: {
      state(): OverloadState
      /** Calls back with the class of every request that is refused at the door. */
      onRefused(listener: (loadClass: LoadClass) => void): void
    }
  }
  interface FastifyContextConfig {
    /** What the route is for when there is too much to do; `change` where it says nothing. */
    load?: LoadClass
  }
  interface FastifyRequest {
    /** Whether it was refused at the door, with thousands of others: no line of the log tells of each. */
    isRefusedEarly: boolean
  }
}

export interface OverloadOptions {
  /** Milliseconds by which the event loop may be late before the first class is refused; null for any. */
  readonly delay: number | null
  /** Requests that may be under way before the first class is refused; null for any. */
  readonly requests: number | null
  /** Milliseconds between two looks at the event loop. */
  readonly interval: number
}

/** Milliseconds between two probes of the event loop; they cost a timer each. */
const resolution = 20
/** What the last look counts for: one long pause, of a garbage collection or a neighbour, is no overload. */
const newest = 0.5

/** Seconds after which to try again, different for each, so that those who were refused do not come back together. */
const someSeconds = () => 1 + Math.floor(Math.random() * 3)

/**
 * Refuses early what cannot be done in time, by what it is for: before the body is read and before anything is looked up.
 * It stands behind the headers of every response, which a page needs to read the answer.
 */
export const overload = fp<OverloadOptions>(
  async (app, options) => {
    const limits = options
    const bounds = new Map(
      loadClasses.map((one) => [
        one,
        limits.requests === null ? Number.POSITIVE_INFINITY : requestBound(one, limits.requests)
      ])
    )
    const rankOf = new Map(loadClasses.map((one, rank) => [one, rank]))
    const listeners: Array<(loadClass: LoadClass) => void> = []
    let requests = 0
    let delay = 0
    let refused = 0
    let untold = new Map<LoadClass, number>()

    function refuse(
      request: FastifyRequest,
      loadClass: LoadClass,
      because: string,
      retryAfter = someSeconds()
    ): Refusal {
      request.isRefusedEarly = true
      untold.set(loadClass, (untold.get(loadClass) ?? 0) + 1)
      for (const listener of listeners) listener(loadClass)
      return new Refusal('overloaded', { because, retryAfter })
    }

    app.decorateRequest('isRefusedEarly', false)
    app.addHook('onRequest', (request, reply, done) => {
      const loadClass = request.routeOptions.config.load ?? 'change'
      if (loadClass === 'vital') return done()
      if (rankOf.get(loadClass)! < refused) return done(refuse(request, loadClass, 'the event loop is late'))
      if (requests >= bounds.get(loadClass)!) return done(refuse(request, loadClass, 'too many requests under way'))
      if (loadClass === 'sign_in') {
        const full = app.whyNoPasswordRoom()
        if (full !== null) return done(refuse(request, loadClass, full.because!, full.retryAfter))
      }
      requests++
      // Also where the sender hangs up: there is no response then that could be finished.
      reply.raw.once('close', () => {
        requests--
      })
      done()
    })

    app.decorate('overload', {
      state: () => ({ delay, requests, refused }),
      onRefused: (listener) => void listeners.push(listener)
    })

    const histogram = monitorEventLoopDelay({ resolution })
    let lookedAt = 0
    function look(limit: number): void {
      const now = performance.now()
      // Without a single probe in all that time the loop has not turned, and how late it is this look itself shows.
      const late = histogram.count === 0 ? now - lookedAt - options.interval : histogram.mean / 1e6 - resolution
      lookedAt = now
      histogram.reset()
      delay += newest * (Math.max(0, late) - delay)
      const before = refused
      refused = refusedByDelay(delay, limit, before)
      if (refused !== before) {
        const state = { delay: Math.round(delay), requests, refusing: loadClasses.slice(0, refused) }
        app.log[refused > before ? 'warn' : 'info'](state, refused > before ? 'overloaded' : 'less overloaded')
      }
    }
    const tell = () => {
      if (untold.size === 0) return
      app.log.warn({ refused: Object.fromEntries(untold) }, 'too much to do: requests were refused')
      untold = new Map()
    }
    const timers: NodeJS.Timeout[] = []
    const every = (milliseconds: number, run: () => void) => timers.push(setInterval(run, milliseconds).unref())
    app.addHook('onListen', async () => {
      every(1_000, tell)
      if (limits.delay === null) return
      histogram.enable()
      lookedAt = performance.now()
      every(options.interval, look.bind(null, limits.delay))
    })
    app.addHook('onClose', async () => {
      for (const timer of timers) clearInterval(timer)
      histogram.disable()
      tell()
    })
  },
  { name: 'overload', dependencies: ['problems', 'response-headers', 'passwords'], fastify: '5.x' }
)
