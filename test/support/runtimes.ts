import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Test } from 'tap'
import { freePort, scratchFolder } from './service.js'
import { until } from './until.js'

/** Platforms that are not Node: the program of a service that is the same for all of them runs on each. */

const root = fileURLToPath(new URL('../../', import.meta.url))
const programs = fileURLToPath(new URL('../verifier/runtimes/', import.meta.url))
/** Where scripts/test-deps.sh installs them, unless they are in PATH. */
const installed = join(process.env.KEYTURN_RUNTIMES ?? join(homedir(), '.cache/keyturn-runtimes'), 'node_modules')

const system = { linux: 'linux', darwin: 'darwin' }[process.platform as string] ?? 'none'
const isArm = process.arch === 'arm64'

/** Where a platform's program may be, the first that is there. */
const places = {
  bun: ['bun', join(installed, `@oven/bun-${system}-${isArm ? 'aarch64' : 'x64'}/bin/bun`)],
  deno: [
    'deno',
    join(installed, `@deno/${system}-${isArm ? 'arm64' : 'x64'}${system === 'linux' ? '-glibc' : ''}/deno`)
  ],
  workerd: ['workerd', join(installed, `@cloudflare/workerd-${system}-${isArm ? 'arm64' : '64'}/bin/workerd`)]
} as const

export type Runtime = keyof typeof places
export const runtimes = Object.keys(places) as Runtime[]

const runs = (command: string) => spawnSync(command, ['--version']).status === 0
const programOf = (runtime: Runtime) =>
  places[runtime].find((place) => (place.includes('/') ? existsSync(place) : true) && runs(place))

/** Why a platform cannot be run here, or false. */
export const missingRuntime = (runtime: Runtime): string | false =>
  programOf(runtime) === undefined && `there is no ${runtime} here: sh scripts/test-deps.sh installs it`

/** What the service of `service.js` is told. */
export interface RuntimeSettings {
  readonly origin: string
  /** Options of a verifier by the first part of the path that it guards. */
  readonly verifiers: Readonly<Record<string, object>>
}

/** The folder of a service that has installed the verifier. */
function install(t: Test, settings: RuntimeSettings): string {
  const folder = scratchFolder(t)
  const verifier = join(folder, 'node_modules/@keyturn/verifier')
  mkdirSync(verifier, { recursive: true })
  for (const part of ['dist', 'package.json']) {
    cpSync(join(root, 'packages/verifier', part), join(verifier, part), { recursive: true })
  }
  cpSync(join(root, 'node_modules/jose'), join(folder, 'node_modules/jose'), { recursive: true })
  cpSync(join(programs, 'service.js'), join(folder, 'service.js'))
  writeFileSync(join(folder, 'package.json'), '{"type":"module","private":true}')
  writeFileSync(join(folder, 'settings.js'), `export default ${JSON.stringify(settings)}`)
  return folder
}

/** A worker of workerd, as workers are deployed: one bundle, without anything of Node's. */
async function writeWorker(folder: string, port: number): Promise<void> {
  await build({
    entryPoints: [join(folder, 'service.js')],
    outfile: join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    target: 'es2023',
    conditions: ['workerd', 'worker', 'browser'],
    logLevel: 'silent'
  })
  writeFileSync(
    join(folder, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2025-09-01",
      globalOutbound = "issuer"
    )),
    (name = "issuer", network = (allow = ["private"]))
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
`
  )
}

/** How each serves what a module exports, with no more rights than it needs. */
const commands: Record<Runtime, (port: number) => readonly string[]> = {
  bun: () => ['service.js'],
  deno: (port) => [
    'serve',
    '--no-remote',
    '--no-prompt',
    '--allow-net=127.0.0.1',
    '--host=127.0.0.1',
    `--port=${port}`,
    'service.js'
  ],
  workerd: () => ['serve', 'config.capnp']
}

/** Starts the service of `service.js` on a platform, and tells where it is; it ends with the test. */
export async function serveOn(t: Test, runtime: Runtime, settings: RuntimeSettings): Promise<string> {
  const folder = install(t, settings)
  const port = await freePort()
  if (runtime === 'workerd') await writeWorker(folder, port)
  const child: ChildProcess = spawn(programOf(runtime)!, commands[runtime](port), {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, PORT: String(port), BUN_PORT: String(port), NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const closed = once(child, 'close')
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
  })
  const url = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(url).then(
      () => true,
      () => false
    )
  const isThere = await until(async () => child.exitCode !== null || (await answers()))
  if (!isThere || child.exitCode !== null) throw new Error(`${runtime} does not serve:\n${output}`)
  return url
}
