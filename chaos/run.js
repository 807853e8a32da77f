// Faults under load, and what they cost:
//
//   node chaos/run.js [--quick] [--only <word>]... [--stale allow|deny] [--standby sync|async|off] [--seconds N]
//
// Exits with 1 where a count that must be 0 is not. The full run writes docs/chaos.md.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { runClients } from './lib/clients.js'
import { whyNoMounts } from './lib/disk.js'
import { faults } from './lib/faults.js'
import { closeAgents, send } from './lib/http.js'
import { Ledger, Tally } from './lib/ledger.js'
import { mustBeZero, ofTime, toDocument, toMarkdown, toNotes } from './lib/report.js'
import { startTopology } from './lib/topology.js'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    stale: { type: 'string', default: 'deny' },
    standby: { type: 'string', default: 'sync' },
    seconds: { type: 'string' }
  }
})
const hold = Number(options.seconds ?? (options.quick ? 1.2 : 7)) * 1_000
const calm = options.quick ? 700 : 5_000
const counts = options.quick
  ? { people: 6, residents: 2, revokers: 2, newcomers: 1 }
  : { people: 16, residents: 4, revokers: 4, newcomers: 2 }
const limits = {
  /** What a replica does that has not read for `staleBound` milliseconds: judge no more, or by what it last knew. */
  stale: options.stale,
  staleBound: 2_000,
  /** With `allow`, for a replica that can read: the interval of the poll, and what a poll and a busy machine may take. */
  bound: 2_000
}

const started = performance.now()
const folder = mkdtempSync(join(tmpdir(), 'keyturn-chaos-'))
chmodSync(folder, 0o755)
const starting = startTopology(folder, {
  replication: options.standby,
  settings: {
    AUTH_REVOCATION_STALE: limits.stale,
    AUTH_REVOCATION_MAX_STALENESS: `${limits.staleBound / 1000}s`
  }
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    // What has begun to start is there to be stopped once it has.
    await end().catch(() => {})
    process.exit(1)
  })
}
const topology = await starting

/** Milliseconds that healing may take. */
const healsWithin = 30_000
const noMounts = whyNoMounts(folder)
const skipped = []
const ledger = new Ledger()
const outages = []
let tally = new Tally('start')
let isOver = false

/** Notes that a replica cannot know of revocations from now on; the answer ends that. */
function outage(replica) {
  const one = { replica, from: performance.now(), to: undefined }
  outages.push(one)
  return () => {
    one.to = performance.now()
  }
}

/** Whether this machine has what a fault needs; says so where it has not. */
function isPossible({ name, needs }) {
  const has = needs === 'mounts' ? noMounts === undefined : needs === undefined || Boolean(topology[needs])
  if (has) return true
  console.log(`skipped: ${name} (${needs === 'mounts' ? noMounts : `there is no ${needs}`})`)
  skipped.push(name)
  return false
}

/** Milliseconds until every replica says that it is ready, and the proxy passes it on. */
async function healed() {
  const from = performance.now()
  for (const one of [...topology.replicas, topology.proxy].filter(Boolean)) {
    for (;;) {
      const ready = await send(one, { method: 'GET', path: '/readyz', timeout: 2_000 }).catch(() => undefined)
      if (ready?.status === 200) break
      if (performance.now() - from > 4 * healsWithin) {
        throw new Error(`${one.name} does not heal: ${ready?.status} ${JSON.stringify(ready?.body)}`)
      }
      await delay(10)
    }
  }
  const took = performance.now() - from
  if (took > healsWithin) tally.unhealed.push(`healed only after ${Math.round(took / 1_000)} s`)
  return took
}

async function run() {
  const load = runClients({
    replicas: topology.replicas,
    proxy: topology.proxy,
    outages,
    tally: () => tally,
    ledger,
    isOver: () => isOver,
    limits,
    counts
  })
  // What ends the load ends the run.
  const failed = load.then(() => {})
  await Promise.race([delay(500), failed])
  const tallies = []
  for (const fault of faults) {
    if (
      options.only !== undefined
        ? !options.only.some((word) => fault.name.includes(word))
        : options.quick && fault.isLong
    )
      continue
    if (!isPossible(fault)) continue
    tally = new Tally(fault.name)
    tallies.push(tally)
    await Promise.race([fault.run({ topology, tally, folder, outage, hold }), failed])
    tally.healed = await healed()
    await Promise.race([delay(calm), failed])
    tally.lost.push(...(await ledger.lost(topology.query)))
    await tally.explain(topology.query)
    for (const replica of topology.replicas) tally.otherErrors.push(...replica.errors.splice(0))
    console.log(`${Math.round((performance.now() - started) / 1_000)} s: ${fault.name}`)
    for (const line of tally.faults.slice(0, 10)) console.log(`${fault.name}: ${line}`)
  }
  isOver = true
  await load
  tallies.at(-1).lost.push(...(await ledger.lost(topology.query)))
  return tallies
}

async function end() {
  closeAgents()
  await (await starting).close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

let tallies
try {
  tallies = await run()
} finally {
  await end()
}
const rows = tallies.map((one) => one.row())
const sum = (name) => rows.reduce((total, row) => total + row[name], 0)
const table = toMarkdown(rows)
console.log(`\n${table}\n\n${toNotes(rows).join('\n')}\n`)
console.log(`${sum('requests')} requests in ${Math.round((performance.now() - started) / 1000)} s`)
for (const [name, words] of Object.entries(mustBeZero)) console.log(`${words}: ${sum(name)}`)
// A quick run shares its machine with others: its times are told, and decide nothing.
const decisive = Object.keys(mustBeZero).filter((name) => !(options.quick && ofTime.includes(name)))
if (decisive.some((name) => sum(name) > 0)) process.exitCode = 1
if (!options.quick && options.only === undefined) {
  const machine = {
    cpu: cpus()[0]?.model.trim(),
    cores: availableParallelism(),
    node: process.versions.node,
    postgres: topology.postgres.version,
    date: new Date().toISOString().slice(0, 10)
  }
  const shape = {
    replication: options.standby,
    hasNamespaces: topology.hasNamespaces,
    hasProxy: topology.proxy !== undefined
  }
  writeFileSync(
    new URL('../docs/chaos.md', import.meta.url),
    toDocument(rows, { machine, counts, limits, hold, calm, topology: shape, skipped })
  )
}
