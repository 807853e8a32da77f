import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { embeddedBinaries, unprivilegedUser } from './binaries.js'
import {
  clusterUrl,
  forgetPostmaster,
  isServerOf,
  readPostmaster,
  shutdownPatience,
  signalServer,
  startCluster
} from './cluster.js'
import { goneWithin, isRunning, processMark, readMark, withLock, writeMark } from './processes.js'

const database = 'keyturn'

export interface EmbeddedPostgres {
  readonly url: string
  /** True when this process started the server and will stop it. */
  readonly owned: boolean
  readonly port: number
  /** Resolves once the server is gone; at once where another process runs it. */
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** Holds the cluster in its folder `postgres`. */
  readonly dataDir: string
  /** Told each line that the server has to say to its operator. */
  readonly log?: (line: string) => void
  /** Refuses a folder that another process serves, instead of joining it. */
  readonly exclusive?: boolean
  /** False for tests only: a crash may then cost data. */
  readonly durable?: boolean
  /** Called when the server that this process started ends and nobody stopped it. */
  readonly onExit?: (reason: string) => void
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Makes the database where an earlier start did not come so far. */
async function ensureDatabase(url: (name: string) => string): Promise<void> {
  await withClient(url('postgres'), async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database])
    if (rowCount === 0) await client.query(`create database ${database}`)
  })
}

/** Another process's server, once it takes connections with our password; undefined when it ends instead. */
async function joinServer(folder: string, pid: number): Promise<EmbeddedPostgres | undefined> {
  const deadline = Date.now() + 30_000
  for (;;) {
    const port = readPostmaster(folder)?.port
    try {
      if (!port) throw new Error(`The embedded Postgres of ${folder} has no port yet.`)
      await ensureDatabase((name) => clusterUrl(folder, port, name))
      return { url: clusterUrl(folder, port, database), owned: false, port, stop: async () => {} }
    } catch (error) {
      if (processMark(pid) === undefined) return undefined
      if ((error as { code?: string }).code === '28P01' || Date.now() > deadline) throw error
    }
    await delay(20)
  }
}

/** Ends a server whose owner died without stopping it. */
async function stopOrphan(bin: string, pid: number): Promise<void> {
  signalServer(bin, pid, 'INT')
  if (await goneWithin(pid, shutdownPatience)) return
  signalServer(bin, pid, 'QUIT')
  if (await goneWithin(pid, shutdownPatience)) return
  throw new Error(`The embedded Postgres that an earlier process left behind, process ${pid}, does not stop. Stop it.`)
}

/**
 * The database of a folder: starts its server, or joins the one that another process runs there.
 *
 * Every commit that it acknowledged outlives a crash of this process, of the server and of the machine. A server that
 * a killed process left running is stopped and started anew. Throws a sentence that says what to do when the folder
 * is in use and `exclusive` was asked for, is of another major version, or the platform has no binaries.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, exclusive = false, durable = true, log, onExit } = options
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const folder = join(dataDir, 'postgres')
  mkdirSync(folder, { recursive: true })
  const ownerFile = join(folder, 'owner.json')

  return await withLock(join(folder, 'start.lock'), async () => {
    const bin = await embeddedBinaries(dataDir, unprivilegedUser())
    const running = readPostmaster(folder)
    if (running !== undefined && processMark(running.pid) !== undefined && (await isServerOf(folder, running.pid))) {
      const owner = readMark(ownerFile)
      if (owner === undefined || !isRunning(owner)) await stopOrphan(bin, running.pid)
      else if (exclusive) {
        throw new Error(
          `${dataDir} is in use by process ${owner.pid}: stop it, or set AUTH_DATA_DIR or DATABASE_URL to another place.`
        )
      } else {
        const joined = await joinServer(folder, running.pid)
        if (joined !== undefined) return joined
      }
    }
    forgetPostmaster(folder)

    // Before the server starts: should we be killed in between, the next start must not take another for its owner.
    writeMark(ownerFile)
    const cluster = await startCluster({
      bin,
      folder,
      durable,
      ...(log === undefined ? {} : { log }),
      ...(onExit === undefined ? {} : { onExit })
    })
    try {
      await ensureDatabase(cluster.url)
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return { url: cluster.url(database), owned: true, port: cluster.port, stop: () => cluster.stop() }
  })
}
