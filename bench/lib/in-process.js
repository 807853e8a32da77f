// The service in this process, on databases of its own: what is measured is Postgres and the flows, without HTTP.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { migrateUp } from '../../dist/db/migrate.js'
import { readConfig } from '../../dist/src/config.js'
import { formatRefreshToken } from '../../dist/src/domain/refresh-token.js'
import { embeddedBinaries, unprivilegedUser } from '../../dist/src/embedded/binaries.js'
import { startCluster } from '../../dist/src/embedded/cluster.js'
import { buildConfiguredApp } from '../../dist/src/server.js'

/** Runs work with a durable Postgres; everything is gone afterwards. */
export async function inProcess(work, { sharedBuffers = '128MB' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const opened = []
  const bin = await embeddedBinaries(folder, unprivilegedUser())
  const postgres = await startCluster({ bin, folder: join(folder, 'postgres'), durable: true, sharedBuffers })
  try {
    /** The service on a database of its own. */
    const open = async (name) => {
      await createDatabase(postgres, name)
      const url = postgres.url(name)
      await migrateUp(url)
      const environment = {
        DATABASE_URL: url,
        AUTH_DATA_DIR: folder,
        AUTH_BROOM_INTERVAL: 'off',
        // On a busy machine figures spread; they do not become refusals.
        AUTH_DATABASE_TIMEOUT: '10000'
      }
      const app = await buildConfiguredApp(readConfig(environment, '0.0.0'), url, { logger: false })
      await app.ready()
      const pool = new pg.Pool({ connectionString: url, max: 2 })
      pool.on('error', () => {})
      opened.push({ app, pool })
      return { app, pool }
    }
    await work({ open, postgres: postgres.version })
  } finally {
    for (const { app, pool } of opened) {
      await app.close()
      await pool.end()
    }
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function createDatabase(cluster, name) {
  const client = new pg.Client({ connectionString: cluster.url('postgres') })
  await client.connect()
  try {
    await client.query(`create database ${name}`)
  } finally {
    await client.end()
  }
}

/**
 * Makes so many sessions, ten to an account, as sign-ins would have left them; their first refresh tokens or, where so
 * many ids are asked for, the ids of some. Indexes are made last, as a restored backup makes them.
 */
export async function prepare(pool, app, count, { ids } = {}) {
  const accounts = Math.ceil(count / 10)
  const { rows: indexes } = await pool.query(
    `select indexname, indexdef from pg_indexes
     where tablename = 'session' and indexname <> 'session_pkey' and schemaname = 'public'`
  )
  for (const { indexname } of indexes) await pool.query(`drop index ${indexname}`)
  await pool.query('alter table session drop constraint session_pkey')
  await pool.query(`set maintenance_work_mem = '1GB'`)
  await pool.query(
    `insert into account (id, username, username_key, created_at)
     select gen_random_uuid(), 'user-' || n, 'user-' || n, now() from generate_series(1, $1::int) as n`,
    [accounts]
  )
  await pool.query(
    `insert into session (id, account_id, transport, client_id, amr, acr, user_agent, address,
       created_at, rotated_at, idle_expires_at, expires_at)
     select gen_random_uuid(), a.id, 'body', 'web', '{pwd}', 'aal1', 'Mozilla/5.0 (X11; Linux x86_64)', '192.0.2.1',
       now(), now(), now() + interval '14 days', now() + interval '30 days'
     from account as a, generate_series(1, 10) limit $1`,
    [count]
  )
  await pool.query('alter table session add constraint session_pkey primary key (id)')
  for (const { indexdef } of indexes) await pool.query(indexdef)
  await pool.query('vacuum analyze session')
  await pool.query('checkpoint')
  if (ids !== undefined) {
    const { rows } = await pool.query('select id from session order by id limit $1', [ids])
    return rows.map(({ id }) => id)
  }
  const { rows } = await pool.query('select id from session')
  const [key] = app.vault.refreshKeys
  return rows.map(({ id }) => formatRefreshToken(key, { sessionId: id, generation: 0 }))
}
