import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import type { Place } from '../domain/audit-chain.js'
import { type Caller, callerWithin } from '../domain/audit-event.js'
import { Refusal } from '../domain/refusal.js'
import { uuidV7 } from '../domain/uuid.js'
import type { AuditTrail } from '../flows/audit.js'
import {
  type AuditVerdict,
  type ChainTools,
  linkAuditEvents,
  removeOldAuditEvents,
  verifyAuditChain
} from '../flows/audit-chain.js'
import { insert, type NewAuditEvent } from '../storage/audit-events.js'
import { secret } from '../storage/sealed-values.js'
import { idEntropy } from './id-entropy.js'

export interface Audit extends AuditTrail {
  /** Whoever acts where there is no request. */
  readonly caller: Caller
  /** How many events wait to be written, and how many were dropped since the start because too many did. */
  waiting(): number
  dropped(): number
  /** Links what waits for it, on whichever replica comes first; nothing where the chain is off. */
  link(): Promise<void>
  /** Removes at most so many events that are older than they are kept; null where another replica is at it. */
  removeOld(limit: number): Promise<number | null>
  verify(head: Place | undefined): Promise<AuditVerdict>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly audit: Audit
  }
}

export interface AuditOptions {
  /** Milliseconds for which events are kept; null where none is written. */
  readonly retention: number | null
  readonly chain: boolean
  /** Who acts where there is no request: the service itself, or somebody at a terminal. */
  readonly within: 'service' | 'command'
  /** Milliseconds between two looks for events that are yet to be linked. */
  readonly linkInterval: number
  readonly clock: () => Date
}

/** Milliseconds after which what was noted is written, and after which it is tried again where it could not be. */
const writeAfter = 200
const retryAfter = 1_000
/** Events that one statement writes. */
const batch = 500
/** Events that may wait. Of refusals half as many: a flood of them must not drop what people did. */
const maxWaiting = 10_000

/**
 * Writes audit events that no transaction takes along: a sign-in must not wait for its own, nor a flood of refusals cost a
 * statement each. What waits is lost where the process is killed.
 */
class Writer {
  #waiting: NewAuditEvent[] = []
  #dropped = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined

  constructor(
    private readonly write: (events: readonly NewAuditEvent[]) => Promise<void>,
    private readonly onError: (error: Error) => void
  ) {}

  get waiting(): number {
    return this.#waiting.length
  }

  get dropped(): number {
    return this.#dropped
  }

  add(event: NewAuditEvent): void {
    const room = event.outcome === 'failure' ? maxWaiting / 2 : maxWaiting
    if (this.#waiting.length >= room) {
      this.#dropped++
      return
    }
    this.#waiting.push(event)
    this.#writeIn(writeAfter)
  }

  #writeIn(milliseconds: number): void {
    this.#timer ??= setTimeout(() => {
      this.flush().catch(this.onError)
    }, milliseconds).unref()
  }

  /** Writes all that waits at this moment. Throws where it cannot; then it still waits. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // One at a time: who comes later waits, and then writes what is left.
    await this.#writing?.catch(() => {})
    if (this.#waiting.length === 0) return
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined
    })
    await this.#writing
  }

  async #writeAll(): Promise<void> {
    for (let left = this.#waiting.length; left > 0; ) {
      const events = this.#waiting.slice(0, batch)
      try {
        await this.write(events)
      } catch (error) {
        if (error instanceof Refusal) {
          this.#writeIn(retryAfter)
          throw error
        }
        // Postgres is there and will never take it as it is: one that is wrong must not hold up all others.
        await this.#writeEach(events)
      }
      // Only new ones came behind them meanwhile.
      this.#waiting.splice(0, events.length)
      left -= events.length
    }
    if (this.#waiting.length > 0) this.#writeIn(writeAfter)
  }

  async #writeEach(events: readonly NewAuditEvent[]): Promise<void> {
    for (const event of events) {
      await this.write([event]).catch((error) => {
        this.#dropped++
        this.onError(error)
      })
    }
  }

  close(): void {
    clearTimeout(this.#timer)
  }
}

/** What happened, to whom, and who did it: written down for those who have to answer for it, or to ask. */
export const audit = fp<AuditOptions>(
  async (app, { retention, chain, within, linkInterval, clock }) => {
    const { db, vault } = app
    const warn = (doing: string) => (error: Error) => app.log.warn({ error: error.message }, doing)
    const writer = new Writer((events) => insert(db, events), warn('audit events could not be written yet'))

    let key: Promise<Buffer> | undefined
    /** Made once for the database and kept in it, sealed: a chain outlives the master key that was in force when it began. */
    const readKey = () => secret(db, 'audit_chain', () => vault.seal(randomBytes(32), 'audit_chain'))
    const tools: ChainTools = {
      db,
      clock,
      retention,
      async key() {
        key ??= readKey().then((sealed) => vault.open(sealed, 'audit_chain'))
        return await key.catch((error) => {
          key = undefined
          throw error
        })
      }
    }

    let linking: Promise<void> | undefined
    const link = async () => {
      if (!chain || retention === null) return
      linking ??= (async () => {
        // As long as there is a full batch there may be more.
        while ((await linkAuditEvents(tools)) >= 1_000);
      })().finally(() => {
        linking = undefined
      })
      await linking
    }

    let idsAt = 0
    let idsGiven = 0
    const nextId = (at: Date) => {
      idsGiven = at.getTime() === idsAt ? Math.min(idsGiven + 1, 0xfff) : 0
      idsAt = at.getTime()
      return uuidV7(at, idEntropy(16), idsGiven)
    }

    app.decorate('audit', {
      nextId,
      isOn: retention !== null,
      isChained: chain,
      caller: callerWithin(within),
      add: (event) => writer.add(event),
      flush: () => writer.flush(),
      waiting: () => writer.waiting,
      dropped: () => writer.dropped,
      link,
      removeOld: (limit) => removeOldAuditEvents(tools, limit),
      verify: (head) => verifyAuditChain(tools, head)
    } satisfies Audit)

    let timer: NodeJS.Timeout | undefined
    app.addHook('onListen', async () => {
      if (!chain || retention === null) return
      timer = setInterval(() => {
        link().catch(warn('audit events could not be linked yet'))
      }, linkInterval).unref()
    })
    app.addHook('onClose', async () => {
      clearInterval(timer)
      writer.close()
      // What a request did that was answered is written before the process ends, where the database is there.
      await writer.flush().catch(warn('audit events were lost'))
      await link().catch(warn('audit events could not be linked yet'))
    })
  },
  { name: 'audit', dependencies: ['database', 'vault'], fastify: '5.x' }
)
