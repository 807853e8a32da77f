import fp from 'fastify-plugin'
import type { Principal } from '../domain/principal.js'
import { type Revocation, RevocationSet } from '../domain/revocation.js'
import * as storage from '../storage/revocations.js'
import { freshRead } from './fresh-read.js'

export interface Revocations {
  /** What ended a principal's credential, as far as this replica has read; undefined where nothing did. */
  find(who: Pick<Principal, 'accountId' | 'sessionId' | 'tokenId' | 'roles' | 'revision'>): Revocation | undefined
  /** Whether this replica has read lately, so that what it remembers may be relied on. */
  isCurrent(): boolean
  /** Reads what is new. Whoever asks while a read is under way waits for the next one. */
  read(): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly revocations: Revocations
  }
}

export interface RevocationsOptions {
  /** Milliseconds between two reads when no notification comes. */
  readonly pollInterval: number
  readonly clock: () => Date
}

const pageSize = 5_000

/**
 * The revocations in the memory of this replica: read when Postgres notifies, and at an interval, since a notification
 * can be lost. A cursor in the order of commits makes sure that none is passed by.
 */
export const revocations = fp<RevocationsOptions>(
  async (app, { pollInterval, clock }) => {
    let held = new RevocationSet()
    let readAt = Number.NEGATIVE_INFINITY

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

    const read = freshRead(load)
    const readOrWarn = () =>
      read().catch((error) => app.log.warn({ error: error.message }, 'revocations could not be read'))

    app.decorate('revocations', {
      find: (who) => held.find(who),
      isCurrent: () => performance.now() - readAt < pollInterval * 3,
      read
    } satisfies Revocations)

    await read()
    app.onNotification('keyturn_revocation', readOrWarn)
    let timer: NodeJS.Timeout | undefined
    app.addHook('onReady', async () => {
      timer = setInterval(readOrWarn, pollInterval)
      timer.unref()
      await readOrWarn()
    })
    app.addHook('preClose', async () => clearInterval(timer))
  },
  { name: 'revocations', dependencies: ['database', 'notifications'], fastify: '5.x' }
)
