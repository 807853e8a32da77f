import { join } from 'node:path'
import type { Test } from 'tap'
import { freshDatabase } from './postgres.js'
import { keyturn, scratchFolder } from './service.js'

/** The built program in a terminal, with a database of the test's own. */
export async function terminal(t: Test, more: Record<string, string> = {}) {
  const { url } = await freshDatabase(t)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(scratchFolder(t), 'data'), ...more }
  const run = (line: string, input = '') => keyturn(line.split(' '), environment, input)
  const json = async (line: string, input = '') => JSON.parse((await run(`${line} --json`, input)).stdout)
  return { environment, run, json }
}
