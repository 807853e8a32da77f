import fp from 'fastify-plugin'
import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import pg from 'pg'
import { Refusal } from '../domain/refusal.js'
import { kindOfStatement } from '../domain/statement.js'
import type { Db, Tables } from '../storage/tables.js'
import type { SpanDraft, Tracing } from './tracing.js'

declare module 'fastify' {
  interface FastifyInstance {
    readonly db: Db
  }
}

export interface DatabaseOptions {
  readonly url: string
  readonly poolSize: number
  /** Milliseconds that a connection, and then a statement, may take; also the longest wait for a lock. */
  readonly timeout: number
}

/** What Postgres says when it is going, coming, full or read-only (SQLSTATE classes and codes). */
const unavailable = /^(08...|53...|57P0[123]|57014|55P03|25006|40001|40P01|XX000)$/
/** What the driver and the operating system say when there is nobody to talk to; these errors carry no SQLSTATE. */
const disconnected =
  /ECONN|ETIMEDOUT|EPIPE|ENOENT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|Connection terminated|timeout exceeded|Query read timeout|not queryable|shutting down/i

function orUnavailable(error: unknown): Error {
  const { code, message = '' } = error as { code?: string; message?: string }
  const isGone = code !== undefined && unavailable.test(code) ? true : disconnected.test(`${code ?? ''} ${message}`)
  if (!isGone) return error as Error
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

/** The driver's pool as Kysely wants it: statements by name, and a connection that failed is not used again. */
function kyselyPool(pool: pg.Pool, tracing: Tracing | null): PostgresPool {
  return {
    async connect() {
      const client = await pool.connect().catch((error) => {
        throw orUnavailable(error)
      })
      let failed = false
      async function query(text: string, values?: readonly unknown[]) {
        const name = nameOf(text)
        try {
          const query = { text, values: values as unknown[] }
          return await client.query(name === undefined ? query : { ...query, name })
        } catch (error) {
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
    end: () => pool.end()
  } as unknown as PostgresPool
}

/** Opens a pool. Nothing connects before the first statement. */
export function openDatabase(
  options: DatabaseOptions,
  onIdleError: (error: Error) => void,
  tracing: Tracing | null = null
): Db {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: options.timeout,
    // Postgres cancels what runs too long; the driver gives up on a server that does not even answer to that.
    query_timeout: options.timeout + 300,
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
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: kyselyPool(pool, tracing) }) })
  pools.set(db, pool)
  return db
}

const pools = new WeakMap<Db, pg.Pool>()

/** How many connections there are, how many do nothing, and how many statements wait for one. */
export function connectionsOf(db: Db): { open: number; idle: number; waiting: number } {
  const { totalCount = 0, idleCount = 0, waitingCount = 0 } = pools.get(db) ?? {}
  return { open: totalCount, idle: idleCount, waiting: waitingCount }
}

/** Milliseconds between two attempts to listen again. */
const relistenAfter = 1_000

/**
 * Listens on channels, over one connection of its own, and again whenever it was lost. Every handler is also called each
 * time that listening begins: what was notified before then has been missed.
 */
export function listen(
  url: string,
  channels: ReadonlyMap<string, () => void>,
  onLost: (error: Error) => void
): { readonly started: Promise<void>; close(): Promise<void> } {
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  async function connect(): Promise<void> {
    const attempt = new pg.Client({
      connectionString: url,
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
    const onIdleError = (error: Error) => app.log.warn({ error: error.message }, 'idle database connection lost')
    const db = openDatabase(options, onIdleError, app.tracing)
    app.decorate('db', db)
    app.addHook('onClose', () => db.destroy())
  },
  { name: 'database', dependencies: ['tracing'], fastify: '5.x' }
)
