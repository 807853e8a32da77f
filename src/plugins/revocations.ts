import fp from 'fastify-plugin'
import { Refusal } from '../domain/refusal.js'
import { type Revocable, type Revocation, RevocationSet } from '../domain/revocation.js'
import { idOf, origin } from '../domain/revocation-cursor.js'
import { RevocationLog } from '../domain/revocation-log.js'
import type { Outage } from '../domain/rotation.js'
import * as storage from '../storage/revocations.js'
import { freshRead } from './fresh-read.js'
import { paced } from './paced.js'

export interface Revocations {
  /** What ended a principal's credential, as far as this replica has read; undefined where nothing did. */
  find(who: Revocable): Revocation | undefined
  /** Whether this replica has read lately, so that what it remembers may be relied on. */
  isCurrent(): boolean
  /** Milliseconds for which something may have been revoked that this replica has not read. */
  staleness(): number
  /** The last time in which this replica could read nothing for a while, also where that lasts; null before the first. */
  outage(): Outage | null
  /** Whether that is less than it may be. */
  isKnown(): boolean
  /** How many entries are held. */
  size(): number
  /** Throws `service_unavailable` where this replica has not read for too long to judge, unless it is told to go on. */
  assertKnown(): void
  /** Reads what is new. Whoever asks while a read is under way waits for the next one. */
  read(): Promise<void>
  /** How far this replica has read. */
  cursor(): string
  /** At most `limit` entries after a cursor, or undefined where it is no place in what this replica remembers. */
  after(cursor: string, limit: number): readonly Revocation[] | undefined
  /** Calls back after each read that moved the cursor. Returns how to stop that. */
  onChange(listener: () => void): () => void
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly revocations: Revocations
  }
}

export interface RevocationsOptions {
  /** Milliseconds between two reads when no notification comes. */
  readonly pollInterval: number
  /** Milliseconds without a read after which this replica is not ready, and what access tokens get from then on. */
  readonly maxStaleness: number
  readonly whenStale: 'allow' | 'deny'
  readonly clock: () => Date
}

const pageSize = 5_000
/** Milliseconds between two reads that notifications ask for: where many sign out, a read for each would be most of the work. */
const notifiedInterval = 20
/** Milliseconds of the service's clock between two looks for what has expired: each goes over everything. */
const pruneInterval = 1_000

/**
 * The revocations in the memory of this replica: read when Postgres notifies, and at an interval, since a notification
 * can be lost. A cursor in the order of commits makes sure that none is passed by.
 */
export const revocations = fp<RevocationsOptions>(
  async (app, { pollInterval, maxStaleness, whenStale, clock }) => {
    let held = new RevocationSet()
    let log = new RevocationLog()
    let prunedAt = 0
    let readAt = Number.NEGATIVE_INFINITY
    let lastOutage: Outage | null = null
    const listeners = new Set<() => void>()
    const lately = pollInterval * 3
    const outageOf = (milliseconds: number, until: Date): Outage => ({
      since: new Date(until.getTime() - milliseconds),
      until
    })

    /** Goes on from what is held; what is read anew is looked at by nobody until it is whole. */
    async function load(): Promise<void> {
      const startedAt = performance.now()
      let [set, entries] = [held, log]
      const from = log.cursor
      for (;;) {
        const page = await storage.listFrom(app.db, idOf(entries.cursor), clock(), pageSize)
        if (entries.cursor !== origin) {
          // A database that lost its last commits (a failover, a restored backup) gives their ids again, and a cursor
          // that only counts would pass by what is written under them.
          const [anchor] = page
          if (anchor === undefined || !entries.endsWith(anchor)) {
            set = new RevocationSet()
            entries = new RevocationLog()
            continue
          }
        }
        const fresh = entries.cursor === origin ? page : page.slice(1)
        for (const entry of fresh) {
          set.add(entry)
          entries.append(entry)
        }
        if (page.length < pageSize) break
      }
      held = set
      log = entries
      const now = clock()
      if (startedAt - readAt >= lately && Number.isFinite(readAt)) lastOutage = outageOf(startedAt - readAt, now)
      readAt = startedAt
      if (Math.abs(now.getTime() - prunedAt) >= pruneInterval) {
        held.prune(now)
        log.prune(now)
        prunedAt = now.getTime()
      }
      if (log.cursor !== from) for (const listener of [...listeners]) listener()
    }

    const read = freshRead(load)
    const readOrWarn = () =>
      read().catch((error) => app.log.warn({ error: error.message }, 'revocations could not be read'))

    const staleness = () => performance.now() - readAt

    app.decorate('revocations', {
      find: (who) => held.find(who),
      isCurrent: () => staleness() < lately,
      staleness,
      outage: () => (staleness() < lately ? lastOutage : outageOf(staleness(), clock())),
      size: () => held.size,
      isKnown: () => staleness() < maxStaleness,
      assertKnown() {
        if (whenStale === 'allow' || staleness() < maxStaleness) return
        throw new Refusal('service_unavailable', { because: 'revocations are not known', retryAfter: 1 })
      },
      read,
      cursor: () => log.cursor,
      after: (cursor, limit) => log.after(cursor, limit),
      onChange(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      }
    } satisfies Revocations)

    await read()
    const notified = paced(readOrWarn, notifiedInterval)
    app.onNotification('keyturn_revocation', notified.ask)
    let timer: NodeJS.Timeout | undefined
    app.addHook('onReady', async () => {
      timer = setInterval(readOrWarn, pollInterval)
      timer.unref()
      await readOrWarn()
    })
    app.addHook('preClose', async () => {
      clearInterval(timer)
      notified.stop()
    })
  },
  { name: 'revocations', dependencies: ['database', 'notifications'], fastify: '5.x' }
)
