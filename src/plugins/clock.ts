import fp from 'fastify-plugin'
import { adjustOffset } from '../domain/clock.js'
import { readClock } from '../storage/clock.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The time by which everything is judged. */
    readonly clock: () => Date
  }
}

export interface ClockOptions {
  /** A clock of one's own; left out, Postgres' clock is followed. */
  readonly clock?: (() => Date) | undefined
}

const readInterval = 1_000
/** Milliseconds by which this machine's own clock may be wrong before somebody should know. */
const worthTelling = 5_000

/**
 * All replicas go by one clock, Postgres': what one of them issued is judged by another, and a machine whose clock is
 * minutes off, or steps, must neither sign anybody out nor let anything live longer. Between two readings the process's
 * monotonic clock goes on, which no correction of the time touches.
 */
export const clock = fp<ClockOptions>(
  async (app, options) => {
    if (options.clock !== undefined) {
      app.decorate('clock', options.clock)
      return
    }
    let offset: number | undefined
    async function read(): Promise<void> {
      const askedAt = performance.now()
      const time = await readClock(app.db)
      offset = adjustOffset(offset, { askedAt, answeredAt: performance.now(), time })
    }
    await read()
    // The first one opened a connection and took its time.
    await read()
    app.decorate('clock', () => new Date(performance.now() + offset!))

    const error = Date.now() - app.clock().getTime()
    if (Math.abs(error) > worthTelling) {
      app.log.warn({ seconds: Math.round(error / 1000) }, 'the clock of this machine is not Postgres’, which counts')
    }
    const timer = setInterval(() => read().catch(() => {}), readInterval)
    timer.unref()
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'clock', dependencies: ['database'], fastify: '5.x' }
)
