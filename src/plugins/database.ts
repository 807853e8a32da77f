import fp from 'fastify-plugin'
import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import pg from 'pg'
import { type Breaker, type BreakerEvent, closedBreaker, nextBreaker } from '../domain/breaker.js'
import { Refusal } from '../domain/refusal.js'
import { kindOfStatement } from '../domain/statement.js'
import type { Db, Tables } from '../storage/tables.js'
import type { SpanDraft, Tracing } from './tracing.js'

declare module 'fastify' {
  interface FastifyInstance {
    readonly db: Db
  }
}

/** Where the database is and as whom; asked anew for each connection where it is a function. */
type DatabaseAddress = string | (() => string)

export interface DatabaseOptions {
  readonly url: DatabaseAddress
  readonly poolSize: number
  /** Milliseconds that a connection, and then a statement, may take; also the longest wait for a lock. */
  readonly timeout: number
}

/** Told when the breaker has opened, with the failure, and when it has closed again. */
type OnBreaker = (state: 'open' | 'closed', because: string) => void

/** What Postgres says when it is going, coming, full or read-only (SQLSTATE classes and codes). */
const unavailable = /^(08...|53...|57P0[123]|57014|55P03|58...|25006|40001|40P01|XX000)$/
/** What the driver and the operating system say when there is nobody to talk to; these errors carry no SQLSTATE. */
const disconnected =
  /ECONN|ETIMEDOUT|EPIPE|ENOENT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|Connection terminated|timeout exceeded|Query read timeout|not queryable|shutting down/i

/** Of those, what says that the next one would fare no better: not a lock, a conflict, or a standby that can be read. */
const silent = /^(08...|53...|57P0[123]|57014|58...)$/

const codeOf = (error: unknown) => error as { code?: string; message?: string }

const isDisconnected = (error: unknown) => {
  const { code, message = '' } = codeOf(error)
  return disconnected.test(`${code ?? ''} ${message}`)
}

function orUnavailable(error: unknown): Error {
  const { code } = codeOf(error)
  const isGone = (code !== undefined && unavailable.test(code)) || isDisconnected(error)
  return isGone ? notAvailable(error) : (error as Error)
}

function notAvailable(error: unknown): Refusal {
  const { code, message = '' } = codeOf(error)
  return new Refusal('service_unavailable', { because: `database: ${message || code}`, retryAfter: 1, cause: error })
}

/** Statements are told apart by their text, so each is parsed and planned once per connection. */
const names = new Map<string, string>()
const preparable = /^\s*(select|insert|update|delete|with)\b/i

function nameOf(text: string): string | undefined {
  const known = names.get(text)
  if (known !== undefined) return known
  // The texts are ours and few; the bound is for a list of values of ever new length.
  if (names.size >= 500 || !preparable.test(text)) return undefined
  const name = `keyturn_${names.size}`
  names.set(text, name)
  return name
}

const drafts = new Map<string, SpanDraft>()

/** The span of a statement: its kind and its table, and no value. */
function draftOf(text: string): SpanDraft {
  const known = drafts.get(text)
  if (known !== undefined) return known
  const { operation, table } = kindOfStatement(text)
  const name = table === undefined ? operation : `${operation} ${table}`
  const draft: SpanDraft = {
    name,
    kind: 'client',
    attributes: {
      'db.system.name': 'postgresql',
      'db.operation.name': operation,
      ...(table === undefined ? {} : { 'db.collection.name': table })
    }
  }
  if (drafts.size < 500) drafts.set(text, draft)
  return draft
}

/** Postgres cancels what runs too long; the driver gives up on a server that does not even answer to that. */
const patienceWith = (timeout: number) => timeout + 300

/** How many times its timeout the wait for a connection and the first statement may take together. */
const firstStatementFactor = 1.7

/** Failures without an answer in between until nothing is asked any more. */
const breakerThreshold = 5
/** Milliseconds between two probes. */
const probeInterval = 250

/** Spares whoever asks the wait for a database that does not answer, and the database those who ask. */
class DatabaseBreaker {
  #state: Breaker = closedBreaker
  #opened = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false
  readonly #probe: () => Promise<unknown>
  readonly #tell: OnBreaker

  constructor(probe: () => Promise<unknown>, tell: OnBreaker) {
    this.#probe = probe
    this.#tell = tell
  }

  get state(): Breaker['kind'] {
    return this.#state.kind
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened
  }

  /** Throws `service_unavailable` at once where nothing is asked. */
  assertClosed(): void {
    if (this.#state.kind === 'closed') return
    throw new Refusal('service_unavailable', { because: 'database: it did not answer lately', retryAfter: 1 })
  }

  answered(): void {
    this.#go('answered')
  }

  /** An error that Postgres itself has told is an answer, but for those by which it says that it cannot go on. */
  failed(error: unknown): void {
    const { code } = codeOf(error)
    const isSilent = (code !== undefined && silent.test(code)) || isDisconnected(error)
    if (isSilent) this.unreachable(error)
    else this.#go('answered')
  }

  /** There is no connection to be had, for whatever reason: also a password that was changed. */
  unreachable(error: unknown): void {
    const { code = '', message } = codeOf(error)
    this.#go('failed')
    if (this.#state.kind !== 'open' || this.#timer !== undefined) return
    this.#opened++
    this.#tell('open', message || code)
    // The first one at once: a server that ended its connections and takes new ones is missed for a moment only.
    this.#probeAfter(0)
  }

  stop(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #go(event: BreakerEvent): void {
    this.#state = nextBreaker(this.#state, event, breakerThreshold)
  }

  #probeAfter(milliseconds: number): void {
    this.#timer = setTimeout(async () => {
      this.#go('probe')
      const isAnswered = await this.#probe().then(
        () => true,
        () => false
      )
      this.#go(isAnswered ? 'probe_answered' : 'probe_failed')
      this.#timer = undefined
      if (this.#closed) return
      if (isAnswered) this.#tell('closed', 'it answers again')
      else this.#probeAfter(probeInterval)
    }, milliseconds).unref()
  }
}

const addressOf = (url: DatabaseAddress) => (typeof url === 'string' ? url : url())

/** The driver's pool as Kysely wants it: statements by name, and a connection that failed is not used again. */
function kyselyPool(pool: pg.Pool, breaker: DatabaseBreaker, timeout: number, tracing: Tracing | null): PostgresPool {
  return {
    async connect() {
      breaker.assertClosed()
      const since = performance.now()
      const client = await pool.connect().catch((error) => {
        breaker.unreachable(error)
        throw notAvailable(error)
      })
      // What the wait for a connection took is taken from the first statement, so that both are over in time.
      const left = firstStatementFactor * timeout - (performance.now() - since)
      let patience: number | undefined = Math.min(patienceWith(timeout), Math.max(timeout / 2, left))
      let failed = false
      async function query(text: string, values?: readonly unknown[]) {
        const query = { name: nameOf(text), text, values: values as unknown[], query_timeout: patience }
        patience = undefined
        try {
          const result = await client.query(query as pg.QueryConfig)
          breaker.answered()
          return result
        } catch (error) {
          breaker.failed(error)
          const judged = orUnavailable(error)
          failed ||= judged instanceof Refusal
          throw judged
        }
      }
      return {
        // Kysely calls this with text and values alone: cursors are not configured.
        query:
          tracing === null
            ? query
            : (text: string, values?: readonly unknown[]) => tracing.span(draftOf(text), () => query(text, values)),
        release: () => client.release(failed)
      }
    },
    end() {
      breaker.stop()
      return pool.end()
    }
  } as unknown as PostgresPool
}

/** Opens a pool. Nothing connects before the first statement. */
export function openDatabase(
  options: DatabaseOptions,
  onIdleError: (error: Error) => void,
  onBreaker: OnBreaker = () => {},
  tracing: Tracing | null = null
): Db {
  const pool = new pg.Pool({
    Client: class extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super({ ...config, connectionString: addressOf(options.url) })
      }
    },
    max: options.poolSize,
    connectionTimeoutMillis: options.timeout,
    query_timeout: patienceWith(options.timeout),
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: 'keyturn',
    // Statements, not start-up parameters: a pooler in transaction mode refuses those.
    onConnect: async (client: pg.ClientBase) => {
      await client.query(
        `set statement_timeout = ${options.timeout}; set lock_timeout = ${options.timeout}; ` +
          'set idle_in_transaction_session_timeout = 10000'
      )
    }
  } as pg.PoolConfig)
  pool.on('error', onIdleError)
  // A connection that dies while it is lent out tells its statement, and once more the void.
  pool.on('connect', (client) => client.on('error', () => {}))
  const breaker = new DatabaseBreaker(() => pool.query('select 1'), onBreaker)
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: kyselyPool(pool, breaker, options.timeout, tracing) })
  })
  pools.set(db, { pool, breaker })
  return db
}

const pools = new WeakMap<Db, { pool: pg.Pool; breaker: DatabaseBreaker }>()

/** Whether the database is asked, and how often it was not for a while. */
export function breakerOf(db: Db): { state: Breaker['kind']; opened: number } {
  const { state = 'closed', opened = 0 } = pools.get(db)?.breaker ?? {}
  return { state, opened }
}

/** How many connections there are, how many do nothing, and how many statements wait for one. */
export function connectionsOf(db: Db): { open: number; idle: number; waiting: number } {
  const { totalCount = 0, idleCount = 0, waitingCount = 0 } = pools.get(db)?.pool ?? {}
  return { open: totalCount, idle: idleCount, waiting: waitingCount }
}

/** Milliseconds between two attempts to listen again. */
const relistenAfter = 1_000

/**
 * Listens on channels, over one connection of its own, and again whenever it was lost. Every handler is also called each
 * time that listening begins: what was notified before then has been missed.
 */
export function listen(
  url: DatabaseAddress,
  channels: ReadonlyMap<string, () => void>,
  onLost: (error: Error) => void
): { readonly started: Promise<void>; close(): Promise<void> } {
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  async function connect(): Promise<void> {
    const attempt = new pg.Client({
      connectionString: addressOf(url),
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
      application_name: 'keyturn listener'
    })
    client = attempt
    let isLost = false
    const lost = (error: Error) => {
      if (isLost || closed) return
      isLost = true
      attempt.end().catch(() => {})
      onLost(error)
      timer = setTimeout(connect, relistenAfter)
      timer.unref()
    }
    attempt.on('error', lost)
    attempt.on('end', () => lost(new Error('the connection ended')))
    attempt.on('notification', ({ channel }) => channels.get(channel)?.())
    try {
      await attempt.connect()
      for (const channel of channels.keys()) await attempt.query(`listen ${channel}`)
      for (const notify of channels.values()) notify()
    } catch (error) {
      lost(error as Error)
    }
  }

  const started = connect()
  return {
    /** Settled once the first attempt has gone well or not. */
    started,
    async close() {
      closed = true
      clearTimeout(timer)
      await started
      await client?.end().catch(() => {})
    }
  }
}

/** One pool for the process; closed with the app. */
export const database = fp<DatabaseOptions>(
  async (app, options) => {
    const db = openDatabase(
      options,
      (error) => app.log.warn({ error: error.message }, 'idle database connection lost'),
      (state, because) => {
        if (state === 'open')
          app.log.error({ because }, 'the database does not answer: it is asked nothing until it does')
        else app.log.info({ because }, 'the database is asked again')
      },
      app.tracing
    )
    app.decorate('db', db)
    app.addHook('onClose', () => db.destroy())
  },
  { name: 'database', dependencies: ['tracing'], fastify: '5.x' }
)
