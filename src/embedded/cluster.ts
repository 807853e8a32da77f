import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { exec, type Identity, serverEnvironment, serverVersion, unprivilegedUser } from './binaries.js'

const superuser = 'keyturn'

/** Milliseconds that a server has to end its work before it is told to drop it, which costs a recovery and no data. */
export const shutdownPatience = 10_000

export interface ClusterOptions {
  /** Folder of `initdb` and `postgres`, 13 or newer. */
  readonly bin: string
  /** Folder that holds the cluster and its password; made where it is missing. */
  readonly folder: string
  /** False for tests only: a crash may then cost data. */
  readonly durable: boolean
  readonly connections?: number
  /** Memory for pages, as Postgres writes it; 64MB where it is left out. */
  readonly sharedBuffers?: string
  /** Told each line that the server has to say to its operator. */
  readonly log?: (line: string) => void
  /** Called when the server ends and nobody stopped it. */
  readonly onExit?: (reason: string) => void
}

export interface Cluster {
  readonly port: number
  readonly pid: number
  /** The server's version, such as `18.4`. */
  readonly version: string
  /** A database's URL, with the superuser's password. */
  url(database: string): string
  stop(): Promise<void>
}

const deadlySignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

type Server = ChildProcessByStdio<null, null, Readable>

const dataFolder = (folder: string) => join(folder, 'data')

export function clusterUrl(folder: string, port: number, database: string): string {
  const password = readFileSync(join(folder, 'password'), 'utf8').trim()
  return `postgres://${superuser}:${password}@127.0.0.1:${port}/${database}`
}

/** The first lines of a cluster's postmaster.pid; undefined when no server says that it runs. */
export function readPostmaster(folder: string): { pid: number; port: number } | undefined {
  try {
    const lines = readFileSync(join(dataFolder(folder), 'postmaster.pid'), 'utf8').split('\n')
    return { pid: Number(lines[0]), port: Number(lines[3]) }
  } catch {
    return undefined
  }
}

/**
 * Forgets a server that no longer runs. Postgres itself would refuse to start while its number is that of a zombie or
 * of a stranger. What the server's children may still hold it knows by their shared memory, not by this file.
 */
export function forgetPostmaster(folder: string): void {
  rmSync(join(dataFolder(folder), 'postmaster.pid'), { force: true })
}

/** Whether a running process is the server of this very cluster. */
export async function isServerOf(folder: string, pid: number): Promise<boolean> {
  try {
    if (process.platform === 'linux') {
      const there = statSync(`/proc/${pid}/cwd`)
      const here = statSync(dataFolder(folder))
      return there.dev === here.dev && there.ino === here.ino
    }
    if (process.platform === 'win32') {
      return (await exec('tasklist', ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH'])).stdout.includes('postgres.exe')
    }
    return (await exec('ps', ['-p', String(pid), '-o', 'command='])).stdout.includes(dataFolder(folder))
  } catch {
    return false
  }
}

/** INT ends the server in order, QUIT at once. Does nothing to one that is gone. */
export function signalServer(bin: string, pid: number, signal: 'INT' | 'QUIT'): void {
  if (process.platform === 'win32') {
    spawnSync(join(bin, 'pg_ctl'), ['kill', signal, String(pid)])
    return
  }
  try {
    process.kill(pid, `SIG${signal}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/**
 * How the programs are run and how they name the cluster's folder.
 *
 * As root the folder may lie below one that the unprivileged user may not pass, and must: the master key lies there.
 * So the child is put into the folder before it gives up its rights, and reaches it by a link that passes no parents.
 */
function place(data: string, runAs: Identity | undefined) {
  return {
    name: runAs === undefined ? data : '/proc/self/cwd',
    options: { ...runAs, cwd: data, env: serverEnvironment() }
  }
}

function syncFolder(folder: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(folder, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

/** Replaces a file in one step that outlives a power cut. */
function writeDurably(folder: string, name: string, text: string): void {
  const draft = join(folder, `${name}.new`)
  writeFileSync(draft, text, { mode: 0o600, flush: true })
  renameSync(draft, join(folder, name))
  syncFolder(folder)
}

async function createCluster({ bin, folder, durable }: ClusterOptions, major: number, runAs: Identity | undefined) {
  const passwordFile = join(folder, 'password')
  if (!existsSync(passwordFile)) writeDurably(folder, 'password', `${randomBytes(32).toString('base64url')}\n`)
  // What an interrupted start left behind. Never the same name twice: its initdb may still be at it.
  for (const name of readdirSync(folder)) {
    if (/^(data|password)\.new-/.test(name)) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
  }
  const suffix = randomBytes(6).toString('hex')
  const draft = join(folder, `data.new-${suffix}`)
  const handedPassword = join(folder, `password.new-${suffix}`)
  mkdirSync(draft, { mode: 0o700 })
  writeFileSync(handedPassword, readFileSync(passwordFile), { mode: 0o400 })
  if (runAs !== undefined) {
    for (const path of [draft, handedPassword]) chownSync(path, runAs.uid, runAs.gid)
  }
  const { name, options } = place(draft, runAs)
  const locale = major >= 17 ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : ['--locale=C']
  const password = `--pwfile=../password.new-${suffix}`
  const sync = durable ? [] : ['--no-sync']
  try {
    const args = ['-D', name, '-U', superuser, '-A', 'scram-sha-256', password, '-E', 'UTF8', ...locale, ...sync]
    await exec(join(bin, 'initdb'), args, options)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    const { stderr, message } = error as Error & { stderr?: string }
    throw new Error(`initdb could not make the cluster in ${folder}: ${stderr?.trim() || message}`)
  } finally {
    rmSync(handedPassword, { force: true })
  }
  renameSync(draft, dataFolder(folder))
  syncFolder(folder)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function serverSettings(options: ClusterOptions, port: number): string[] {
  const settings: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    cluster_name: 'keyturn',
    max_connections: options.connections ?? 60,
    shared_buffers: options.sharedBuffers ?? '64MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Readiness and a clash of ports are known by their words.
    lc_messages: 'C',
    log_line_prefix: '',
    log_min_messages: 'warning',
    log_checkpoints: 'off',
    // A refused insert names the key that it refused, and a statement may carry a value: neither is for a log.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
    ...(options.durable
      ? { fsync: 'on', synchronous_commit: 'on' }
      : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' })
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Ends a server when this process ends, in any way that lets it say a last word. */
function endWithUs(bin: string, server: Server): void {
  const { pid } = server
  if (pid === undefined) return
  const stop = () => signalServer(bin, pid, 'INT')
  const dieInOrder = (signal: NodeJS.Signals) => {
    // Whoever else listens decides when to stop. With nobody else a signal is the end, and no 'exit' would tell us.
    if (process.listenerCount(signal) > 1) return
    stop()
    process.removeListener(signal, dieInOrder)
    process.kill(process.pid, signal)
  }
  process.once('exit', stop)
  // Before all others: one that listens once would be gone from the count by then.
  for (const signal of deadlySignals) process.prependListener(signal, dieInOrder)
  server.once('exit', () => {
    process.removeListener('exit', stop)
    for (const signal of deadlySignals) process.removeListener(signal, dieInOrder)
  })
}

interface Launch {
  readonly server: Server
  readonly isReady: boolean
  readonly lastWords: readonly string[]
}

/** What a server says once it takes connections; a hot standby takes those that only read. */
const ready = /ready to accept (read.only )?connections/

/** Starts the server once and waits for its word that it is ready, or for its end. */
async function launch(options: ClusterOptions, port: number, runAs: Identity | undefined, state: { serving: boolean }) {
  const { name, options: spawnOptions } = place(dataFolder(options.folder), runAs)
  const server = spawn(join(options.bin, 'postgres'), ['-D', name, ...serverSettings(options, port)], {
    ...spawnOptions,
    stdio: ['ignore', 'ignore', 'pipe'],
    // In a group of its own: Ctrl-C in a terminal must reach us first, so that running work can end.
    detached: process.platform !== 'win32'
  })
  endWithUs(options.bin, server)
  const lastWords: string[] = []
  const lines = createInterface({ input: server.stderr })
  return await new Promise<Launch>((resolve, reject) => {
    server.once('error', reject)
    server.once('close', () => resolve({ server, isReady: false, lastWords }))
    lines.on('line', (line) => {
      lastWords.push(line)
      if (lastWords.length > 20) lastWords.shift()
      // LOG tells of an ordinary start and stop; between them it tells of crashes.
      if (state.serving || !line.startsWith('LOG:')) options.log?.(line)
      if (ready.test(line)) resolve({ server, isReady: true, lastWords })
    })
  })
}

/** Starts the server, on another port where one was taken, and again while a killed predecessor's children end. */
async function launchUntilReady(options: ClusterOptions, runAs: Identity | undefined, state: { serving: boolean }) {
  const deadline = Date.now() + shutdownPatience
  for (let clashes = 0; ; ) {
    const port = await freePort()
    const { server, isReady, lastWords } = await launch(options, port, runAs, state)
    if (isReady) return { server, port, lastWords }
    const words = lastWords.join('\n')
    if (words.includes('Address already in use') && clashes++ < 10) continue
    if (words.includes('pre-existing shared memory block') && Date.now() < deadline) {
      await delay(50)
      continue
    }
    throw new Error(`Postgres did not start in ${options.folder}:\n${words}`)
  }
}

/**
 * Starts the cluster of a folder, which it makes where there is none. Every acknowledged commit outlives a crash.
 *
 * Throws a sentence when the folder is of another major version, and with Postgres's last words when it does not start.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { bin, folder } = options
  const data = dataFolder(folder)
  const user = unprivilegedUser()
  // Searchable for the user that Postgres runs as, who has to find the password file in it, once.
  mkdirSync(folder, { recursive: true })
  chmodSync(folder, user === undefined ? 0o700 : 0o711)

  // A folder that someone else than root made stays theirs when root starts it.
  const owner = user === undefined ? undefined : statSync(data, { throwIfNoEntry: false })
  const runAs = owner !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : user
  const version = await serverVersion(bin, runAs)
  const major = Number.parseInt(version, 10)

  if (owner === undefined && !existsSync(data)) await createCluster(options, major, runAs)
  const found = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (Number(found) !== major) {
    throw new Error(
      `${folder} is a database of Postgres ${found}, and this is Postgres ${major}. Nothing was changed. ` +
        `Dump it with Postgres ${found} and restore it here, or set AUTH_DATA_DIR to another folder.`
    )
  }

  const state = { serving: false }
  const { server, port, lastWords } = await launchUntilReady(options, runAs, state)
  state.serving = true
  const ended = new Promise<void>((resolve) => {
    server.once('exit', (code, signal) => {
      if (state.serving) options.onExit?.(`${signal ?? `exit code ${code}`}; ${lastWords.at(-1) ?? 'it said nothing'}`)
      resolve()
    })
  })
  const pid = server.pid!

  return {
    port,
    pid,
    version,
    url: (database) => clusterUrl(folder, port, database),
    async stop() {
      state.serving = false
      if (server.exitCode !== null || server.signalCode !== null) return
      signalServer(bin, pid, 'INT')
      const timer = setTimeout(() => signalServer(bin, pid, 'QUIT'), shutdownPatience)
      await ended
      clearTimeout(timer)
    }
  }
}
