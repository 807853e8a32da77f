// Keyturn beside the machine's own limits and beside what one would use instead, in one run:
// node bench/run.js [--quick] [--only login,refresh] [--rounds N] [--seconds N]
//
// Without `--quick` and `--only` the results and the chart are written: bench/results/latest.*,
// docs/bench.svg, and the tables of the README and of docs/scale.md.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { embeddedBinaries, unprivilegedUser } from '../dist/src/embedded/binaries.js'
import { startCluster } from '../dist/src/embedded/cluster.js'
import { derive, judgeAll } from './lib/bounds.js'
import { writeCapacity } from './lib/capacity.js'
import { groups, makeCells } from './lib/cells.js'
import { drawChart } from './lib/chart.js'
import { createDatabase } from './lib/in-process.js'
import { prepareKeyturn, startKeyturn, trivialHash } from './lib/keyturn.js'
import { makeBareRows, startEmpty } from './lib/limits.js'
import { allLastWords, cpuMicros, machineMicros, pssMiB, stopAll } from './lib/processes.js'
import { readResult, toMarkdown, writeReadme, writeResult } from './lib/report.js'
import { startPeers } from './peers/peers.js'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' }
  }
})
const { quick } = options
/** What a quick run leaves out: it is there to see that all works, and takes half a minute. */
const slow = ['isolation', 'overload', 'purge', 'processes']
const chosen = options.only?.split(',') ?? Object.keys(groups).filter((group) => !(quick && slow.includes(group)))
const unknown = chosen.filter((group) => groups[group] === undefined)
if (unknown.length > 0) {
  const known = Object.entries(groups).map(([group, what]) => `  ${group.padEnd(10)} ${what}`)
  console.error(`--only: there is no ${unknown.join(', ')}. There are:\n${known.join('\n')}`)
  process.exit(2)
}
const rounds = Number(options.rounds ?? (quick ? 1 : 3))
const seconds = Number(options.seconds ?? (quick ? 0.3 : 3))

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
// Postgres runs as somebody else.
chmodSync(folder, 0o755)
const undo = [() => rmSync(folder, { recursive: true, force: true })]
process.once('exit', stopAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const shuffled = (items) =>
  items
    .map((item) => [Math.random(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)

async function startAll() {
  const bin = await embeddedBinaries(folder, unprivilegedUser())
  const cluster = await startCluster({
    bin,
    folder: join(folder, 'postgres'),
    durable: true,
    sharedBuffers: '1GB',
    connections: 300
  })
  undo.unshift(() => cluster.stop())
  const database = async (name) => {
    await createDatabase(cluster, name)
    return cluster.url(name)
  }
  const keyturn = { url: await database('keyturn'), folder }
  const needs = (...some) => some.some((group) => chosen.includes(group))
  const made = await prepareKeyturn(keyturn, {
    sessions: 20_000 + (needs('logout') ? Math.ceil((rounds + 1) * 12_000 * seconds) : 0),
    // More than the service remembers, so that each is new to it whenever its turn comes.
    freshTokens: needs('me', 'processes') ? Math.ceil(Math.max(10_000, 20_000 * seconds)) : 0
  })
  undo.unshift(() => made.close())
  // What is signed in to has a database of its own: all revocations of the sign-outs would be in its memory.
  const signIns = { url: await database('keyturn_sign_ins'), folder }
  const madeSignIns = await prepareKeyturn(signIns, { sessions: 100 + (rounds + 1) * 100, freshTokens: 0 })
  undo.unshift(() => madeSignIns.close())
  await makeBareRows(made.pool, 32)
  // A checkpoint is paid for by whoever is measured then.
  for (const setting of [`max_wal_size = '8GB'`, `checkpoint_timeout = '30min'`]) {
    await made.pool.query(`alter system set ${setting}`)
  }
  await made.pool.query('select pg_reload_conf()')
  const services = {
    costly: await startKeyturn(signIns),
    cheap: await startKeyturn(keyturn, trivialHash),
    empty: await startEmpty('fastify'),
    bareHttp: await startEmpty('http')
  }
  const idleMiB = pssMiB(services.costly.pids)
  const peers = await startPeers(quick ? ['hand-written'] : undefined, chosen, {
    database,
    rounds,
    seconds,
    sessions: quick ? 10_000 : 100_000
  })
  undo.unshift(async () => {
    for (const one of [...Object.values(services), ...peers.started]) await one.stop()
  })
  return {
    ...keyturn,
    ...services,
    made,
    signIns,
    madeSignIns,
    idleMiB,
    peers,
    postgresPid: cluster.pid,
    version: cluster.version
  }
}

async function run() {
  const bench = await startAll()
  const context = { ...bench, peers: bench.peers.started }
  const wanted = ({ group }) => chosen.includes(group)
  // Once for nothing: compilers, caches and connections warm up.
  for (const { once, run } of quick ? [] : makeCells(context, seconds).filter(wanted)) {
    if (!once) await run()
  }
  const cells = makeCells(context, seconds, { quick }).filter(wanted)
  const taken = cells.map(() => ({}))
  const from = { at: performance.now(), machine: machineMicros(), ours: cpuMicros([process.pid]) }
  for (let round = 0; round < rounds; round++) {
    const runs = shuffled([...new Set(cells.map(({ beside }) => beside))])
    for (const cell of runs.flatMap((name) => shuffled(cells.filter(({ beside }) => beside === name)))) {
      const figures = taken[cells.indexOf(cell)]
      for (const [name, result] of Object.entries(await cell.run())) {
        figures[name] ??= []
        figures[name][round] = result
      }
    }
    if (!quick) console.error(`round ${round + 1} of ${rounds} is done`)
  }
  const others = machineMicros() - from.machine - (cpuMicros([process.pid]) - from.ours)
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim(),
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: bench.version,
    rounds,
    others: Math.max(0, others) / ((performance.now() - from.at) * 1000 * availableParallelism())
  }
  // In the order of the cells, whatever order chance made.
  const all = derive(Object.assign({}, ...taken))
  const report = { machine, peers: bench.peers.all, bounds: judgeAll(all), figures: all }
  const table = toMarkdown(report)
  console.log(table)
  if (quick || options.only !== undefined) return
  writeResult('latest', report)
  writeFileSync(new URL('./results/latest.md', import.meta.url), table)
  writeFileSync(new URL('../docs/bench.svg', import.meta.url), drawChart(report))
  writeReadme(report)
  writeCapacity(report, readResult('scale'))
}

try {
  await run()
} catch (error) {
  console.error(allLastWords())
  throw error
} finally {
  stopAll()
  for (const step of undo) await step()
}
