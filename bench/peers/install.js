// Peers are installed where the bench keeps them, and are no dependencies of the project.
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const cache = process.env.BENCH_PEERS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'keyturn-bench')

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))

/**
 * Installs packages of npm, once, and puts the peer's program beside them, where it finds them. Tells the program's path
 * and the version of the first package.
 */
export async function installFromNpm(name, dependencies, program) {
  const folder = join(cache, name)
  const manifest = { private: true, type: 'module', dependencies }
  const [first] = Object.keys(dependencies)
  const installed = join(folder, 'node_modules', first, 'package.json')
  const isThere =
    existsSync(installed) &&
    JSON.stringify(readJson(join(folder, 'package.json')).dependencies) === JSON.stringify(dependencies)
  if (!isThere) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    // No package runs code of its own while it is installed.
    await exec('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder, timeout: 300_000 })
  }
  const source = fileURLToPath(new URL(program, import.meta.url))
  const path = join(folder, basename(source))
  copyFileSync(source, path)
  return { program: path, version: `${first} ${readJson(installed).version}` }
}

/** Installs packages of Debian by a script; what it prints is the version. */
export async function installFromDebian(script) {
  const { stdout } = await exec('sh', [fileURLToPath(new URL(script, import.meta.url))], { timeout: 300_000 })
  return { version: stdout.trim() }
}
