// How many bytes a rotation leaves behind: node bench/growth.js [--refreshes 1000000] [--sessions 1000]
// With 400,000 or more it writes bench/results/growth.json, which the table of `npm run bench` shows.
import { parseArgs } from 'node:util'
import { inProcess, prepare } from './lib/in-process.js'
import { writeResult } from './lib/report.js'

const { values: options } = parseArgs({ options: { refreshes: { type: 'string' }, sessions: { type: 'string' } } })
const refreshes = Number(options.refreshes ?? 1_000_000)
const sessions = Number(options.sessions ?? 1_000)

const sizes = async (pool) =>
  (
    await pool.query(`
      select pg_table_size('session')::float8 as heap, pg_indexes_size('session')::float8 as indexes,
        n_tup_upd::float8 as updates, n_tup_hot_upd::float8 as hot
      from pg_stat_user_tables where relname = 'session'`)
  ).rows[0]

await inProcess(async ({ open, postgres }) => {
  const { pool, app } = await open('growth')
  const tokens = await prepare(pool, app, sessions)
  await pool.query('vacuum analyze session')
  const before = await sizes(pool)
  let next = 0
  const began = performance.now()
  // Each worker has sessions of its own, and always presents the newest token of each.
  await Promise.all(
    Array.from({ length: 32 }, async (_, worker) => {
      const own = tokens.filter((_token, at) => at % 32 === worker)
      for (let turn = 0; next < refreshes; turn++) {
        next++
        const at = turn % own.length
        own[at] = (await app.flows.refresh(own[at], 'body')).refreshToken
      }
    })
  )
  const seconds = (performance.now() - began) / 1000
  // Statistics reach their view a little later.
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const after = await sizes(pool)
  const updates = after.updates - before.updates
  const growth = (key) =>
    `${after[key] - before[key]} bytes, ${((after[key] - before[key]) / updates).toFixed(3)} a rotation`
  console.log(
    [
      `${updates} rotations of ${sessions} sessions in ${seconds.toFixed(0)} s, Postgres ${postgres}`,
      `heap:    ${before.heap} to ${after.heap}: ${growth('heap')}`,
      `indexes: ${before.indexes} to ${after.indexes}: ${growth('indexes')}`,
      `updated within their page (HOT): ${((after.hot - before.hot) / updates).toFixed(4)}`
    ].join('\n')
  )
  if (updates < 400_000) return
  writeResult('growth', {
    rotations: updates,
    bytes: (after.heap - before.heap + after.indexes - before.indexes) / updates,
    hot: (after.hot - before.hot) / updates
  })
})
