// Refreshes a second among more and more sessions: node bench/scale.js [--sessions 10000,1000000,10000000]
// With these numbers it writes bench/results/scale.json, which the table of `npm run bench` shows.
import { parseArgs } from 'node:util'
import { formatRefreshToken } from '../dist/src/domain/refresh-token.js'
import { inProcess, prepare } from './lib/in-process.js'
import { median, writeResult } from './lib/report.js'

const { values: options } = parseArgs({
  options: { sessions: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' } }
})
const counts = options.sessions?.split(',').map(Number) ?? [10_000, 1_000_000, 10_000_000]
const rounds = Number(options.rounds ?? 3)
const seconds = Number(options.seconds ?? 5)

/** Refreshes sessions at random, each once or twice, with 32 at a time. */
async function refresh({ app, ids, generations }) {
  const [key] = app.vault.refreshKeys
  const latencies = []
  const end = performance.now() + seconds * 1000
  await Promise.all(
    Array.from({ length: 32 }, async (_, worker) => {
      while (performance.now() < end) {
        // Each worker has sessions of its own, so that it knows their generation.
        const at = Math.floor((Math.random() * ids.length) / 32) * 32 + worker
        if (at >= ids.length) continue
        const generation = generations[at]++
        const before = performance.now()
        await app.flows.refresh(formatRefreshToken(key, { sessionId: ids[at], generation }), 'body')
        latencies.push(performance.now() - before)
      }
    })
  )
  latencies.sort((a, b) => a - b)
  return { rate: latencies.length / seconds, p99: latencies[Math.floor(latencies.length * 0.99)] }
}

await inProcess(
  async ({ open }) => {
    const sides = []
    for (const count of counts) {
      const began = performance.now()
      const { pool, app } = await open(`sessions_${count}`)
      const ids = await prepare(pool, app, count, { ids: Math.min(count, 200_000) })
      const { rows } = await pool.query(`select pg_total_relation_size('session')::float8 / $1 as bytes`, [count])
      const bytes = Math.round(rows[0].bytes)
      const took = Math.round((performance.now() - began) / 1000)
      console.log(`${count} sessions: ${bytes} bytes each with their indexes, made in ${took} s`)
      sides.push({ count, bytes, app, ids, generations: new Array(ids.length).fill(0), rates: [], p99s: [] })
    }
    for (let round = -1; round < rounds; round++) {
      for (const side of sides) {
        const { rate, p99 } = await refresh(side)
        // The first round warms up.
        if (round < 0) continue
        side.rates.push(rate)
        side.p99s.push(p99)
      }
    }
    for (const { count, rates, p99s } of sides) {
      console.log(`${count} sessions: ${Math.round(median(rates))} refreshes/s, p99 ${median(p99s).toFixed(1)} ms`)
    }
    if (options.sessions !== undefined) return
    writeResult('scale', { sides: sides.map(({ count, bytes, rates, p99s }) => ({ count, bytes, rates, p99s })) })
  },
  { sharedBuffers: '2GB' }
)
