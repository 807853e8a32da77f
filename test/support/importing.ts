import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Test } from 'tap'
import { command } from './terminal.js'
import { type Change, world } from './world.js'

/** A file of test/vectors/imports. */
export const exported = (name: string) => fileURLToPath(new URL(`../vectors/imports/${name}`, import.meta.url))

export interface ReportJson {
  dry_run: boolean
  read: number
  created: number
  already_there: number
  refused: number
  left_out: Record<string, number>
  administrators: number
  tokens: number
  passwords: Record<string, { users: number; kept: number; because: string | null }>
  roles: Record<string, 'created' | 'there'>
  notes: Array<{ because: string }>
  problems: Array<{ line?: number; element?: number; because: string }>
}

/** A service, and the command line on its database. */
export async function importing(t: Test, change?: Change) {
  const w = await world(t, change)
  const client = new pg.Client({ connectionString: w.url })
  await client.connect()
  t.teardown(() => client.end())
  const masterKey = Buffer.alloc(32, 'test master key').toString('base64')
  const environment = { DATABASE_URL: w.url, AUTH_MASTER_KEY: masterKey }
  const run = (words: readonly string[], input = '', more: Record<string, string> = {}) =>
    command(['users', 'import', ...words], { ...environment, ...more }, input)
  return {
    w,
    client,
    environment,
    run,
    /** Runs an import, and reads its report. */
    async report(...words: string[]): Promise<ReportJson & { code: number | null }> {
      const { code, stdout, stderr } = await run([...words, '--json'])
      if (!stdout.startsWith('{')) throw new Error(`no report: ${stdout}${stderr}`)
      return { code, ...JSON.parse(stdout) }
    },
    /** Rows of a query, with the names of its columns. */
    async rows<T = Record<string, unknown>>(query: string, values: unknown[] = []): Promise<T[]> {
      return (await client.query(query, values)).rows
    },
    async count(table: string): Promise<number> {
      return (await client.query(`select count(*)::int as n from ${table}`)).rows[0].n
    },
    async signIn(username: string, password: string): Promise<number> {
      return (await w.post('/v1/login', { username, password })).statusCode
    }
  }
}
