// A Postgres that can die, and its hot standby, which can take its place.
import { execFile } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { embeddedBinaries, unprivilegedUser } from '../../dist/src/embedded/binaries.js'
import { startCluster } from '../../dist/src/embedded/cluster.js'
import { openLink } from './link.js'

const exec = promisify(execFile)

/** What a copy of a running cluster must not hold (Postgres, "Making a Base Backup Using the Low Level API"). */
const notCopied = new Set(['pg_wal', 'pg_replslot', 'postmaster.pid', 'postmaster.opts'])

/** `replication` is `sync`: a commit is acknowledged once the standby has it on its disk; or `async`, or `off`. */
export async function startPostgres(folder, replication) {
  const bin = await embeddedBinaries(folder, unprivilegedUser())
  const start = (at) => startCluster({ bin, folder: at, durable: true })
  let clusters = 0
  const nextFolder = () => join(folder, `cluster-${++clusters}`)
  let primary = { at: nextFolder() }
  primary.server = await start(primary.at)
  let standby
  /** Between the primary and the standby. */
  const link = await openLink(() => ({ host: '127.0.0.1', port: primary.server.port }))

  async function connect(database = 'keyturn', { server } = primary) {
    const client = new pg.Client({
      connectionString: server.url(database),
      application_name: 'chaos',
      connectionTimeoutMillis: 5_000
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  async function query(text, values, database, where) {
    const client = await connect(database, where)
    try {
      return (await client.query(text, values)).rows
    } finally {
      await client.end()
    }
  }

  async function configure(settings, where) {
    for (const [name, value] of Object.entries(settings)) {
      await query(`alter system set ${name} = '${value}'`, [], 'postgres', where)
    }
    await query('select pg_reload_conf()', [], 'postgres', where)
  }

  /** Copies the running primary, and returns the folder of what can start as its standby. */
  async function copyPrimary() {
    const at = nextFolder()
    const [from, to] = [join(primary.at, 'data'), join(at, 'data')]
    const { uid, gid } = statSync(from)
    mkdirSync(to, { recursive: true })
    copyFileSync(join(primary.at, 'password'), join(at, 'password'))
    const client = await connect('postgres')
    try {
      await client.query(`select pg_backup_start('standby', true)`)
      const parts = readdirSync(from).filter((name) => !notCopied.has(name))
      // A file that goes while it is copied is one that the log brings or removes again.
      await exec('cp', ['-a', ...parts.map((name) => join(from, name)), to]).catch((error) => {
        if (!/No such file/.test(error.stderr)) throw error
      })
      const { rows } = await client.query('select labelfile from pg_backup_stop(false)')
      writeFileSync(join(to, 'backup_label'), rows[0].labelfile)
    } finally {
      await client.end()
    }
    const { username, password } = new URL(primary.server.url('postgres'))
    const conninfo = `host=127.0.0.1 port=${link.port} user=${username} password=${password} application_name=standby`
    writeFileSync(join(to, 'standby.signal'), '')
    appendFileSync(
      join(to, 'postgresql.auto.conf'),
      `primary_conninfo = '${conninfo}'\nsynchronous_standby_names = ''\n`
    )
    for (const name of ['pg_wal', 'pg_replslot']) mkdirSync(join(to, name))
    for (const name of ['', 'backup_label', 'standby.signal', 'pg_wal', 'pg_replslot'])
      chownSync(join(to, name), uid, gid)
    for (const name of ['', 'pg_wal', 'pg_replslot']) chmodSync(join(to, name), 0o700)
    return at
  }

  /** Waits until the standby has all that was committed, and from then on, with `sync`, gets all before it counts. */
  async function attach() {
    for (const deadline = performance.now() + 30_000; ; ) {
      const rows = await query(`select from pg_stat_replication where state = 'streaming'`, [], 'postgres')
      if (rows.length > 0) break
      if (performance.now() > deadline) throw new Error('the standby does not follow')
      await delay(20)
    }
    if (replication === 'sync') await configure({ synchronous_standby_names: '*' })
  }

  /** A new standby of the primary. */
  async function addStandby() {
    if (replication === 'off') return
    const at = await copyPrimary()
    standby = { at, server: await start(at) }
    await attach()
  }

  async function end(one, signal) {
    try {
      process.kill(one.server.pid, signal)
    } catch (error) {
      if (error.code !== 'ESRCH') throw error
    }
    // Waits for its end; the order to stop comes too late to change anything.
    await one.server.stop()
  }

  return {
    connect,
    query,
    configure,
    link,
    addStandby,
    get address() {
      return { host: '127.0.0.1', port: primary.server.port }
    },
    get version() {
      return primary.server.version
    },
    get dataFolder() {
      return join(primary.at, 'data')
    },
    /** Ends the primary: `SIGINT` in order, `SIGQUIT` at once, as a crash, `SIGKILL` without a word. */
    kill: (signal) => end(primary, signal),
    async restart() {
      primary.server = await start(primary.at)
    },
    killStandby: (signal) => end(standby, signal),
    async restartStandby() {
      standby.server = await start(standby.at)
    },
    /** The standby takes the place of the primary, which is dead and stays so. */
    async promote() {
      // What was on its way to the standby is lost with the primary's host.
      await link.cut()
      await query('select pg_promote()', [], 'postgres', standby)
      primary = standby
      standby = undefined
      await link.mend()
    },
    async close() {
      await primary.server.stop()
      await standby?.server.stop()
      link.close()
    }
  }
}
