import fp from 'fastify-plugin'
import type { Principal } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { type Revocation, RevocationSet } from '../domain/revocation.js'
import * as storage from '../storage/revocations.js'
import { listen } from './database.js'

export interface Revocations {
  /** What ended a principal's credential, as far as this replica has read; undefined where nothing did. */
  find(who: Pick<Principal, 'accountId' | 'sessionId' | 'tokenId' | 'roles' | 'revision'>): Revocation | undefined
  /** Whether this replica has read lately, so that what it remembers may be relied on. */
  isCurrent(): boolean
  /** Milliseconds for which something may have been revoked that this replica has not read. */
  staleness(): number
  /** Whether that is less than it may be. */
  isKnown(): boolean
  /** How many entries are held. */
  size(): number
  /** Throws `service_unavailable` where this replica has not read for too long to judge, unless it is told to go on. */
  assertKnown(): void
  /** Reads what is new. Whoever asks while a read is under way waits for the next one. */
  read(): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly revocations: Revocations
  }
}

export interface RevocationsOptions {
  readonly databaseUrl: string
  /** Milliseconds between two reads when no notification comes. */
  readonly pollInterval: number
  /** Milliseconds without a read after which this replica is not ready, and what access tokens get from then on. */
  readonly maxStaleness: number
  readonly whenStale: 'allow' | 'deny'
  readonly clock: () => Date
}

const pageSize = 5_000

/**
 * The revocations in the memory of this replica: read when Postgres notifies, and at an interval, since a notification
 * can be lost. A cursor in the order of commits makes sure that none is passed by.
 */
export const revocations = fp<RevocationsOptions>(
  async (app, { databaseUrl, pollInterval, maxStaleness, whenStale, clock }) => {
    let held = new RevocationSet()
    let readAt = Number.NEGATIVE_INFINITY
    let current: Promise<void> | undefined
    let next: Promise<void> | undefined

    async function load(): Promise<void> {
      const startedAt = performance.now()
      for (;;) {
        const page = await storage.listAfter(app.db, held.cursor, clock(), pageSize)
        for (const entry of page) held.add(entry)
        if (page.length === pageSize) continue
        // A database that lost its last commits (a failover, a restored backup) gives their ids again, and this cursor
        // would pass by what is written under them.
        if (page.length > 0 || (await storage.lastId(app.db)) >= held.cursor) break
        held = new RevocationSet()
      }
      held.prune(clock())
      readAt = startedAt
    }

    /** What began before a commit may have missed it, so who asks during a read gets one that begins after it. */
    function read(): Promise<void> {
      if (current === undefined) {
        current = load().finally(() => {
          current = undefined
        })
        return current
      }
      next ??= current
        .catch(() => {})
        .then(() => {
          next = undefined
          return read()
        })
      return next
    }

    const readOrWarn = () =>
      read().catch((error) => app.log.warn({ error: error.message }, 'revocations could not be read'))

    const staleness = () => performance.now() - readAt

    app.decorate('revocations', {
      find: (who) => held.find(who),
      isCurrent: () => staleness() < pollInterval * 3,
      staleness,
      size: () => held.size,
      isKnown: () => staleness() < maxStaleness,
      assertKnown() {
        if (whenStale === 'allow' || staleness() < maxStaleness) return
        throw new Refusal('service_unavailable', { because: 'revocations are not known', retryAfter: 1 })
      },
      read
    } satisfies Revocations)

    await read()
    let timer: NodeJS.Timeout | undefined
    let listener: ReturnType<typeof listen> | undefined
    // Not before: a start that fails after this must be able to end.
    app.addHook('onReady', async () => {
      timer = setInterval(readOrWarn, pollInterval)
      timer.unref()
      listener = listen(databaseUrl, 'keyturn_revocation', {
        onNotify: readOrWarn,
        onLost: (error) => app.log.warn({ error: error.message }, 'revocations are polled until the listener is back')
      })
      await listener.started
      await readOrWarn()
    })
    app.addHook('preClose', async () => {
      clearInterval(timer)
      await listener?.close()
    })
  },
  { name: 'revocations', dependencies: ['database'], fastify: '5.x' }
)
