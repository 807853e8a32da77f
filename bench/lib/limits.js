// What the machine can do with nothing around it: no service can be faster.
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { freePort, start } from './processes.js'

/** argon2id hashes a second on all cores, in threads that do nothing else. */
export async function bareHashes(seconds, options) {
  const workerData = { milliseconds: seconds * 1000, options }
  const url = new URL('../limits/hash-worker.js', import.meta.url)
  const workers = Array.from({ length: availableParallelism() }, () => new Worker(url, { workerData }))
  const counts = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  return { rate: counts.reduce((sum, count) => sum + count, 0) / seconds }
}

function timesASecond(seconds, work) {
  const end = performance.now() + seconds * 1000
  let count = 0
  while (performance.now() < end) {
    work()
    count++
  }
  return { rate: count / seconds }
}

/** ES256 signatures a second, and verifications of one, on one core. */
export function bareSignatures(seconds) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const message = Buffer.alloc(420, 'x')
  const dsaEncoding = 'ieee-p1363'
  const make = () => sign('sha256', message, { key: privateKey, dsaEncoding })
  const signature = make()
  return {
    signed: timesASecond(seconds / 2, make),
    verified: timesASecond(seconds / 2, () => verify('sha256', message, { key: publicKey, dsaEncoding }, signature))
  }
}

/** One-row updates a second through pg: what a refresh cannot be faster than without sharing statements. */
export async function bareUpdates(pool, clients, seconds) {
  const query = {
    name: 'bare',
    text: 'update bare set generation = generation + 1, rotated_at = $2 where id = $1 returning id, generation, account_id'
  }
  const end = performance.now() + seconds * 1000
  const latencies = []
  await Promise.all(
    Array.from({ length: clients }, async (_, id) => {
      while (performance.now() < end) {
        const before = performance.now()
        await pool.query({ ...query, values: [id, new Date()] })
        latencies.push(performance.now() - before)
      }
    })
  )
  latencies.sort((a, b) => a - b)
  return { rate: latencies.length / seconds, p50: latencies[Math.floor(latencies.length / 2)] }
}

/** The rows for it. */
export const makeBareRows = (pool, count) =>
  pool.query(`
    create table bare (id int primary key, generation bigint, rotated_at timestamptz, account_id uuid) with (fillfactor=75);
    insert into bare select n, 0, now(), gen_random_uuid() from generate_series(0, ${count - 1}) as n`)

const programs = {
  fastify: new URL('../limits/fastify.js', import.meta.url),
  http: new URL('../limits/http.js', import.meta.url)
}

/** An empty route of `fastify`, or of `http`, which is node:http alone. */
export async function startEmpty(frame) {
  const port = await freePort()
  const { pid, stop } = await start([fileURLToPath(programs[frame])], { PORT: String(port) }, 'listening')
  return { ports: [port], pids: [pid], stop }
}
