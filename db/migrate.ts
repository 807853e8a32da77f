import { readdir, readFile } from 'node:fs/promises'
import type { Client } from 'pg'

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

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const { default: pg } = await import('pg')
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: 'keyturn migrate'
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end()
  }
}

export interface MigrationState {
  readonly name: string
  /** Null where it is yet to come. */
  readonly appliedAt: Date | null
}

/** What was applied, and what is yet to come. Needs no right to change anything. */
export async function migrationStatus(url: string): Promise<MigrationState[]> {
  return await withClient(url, async (client) => {
    const { rows } = await client.query<{ present: boolean }>(`select to_regclass('migration') is not null as present`)
    const applied = new Map<string, Date>()
    if (rows[0]?.present) {
      const done = await client.query<{ name: string; applied_at: Date }>('select name, applied_at from migration')
      for (const row of done.rows) applied.set(row.name, row.applied_at)
    }
    return (await migrationNames()).map((name) => ({ name, appliedAt: applied.get(name) ?? null }))
  })
}

/**
 * Applies what is yet to come, all in one transaction; the names of what it applied.
 *
 * Kysely's Migrator locks the session, and behind a pooler in transaction mode the session that unlocks is another one:
 * the lock stays, and everybody after it waits. This lock, and these timeouts, end with the transaction. Of twenty
 * processes that start at once one migrates; the others wait and find nothing to do.
 */
export async function migrateUp(url: string): Promise<string[]> {
  return await withClient(url, async (client) => {
    // One message, and `local` throughout: nothing of it is left on a connection that a pooler gives to somebody else.
    await client.query(`
      begin;
      set local lock_timeout = '60s';
      set local statement_timeout = '10min';
      select pg_advisory_xact_lock(hashtext('keyturn:migration'))`)
    try {
      await client.query(`
        create table if not exists migration (name text primary key, applied_at timestamptz not null default now())`)
      const { rows } = await client.query<{ name: string }>('select name from migration')
      const applied = new Set(rows.map(({ name }) => name))
      const pending = (await migrationNames()).filter((name) => !applied.has(name))
      for (const name of pending) {
        await client.query(await migrationText(name))
        await client.query('insert into migration (name) values ($1)', [name])
      }
      await client.query('commit')
      return pending
    } catch (error) {
      await client.query('rollback').catch(() => {})
      throw error
    }
  })
}
