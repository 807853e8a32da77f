// Writes db/schema.sql: what the migrations make of an empty database.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeSchema } from '../dist/db/describe-schema.js'
import { migrateUp } from '../dist/db/migrate.js'
import { startEmbeddedPostgres } from '../dist/src/embedded/postgres.js'

const dataDir = mkdtempSync(join(tmpdir(), 'keyturn-schema-'))
const postgres = await startEmbeddedPostgres({ dataDir, durable: false })
try {
  await migrateUp(postgres.url)
  writeFileSync(new URL('../db/schema.sql', import.meta.url), await describeSchema(postgres.url))
} finally {
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
}
