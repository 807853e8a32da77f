// Where the time of a request goes: node bench/profile.js [--only me,refresh] [--seconds N] [--functions]
//
// Without `--only` it writes bench/results/profile.md. `--functions` prints the busiest functions of each as well.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { embeddedBinaries, unprivilegedUser } from '../dist/src/embedded/binaries.js'
import { startCluster } from '../dist/src/embedded/cluster.js'
import { createDatabase } from './lib/in-process.js'
import { keyturnLoads, prepareKeyturn, startKeyturn, trivialHash } from './lib/keyturn.js'
import { loadTogether } from './lib/load.js'
import { stopAll } from './lib/processes.js'

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, seconds: { type: 'string' }, functions: { type: 'boolean', default: false } }
})
const seconds = Number(options.seconds ?? 5)
const clients = 32
const loads = {
  login: { title: 'a login with a trivial hash', make: (all) => all.loginBesideHash() },
  refresh: { title: 'a refresh', make: (all) => all.refresh(clients) },
  me: { title: 'me, a token seen before', make: (all) => ({ awake: true, ...all.me() }) },
  'me-fresh': { title: 'me, a new token each time', make: (all) => ({ awake: true, ...all.meFresh() }) },
  introspect: { title: 'an introspection', make: (all) => all.introspect() },
  logout: { title: 'a logout', make: (all) => all.logout(4_000 * seconds) }
}
const chosen = options.only?.split(',') ?? Object.keys(loads)
const unbundled = fileURLToPath(new URL('./lib/unbundled.js', import.meta.url))

/** Whose a function is: a package, a part of Node, one of our files, or the machine. */
function ownerOf({ functionName, url }) {
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (functionName === 'writev' || functionName.startsWith('write')) return 'sockets: what is written'
  if (['(program)', '(root)'].includes(functionName)) return 'the machine'
  const [, dependency] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  if (dependency !== undefined) return dependency
  const [, ours] = /\/dist\/(src\/.*)\.js$/.exec(url) ?? []
  if (ours !== undefined) return ours
  if (/crypto/.test(url) || /^(sign|verify)/.test(functionName)) return 'node:crypto'
  const [, part] = /^node:(?:internal\/)?_?([a-z]+)/.exec(url) ?? []
  return `node:${part ?? 'v8'}`
}

/** Microseconds by owner and by function, without idle time and what loading took. */
function timesOf({ nodes, samples, timeDeltas }, from) {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const owners = new Map()
  const functions = new Map()
  const add = (to, key, micros) => to.set(key, (to.get(key) ?? 0) + micros)
  let at = 0
  for (const [n, id] of samples.entries()) {
    at += timeDeltas[n]
    const { callFrame } = byId.get(id)
    if (at < from || callFrame.functionName === '(idle)') continue
    add(owners, ownerOf(callFrame), timeDeltas[n])
    add(
      functions,
      `${callFrame.functionName || '(anonymous)'} ${callFrame.url.replace(/.*\/(dist|node_modules)\//, '')}:${callFrame.lineNumber + 1}`,
      timeDeltas[n]
    )
  }
  return { owners, functions }
}

function rows(times, answered, most) {
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, micros]) => `| ${name} | ${(micros / answered).toFixed(1)} |`)
}

const folder = mkdtempSync(join(tmpdir(), 'keyturn-profile-'))
// Postgres runs as somebody else.
chmodSync(folder, 0o755)
process.once('exit', stopAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const cluster = await startCluster({
  bin: await embeddedBinaries(folder, unprivilegedUser()),
  folder: join(folder, 'postgres'),
  durable: true,
  sharedBuffers: '1GB',
  connections: 100
})
const parts = []
try {
  await createDatabase(cluster, 'keyturn')
  const keyturn = { url: cluster.url('keyturn'), folder }
  const made = await prepareKeyturn(keyturn, {
    sessions: 1_000 + (chosen.includes('logout') ? 4_000 * seconds : 0),
    freshTokens: chosen.includes('me-fresh') ? 12_000 : 0
  })
  for (const name of chosen) {
    const profiles = join(folder, `profile-${name}`)
    const program = ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${profiles}`, unbundled]
    const began = performance.now()
    const service = await startKeyturn({ ...keyturn, program }, trivialHash)
    const load = await loads[name].make(keyturnLoads({ made, costly: service, cheap: service }))
    const from = (performance.now() - began) * 1_000
    const [result] = await loadTogether(cluster.pid, [{ clients, ...load }], { seconds })
    await service.stop()
    // The main thread's is the one that did most; the others hash.
    const all = readdirSync(profiles).map((file) => JSON.parse(readFileSync(join(profiles, file))))
    const main = all.sort((a, b) => b.samples.length - a.samples.length)[0]
    const { owners, functions } = timesOf(main, from)
    const [service_, postgres] = [result.serviceMicros, result.postgresMicros].map((micros) => micros.toFixed(0))
    parts.push(
      [
        `## ${loads[name].title}`,
        '',
        `${result.rate.toFixed(0)} a second; CPU ${service_} µs of the service, ${postgres} µs of Postgres.`,
        '',
        '| µs of the main thread in | each |',
        '| --- | ---: |',
        ...rows(owners, result.answered, 14),
        ...(options.functions
          ? ['', '| function | µs |', '| --- | ---: |', ...rows(functions, result.answered, 40)]
          : [])
      ].join('\n')
    )
    console.log(`${parts.at(-1)}\n`)
  }
  await made.close()
} finally {
  stopAll()
  await cluster.stop()
  rmSync(folder, { recursive: true, force: true })
}
if (options.only === undefined) {
  const head =
    '# Where the time of a request goes\n\n`npm run bench:profile`. Times with the profiler on are longer than without.'
  writeFileSync(new URL('./results/profile.md', import.meta.url), `${[head, ...parts].join('\n\n')}\n`)
}
