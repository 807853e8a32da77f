import { readdir, readFile } from 'node:fs/promises'
import { Kysely, type Migration, Migrator, PostgresDialect, sql } from 'kysely'
import pg from 'pg'

const folder = new URL('./migrations/', import.meta.url)

/** Names of all migrations that this version knows, in order. */
export async function migrationNames(): Promise<string[]> {
  const files = await readdir(folder)
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -4))
    .sort()
}

export function migrationText(name: string): Promise<string> {
  return readFile(new URL(`${name}.sql`, folder), 'utf8')
}

async function toMigration(name: string): Promise<Migration> {
  const text = await migrationText(name)
  return {
    async up(db) {
      await sql.raw(text).execute(db)
    }
  }
}

async function withMigrator<T>(url: string, work: (migrator: Migrator, db: Kysely<unknown>) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    connectionTimeoutMillis: 10_000,
    application_name: 'keyturn migrate',
    // Others who migrate at the same time are waited for; a table that is in use is not, for ever.
    onConnect: async (client: pg.ClientBase) => {
      await client.query("set lock_timeout = '60s'; set statement_timeout = '10min'")
    }
  } as pg.PoolConfig)
  pool.on('error', () => {})
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  const migrator = new Migrator({
    db,
    provider: {
      async getMigrations() {
        const names = await migrationNames()
        return Object.fromEntries(
          await Promise.all(names.map(async (name) => [name, await toMigration(name)] as const))
        )
      }
    },
    migrationTableName: 'migration',
    migrationLockTableName: 'migration_lock'
  })
  try {
    return await work(migrator, db)
  } finally {
    await db.destroy()
  }
}

export interface MigrationState {
  readonly name: string
  /** Null where it is yet to come. */
  readonly appliedAt: Date | null
}

/** What was applied, and what is yet to come. Needs no right to change anything. */
export async function migrationStatus(url: string): Promise<MigrationState[]> {
  return await withMigrator(url, async (_migrator, db) => {
    const { rows } = await sql<{ present: boolean }>`select to_regclass('migration') is not null as present`.execute(db)
    const applied = new Map<string, Date>()
    if (rows[0]?.present) {
      const done = await sql<{ name: string; timestamp: string }>`select name, timestamp from migration`.execute(db)
      for (const row of done.rows) applied.set(row.name, new Date(row.timestamp))
    }
    return (await migrationNames()).map((name) => ({ name, appliedAt: applied.get(name) ?? null }))
  })
}

/**
 * Applies what is yet to come, all in one transaction; the names of what it applied.
 *
 * The lock is Kysely's, an advisory lock of the transaction: of twenty processes that start at once one migrates, the
 * others wait and find nothing to do, also behind a pooler that gives every transaction another connection.
 */
export async function migrateUp(url: string): Promise<string[]> {
  return await withMigrator(url, async (migrator) => {
    const { error, results = [] } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
    return results.map(({ migrationName }) => migrationName)
  })
}
