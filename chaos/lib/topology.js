// What faults are done to: Postgres with a hot standby, two replicas of the built service, and a proxy in front of them.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { migrateUp } from '../../dist/db/migrate.js'
import { whyNoNamespaces } from './network.js'
import { startPostgres } from './postgres.js'
import { startProxy } from './proxy.js'
import { main, openReplica } from './replica.js'

/** This process's environment without what would configure the service. */
const cleanEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(AUTH_|DATABASE_URL|PORT$|HOST$|LOG_LEVEL$|NODE_)/.test(name))
  )

/** `replication` is that of the standby: `sync`, `async`, or `off` for none. */
export async function startTopology(folder, { replication, settings }) {
  const undo = []
  let closing
  const close = () => {
    closing ??= (async () => {
      for (const step of undo.reverse()) await step().catch((error) => console.error(error.message))
    })()
    return closing
  }

  try {
    const postgres = await startPostgres(folder, replication)
    undo.push(() => postgres.close())
    // No superuser: the connections that Postgres keeps for those are not for the service.
    const password = randomBytes(18).toString('base64url')
    await postgres.query(`create role app login password '${password}'`, [], 'postgres')
    await postgres.query('create database keyturn owner app', [], 'postgres')
    const urlAt = ({ host, port }) => `postgres://app:${password}@${host}:${port}/keyturn`
    await migrateUp(urlAt(postgres.address))
    // A standby that lost the primary looks for it again after this, instead of after 5 s.
    await postgres.configure({ wal_retrieve_retry_interval: '200ms', wal_keep_size: '256MB' })
    await postgres.addStandby()

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
    const noNamespaces = whyNoNamespaces()
    if (noNamespaces !== undefined)
      console.log(`no network of its own for a replica, links stand for it: ${noNamespaces}`)
    const replicas = []
    for (const [at, name] of ['one', 'two'].entries()) {
      const replica = await openReplica({
        name,
        number: at,
        hasNamespaces: noNamespaces === undefined,
        environment,
        database: () => postgres.address,
        urlAt
      })
      undo.push(() => replica.close())
      await replica.start()
      replicas.push(replica)
    }
    const proxy = await startProxy(join(folder, 'nginx'), replicas)
    if (proxy === undefined) console.log('nginx is not installed: clients ask the replicas themselves')
    else undo.push(() => proxy.kill('SIGKILL'))

    return {
      postgres,
      replicas,
      proxy,
      hasNamespaces: noNamespaces === undefined,
      hasStandby: replication !== 'off',
      query: postgres.query,
      /** Steps that must be taken back however the run ends. */
      undo,
      /** Runs a command of the service beside it. */
      async command(...words) {
        const child = spawn(process.execPath, [main, ...words], {
          env: { ...environment, DATABASE_URL: urlAt(postgres.address) },
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
