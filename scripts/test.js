// Finds a Postgres, migrates a template database on it, and runs the tests, on two servers where it can.
//
//   node scripts/test.js [files and options of tap]
//
// TEST_DATABASE_URL names a server of your own; TEST_DATABASE=container|machine|embedded chooses one.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync
} from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import { freemem, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { migrateUp } from '../dist/db/migrate.js'
import { embeddedBinaries, unprivilegedUser } from '../dist/src/embedded/binaries.js'
import { startCluster } from '../dist/src/embedded/cluster.js'
import { bundleForTests } from './test-bundle.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const template = 'keyturn_template'
const tapProgram = createRequire(import.meta.url)
  .resolve('tap/package.json')
  .replace(/package\.json$/, 'dist/esm/run.mjs')
const secondRun = ['test/http', 'test/db']
/** Of the tests over HTTP those that are about what the database does; the others ask it for nothing else. */
const asksMuch =
  /test.db.|http.(accounts|audit|broom|group-commit|keys|late-requests|refresh|revocations|session-limit|sessions|shared-rate-limits)\.test\.ts$/

/** Makes embedded servers of its own, whichever the run is on. */
const bringsItsOwn = join('test', 'db', 'embedded.test.ts')

function runnable(folder) {
  try {
    for (const name of ['initdb', 'postgres']) accessSync(join(folder, name), constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The folder of the machine's own server programs, behind any links in PATH; undefined where there are none. */
function machineBinaries() {
  const folders = [process.env.PG_BIN_DIR]
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    // Debian links single programs into PATH; the rest of the server lies beside the real one.
    if (folder && existsSync(join(folder, 'postgres'))) folders.push(dirname(realpathSync(join(folder, 'postgres'))))
  }
  const debian = '/usr/lib/postgresql'
  if (existsSync(debian)) {
    const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a))
    folders.push(...versions.map((version) => join(debian, version, 'bin')))
  }
  return folders.find((folder) => folder && runnable(folder))
}

/** Whether a Docker engine answers. */
async function dockerAnswers() {
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'
  const socketPath = host.startsWith('unix://') ? host.slice('unix://'.length) : undefined
  if (socketPath !== undefined && !existsSync(socketPath)) return false
  const { hostname, port } = new URL(host)
  const address = socketPath === undefined ? { hostname, port } : { socketPath }
  return await new Promise((resolve) => {
    const request = http.get({ ...address, path: '/_ping', timeout: 1_500 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on('error', () => resolve(false))
    request.on('timeout', () => request.destroy(new Error('no answer')))
  })
}

/** In memory, where there is enough of it and nobody says otherwise: a database is made there in a fifth of the time. */
function scratchParent() {
  const memory = '/dev/shm'
  if (process.env.TMPDIR || !existsSync(memory)) return tmpdir()
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize >= 4 * 2 ** 30 && freemem() >= 4 * 2 ** 30 ? memory : tmpdir()
}

async function throwawayCluster(kind, bin, scratch) {
  const folder = join(scratch, kind)
  const cluster = await startCluster({ bin, folder, durable: false, connections: 200 })
  return { kind, url: cluster.url('postgres'), stop: () => cluster.stop() }
}

const strategies = {
  async container() {
    if (!(await dockerAnswers())) return undefined
    const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
    const container = await new PostgreSqlContainer('postgres:18-alpine')
      .withCommand(['postgres', '-c', 'fsync=off', '-c', 'max_connections=200'])
      .start()
    return { kind: 'container', url: container.getConnectionUri(), stop: () => container.stop() }
  },
  async machine(scratch) {
    const bin = machineBinaries()
    return bin === undefined ? undefined : await throwawayCluster('machine', bin, scratch)
  },
  async embedded(scratch) {
    const cache = join(root, '.tap')
    return await throwawayCluster('embedded', await embeddedBinaries(cache, unprivilegedUser()), scratch)
  }
}

async function findServer(scratch) {
  if (process.env.TEST_DATABASE_URL) {
    return { kind: 'given', url: process.env.TEST_DATABASE_URL, stop: async () => {} }
  }
  const wanted = process.env.TEST_DATABASE
  if (wanted && !Object.hasOwn(strategies, wanted)) {
    throw new Error(`TEST_DATABASE is ${wanted}; it may be ${Object.keys(strategies).join(', ')}.`)
  }
  for (const kind of wanted ? [wanted] : Object.keys(strategies)) {
    const server = await strategies[kind](scratch)
    if (server !== undefined) return server
  }
  throw new Error(`There is no Postgres by TEST_DATABASE=${wanted} here.`)
}

/** Makes the template anew, and tells the server's version. */
async function prepareTemplate(serverUrl) {
  const client = new pg.Client({ connectionString: serverUrl })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(`drop database if exists ${template} with (force)`)
    await client.query(`create database ${template}`)
    const url = new URL(serverUrl)
    url.pathname = `/${template}`
    await migrateUp(url.href)
    return (await client.query('show server_version')).rows[0].server_version
  } finally {
    await client.end()
  }
}

/** A file's report without its subtests that passed. */
function withoutPassed(lines) {
  const kept = []
  let from = 0
  for (const line of lines) {
    if (line === '    ') continue
    if (line.startsWith('    # Subtest: ')) from = kept.length
    kept.push(line)
    if (line.startsWith('    ok ')) kept.length = from
    if (/^ {4}(not )?ok /.test(line)) from = kept.length
  }
  return kept
}

/** Prints a file's report: a line where all passed, with what was skipped, and in full what failed. */
function report(lines, verdict) {
  const failed = verdict.startsWith('not ok')
  const [, name = verdict, time = ''] = /^(?:not )?ok \d+ - (.*?)(?: # time=(\S+))?$/.exec(verdict) ?? []
  if (failed) console.log(`\n${withoutPassed(lines).join('\n')}`)
  console.log(`${failed ? 'FAILED' : 'ok    '} ${name}${time && ` (${time.replace(/(\d+)\.?\d*ms/, '$1 ms')})`}`)
  if (failed) console.log()
  else for (const line of lines) if (line.includes('# SKIP')) console.log(`         ${line.trim()}`)
}

/** tap as .taprc asks for it: what it is built with decides what each test's process loads, from the next run on. */
function buildTap() {
  const ofTap = createRequire(tapProgram).resolve('@tapjs/test/package.json')
  const built = join(dirname(ofTap), 'test-built', 'dist', 'esm', 'index.js')
  if (!/@tapjs\/(mock|typescript)/.test(readFileSync(built, 'utf8'))) return
  const { status, stderr } = spawnSync(process.execPath, [tapProgram, 'build'], { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`tap could not be built: ${stderr}`)
}

/** Runs tap and counts what it says; `children` holds the process while it runs. */
async function runTap(args, server, { children, scratch }) {
  const child = spawn(process.execPath, [tapProgram, 'run', '--reporter=tap', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${new URL('typescript.js', import.meta.url)}`.trim(),
      TMPDIR: scratch,
      TEST_BUNDLE: bundle,
      TEST_DATABASE_URL: server.url,
      TEST_DATABASE_TEMPLATE: template
    }
  })
  children.add(child)
  const counts = { passed: 0, failed: 0, skipped: 0 }
  let lines = []
  let hasTotal = false
  createInterface({ input: child.stdout }).on('line', (line) => {
    const total = /^# \{ (.*) \}$/.exec(line)
    if (total !== null) {
      const number = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(total[1])?.[1] ?? 0)
      counts.passed = number('pass')
      counts.failed = number('fail')
      counts.skipped = number('skip') + number('todo')
      hasTotal = true
    } else if (/^(not )?ok /.test(line)) {
      report(lines, line)
      lines = []
    } else if (line.startsWith('# Subtest: ')) lines = [line]
    else if (line.startsWith('  expired: ')) console.log(`FAILED ${line.slice('  expired: '.length)} (took too long)`)
    else if (/^Bail out!/.test(line)) console.log(line)
    else if (/^\s/.test(line)) lines.push(line)
  })
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
  children.delete(child)
  if (!hasTotal) console.log(lines.join('\n'))
  // A file that dies before its first assertion fails the run and no assertion.
  if (status !== 0 && counts.failed === 0) counts.failed = 1
  return { status, ...counts }
}

async function runOn(find, args, resources) {
  resources.starting = find(resources.scratch)
  const server = await resources.starting
  resources.servers.add(server)
  const version = await prepareTemplate(server.url)
  if (interrupted) throw new Error('interrupted')
  console.log(`\nPostgres ${version} (${server.kind})`)
  const result = await runTap(args, server, resources)
  resources.servers.delete(server)
  await server.stop()
  return { ...result, kind: server.kind }
}

function testFiles(folder) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
    .sort()
}

async function main(args, resources) {
  const results = [await runOn(findServer, args, resources)]
  const files = secondRun.flatMap(testFiles).filter((file) => file !== bringsItsOwn && asksMuch.test(file))
  const hasFiles = args.some((arg) => !arg.startsWith('-'))
  if (!hasFiles && results[0].kind !== 'embedded' && files.length > 0) {
    console.log('\nAgain on the embedded server, what works on a database:')
    results.push(await runOn(strategies.embedded, [...args, ...files], resources))
  }
  const sum = (name) => results.reduce((total, result) => total + result[name], 0)
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(sum)
  console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  const status = results.find((result) => result.status !== 0)?.status
  return status ?? (passed + failed > 0 ? 0 : 1)
}

async function clean({ starting, children, servers, scratch }) {
  await Promise.allSettled([starting])
  const ended = [...children].map((child) => once(child, 'exit'))
  for (const child of children) child.kill('SIGTERM')
  await Promise.allSettled(ended)
  await Promise.allSettled([...servers].map((server) => server.stop()))
  rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

// Everything that this run and its tests make for themselves, so that no interruption leaves any of it behind.
const scratch = mkdtempSync(join(scratchParent(), 'keyturn-test-'))
// Servers before 16 look their own folder up by its path, also as the user that root runs them as.
chmodSync(scratch, 0o755)
const resources = { children: new Set(), servers: new Set(), scratch }
buildTap()
const bundle = await bundleForTests(root, { mapped: process.argv.slice(2).some((arg) => !arg.startsWith('-')) })
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, async () => {
    if (interrupted) return
    interrupted = true
    await clean(resources)
    process.exit(1)
  })
}
try {
  process.exitCode = await main(process.argv.slice(2), resources)
} catch (error) {
  if (!interrupted) console.error(`test: ${error.stack}`)
  process.exitCode = 1
} finally {
  if (!interrupted) await clean(resources)
}
