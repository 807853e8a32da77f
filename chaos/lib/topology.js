// One Postgres that can die, and two replicas of the built service, each with a link to it that can break.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freePort } from '../../bench/lib/processes.js'
import { migrateUp } from '../../dist/db/migrate.js'
import { embeddedBinaries, unprivilegedUser } from '../../dist/src/embedded/binaries.js'
import { startCluster } from '../../dist/src/embedded/cluster.js'
import { openLink } from './link.js'

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const shiftClock = new URL('./shift-clock.js', import.meta.url).href

/** This process's environment without what would configure the service. */
const cleanEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(AUTH_|DATABASE_URL|PORT$|HOST$|LOG_LEVEL$|NODE_)/.test(name))
  )

export async function startTopology(folder, settings) {
  const bin = await embeddedBinaries(folder, unprivilegedUser())
  const startServer = () => startCluster({ bin, folder: join(folder, 'cluster'), durable: true })
  let server = await startServer()
  const undo = []
  const close = async () => {
    for (const step of undo.reverse()) await step().catch((error) => console.error(error.message))
    await server.stop()
  }

  /** Connects as the superuser, past every link. */
  async function connect(database = 'keyturn') {
    const client = new pg.Client({
      connectionString: server.url(database),
      application_name: 'chaos',
      connectionTimeoutMillis: 5_000
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  async function query(text, values, database) {
    const client = await connect(database)
    try {
      return (await client.query(text, values)).rows
    } finally {
      await client.end()
    }
  }

  try {
    // No superuser: the connections that Postgres keeps for those are not for the service.
    const password = randomBytes(18).toString('base64url')
    await query(`create role app login password '${password}'`, [], 'postgres')
    await query('create database keyturn owner app', [], 'postgres')
    const urlAt = (port) => `postgres://app:${password}@127.0.0.1:${port}/keyturn`
    await migrateUp(urlAt(server.port))

    const environment = {
      ...cleanEnvironment(),
      AUTH_DATA_DIR: join(folder, 'data'),
      AUTH_ISSUER: 'http://auth.chaos',
      AUTH_HASH_MEMORY: '8',
      AUTH_HASH_ITERATIONS: '1',
      AUTH_PASSWORD_MIN_LENGTH: '8',
      // All clients are one address here.
      AUTH_RATE_LIMIT: 'off',
      AUTH_PRINT_SETUP_LINK: 'false',
      LOG_LEVEL: 'warn',
      ...settings
    }

    async function openReplica(name) {
      const link = await openLink(() => server.port)
      undo.push(async () => link.close())
      const port = await freePort()
      let child
      let closed
      const replica = {
        name,
        link,
        port,
        /** Starts it, its clock off by so many milliseconds. */
        async start(shift = 0) {
          const shifted = shift === 0 ? {} : { NODE_OPTIONS: `--import=${shiftClock}`, SHIFT_CLOCK: String(shift) }
          child = spawn(process.execPath, [main, 'serve'], {
            env: { ...environment, ...shifted, PORT: String(port), DATABASE_URL: urlAt(link.port) },
            stdio: ['ignore', 'pipe', 'pipe']
          })
          const started = child
          closed = once(child, 'close')
          let output = ''
          await new Promise((resolve, reject) => {
            for (const stream of [started.stdout, started.stderr]) {
              stream.setEncoding('utf8').on('data', (text) => {
                output = (output + text).slice(-20_000)
                for (const line of text.split('\n')) if (line.includes('unexpected error')) replica.errors.push(line)
                if (output.includes('ready in')) resolve()
              })
            }
            started.once('exit', (code) => reject(new Error(`replica ${name} ended with ${code}:\n${output}`)))
          })
        },
        async kill(signal) {
          child.kill(signal)
          await closed
        },
        /** What it logged as unexpected. */
        errors: []
      }
      undo.push(() => replica.kill('SIGKILL'))
      return replica
    }
    const replicas = [await openReplica('one'), await openReplica('two')]
    for (const replica of replicas) await replica.start()

    return {
      replicas,
      connect,
      query,
      version: server.version,
      /** Ends Postgres: `SIGINT` in order, `SIGQUIT` at once, as a crash. */
      async killServer(signal) {
        process.kill(server.pid, signal)
        // Waits for its end; the order to stop comes too late to change anything.
        await server.stop()
      },
      async restartServer() {
        server = await startServer()
      },
      /** Runs a command of the service beside it. */
      async command(...words) {
        const child = spawn(process.execPath, [main, ...words], {
          env: { ...environment, DATABASE_URL: urlAt(server.port) },
          stdio: ['ignore', 'ignore', 'pipe']
        })
        let stderr = ''
        child.stderr.setEncoding('utf8').on('data', (text) => {
          stderr += text
        })
        const [code] = await once(child, 'close')
        if (code !== 0) throw new Error(`keyturn ${words.join(' ')}: ${stderr}`)
      },
      close
    }
  } catch (error) {
    await close()
    throw error
  }
}
