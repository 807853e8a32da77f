import fp from 'fastify-plugin'
import { later } from '../domain/session.js'
import { type Horizons, leftovers, sweep } from '../storage/leftovers.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Removes all that is of no use any more; the number of rows by their table. Stops where another replica sweeps. */
    broom(): Promise<Record<string, number>>
  }
}

export interface BroomOptions {
  /** Milliseconds between two sweeps; null for none but by command. */
  readonly interval: number | null
  /** Rows that one statement removes at most. */
  readonly batch: number
  /** Milliseconds for which a session, an API token and an invitation that is over is kept to be looked at. */
  readonly kept: number
}

/** Sweeps what has expired, a batch at a time, on one replica at a time. */
export const broom = fp<BroomOptions>(
  async (app, { interval, batch, kept }) => {
    let closing = false
    let size = batch

    async function broom(): Promise<Record<string, number>> {
      const now = app.clock()
      const horizons: Horizons = { now, kept: later(now, -kept) }
      const swept: Record<string, number> = {}
      for (const one of leftovers) {
        for (let more = true; more && !closing; ) {
          const count = await sweep(app.db, one, horizons, size)
          if (count === undefined) return swept
          if (count > 0) swept[one.table] = (swept[one.table] ?? 0) + count
          more = count === size
        }
      }
      for (let more = true; more && !closing; ) {
        const count = await app.audit.removeOld(size)
        if (count === null) return swept
        if (count > 0) swept.audit_event = (swept.audit_event ?? 0) + count
        more = count === size
      }
      return swept
    }
    app.decorate('broom', broom)

    if (interval === null) return
    let sweeping: Promise<void> | undefined
    const timer = setInterval(() => {
      sweeping ??= broom()
        .then((swept) => {
          if (Object.keys(swept).length > 0) app.log.info({ event: 'broom.swept', swept }, 'swept')
        })
        .catch((error) => {
          // A disk on which so many take longer than a statement may take sweeps fewer at a time.
          size = Math.max(100, size >> 1)
          app.log.warn({ error: error.message }, 'the sweep was broken off')
        })
        .finally(() => {
          sweeping = undefined
        })
    }, interval)
    timer.unref()
    app.addHook('preClose', async () => {
      closing = true
      clearInterval(timer)
      await sweeping
    })
  },
  { name: 'broom', dependencies: ['database', 'clock', 'audit'], fastify: '5.x' }
)
