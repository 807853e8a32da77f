import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from '../../src/embedded/postgres.js'
import { isRunning, processMark, withLock } from '../../src/embedded/processes.js'

const compiled = new URL('../../dist/src/embedded/postgres.js', import.meta.url).href

// An interrupted run leaves no server behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** A folder that nobody but its owner may pass, which is what holds a master key. */
function privateFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-embedded-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  return folder
}

/** Without `durable: true` it is spared the disk: most of what is tested here is not what outlives a crash. */
function start(t: Test, dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const starting = startEmbeddedPostgres({ dataDir, durable: false, ...options })
  t.teardown(async () => (await starting.catch(() => undefined))?.stop())
  return starting
}

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  pool.on('error', () => {})
  try {
    return await pool.query(text)
  } finally {
    await pool.end()
  }
}

interface Starter {
  readonly child: ChildProcess
  readonly pid: number
  /** The next line that the process prints; undefined when it ended. */
  line(): Promise<string | undefined>
}

/** Another process that starts or joins the folder's server and runs `script` with it as `embedded`. */
function another(t: Test, dataDir: string, script: string): Starter {
  // tap listens in every child process, and as long as anybody listens it is theirs to end the process.
  const source = `
    process.removeAllListeners('SIGTERM')
    import pg from 'pg'
    import { startEmbeddedPostgres } from ${JSON.stringify(compiled)}
    const dataDir = ${JSON.stringify(dataDir)}
    ${script}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    env: { PATH: process.env.PATH },
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const kill = () => child.kill('SIGTERM')
  process.once('exit', kill)
  t.teardown(async () => {
    process.removeListener('exit', kill)
    if (child.exitCode === null && child.signalCode === null) {
      kill()
      await once(child, 'exit')
    }
  })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return { child, pid: child.pid!, line: async () => (await lines.next()).value }
}

const insertForEver = `
  const embedded = await startEmbeddedPostgres({ dataDir, exclusive: true })
  const pool = new pg.Pool({ connectionString: embedded.url, max: 1 })
  pool.on('error', () => {})
  await pool.query('create table if not exists row (n int primary key)')
  for (let n = 1; ; n++) {
    await pool.query('insert into row values ($1)', [n])
    process.stdout.write(n + '\\n')
  }`

/** Kills a process, and tells the last line that it printed whole before. */
async function killAfter(starter: Starter, rows: number, kill: () => void): Promise<number> {
  let last = 0
  for (let line = await starter.line(); line !== undefined; line = await starter.line()) {
    last = Number(line)
    if (last === rows) kill()
  }
  return last
}

const postmasterPid = (dataDir: string) =>
  Number(readFileSync(join(dataDir, 'postgres/data/postmaster.pid'), 'utf8').split('\n')[0])

t.test('what was written is there after a restart', async (t) => {
  const dataDir = privateFolder(t)
  const first = await start(t, dataDir, { durable: true })
  t.equal(first.owned, true)
  await query(first.url, 'create table kept as select 42 as n')
  await first.stop()

  const second = await start(t, dataDir, { durable: true })
  t.same((await query(second.url, 'select n from kept')).rows, [{ n: 42 }])
})

t.test('it listens on the loopback address alone, asks for its password and syncs to disk', async (t) => {
  const { url } = await start(t, privateFolder(t), { durable: true })
  const { rows } = await query(
    url,
    `select current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
            current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit`
  )
  t.same(rows, [{ addresses: '127.0.0.1', sockets: '', fsync: 'on', commit: 'on' }])
  const stranger = new URL(url)
  stranger.password = 'guess'
  await t.rejects(query(stranger.href, 'select 1'), { code: '28P01' })
})

t.test('the data folder stays closed to everybody but its owner', { skip: process.platform === 'win32' }, async (t) => {
  const dataDir = join(privateFolder(t), 'data')
  await start(t, dataDir)
  t.equal(statSync(dataDir).mode & 0o777, 0o700)
  t.equal(statSync(dataDir).uid, process.getuid!())
  t.equal(statSync(join(dataDir, 'postgres/password')).mode & 0o777, 0o600)
  t.equal(statSync(join(dataDir, 'postgres/password')).uid, process.getuid!())
})

t.test('root runs the server as another user', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const dataDir = privateFolder(t)
  await start(t, dataDir)
  t.not(statSync(`/proc/${postmasterPid(dataDir)}`).uid, 0)
})

t.test('no acknowledged row is lost when the owning process is killed', async (t) => {
  const dataDir = privateFolder(t)
  const owner = another(t, dataDir, insertForEver)
  const acknowledged = await killAfter(owner, 200, () => owner.child.kill('SIGKILL'))
  const orphan = processMark(postmasterPid(dataDir))
  t.ok(orphan, 'its server lives on')

  const { url, owned } = await start(t, dataDir, { exclusive: true, durable: true })
  t.equal(owned, true)
  t.notOk(isRunning(orphan!), 'the orphan is gone')
  const { rows } = await query(url, `select count(*)::int as n from row where n <= ${acknowledged}`)
  t.same(rows, [{ n: acknowledged }])
})

t.test('no acknowledged row is lost when the server is killed too', async (t) => {
  const dataDir = privateFolder(t)
  const owner = another(t, dataDir, insertForEver)
  const acknowledged = await killAfter(owner, 200, () => {
    process.kill(postmasterPid(dataDir), 'SIGKILL')
    owner.child.kill('SIGKILL')
  })
  const { url } = await start(t, dataDir, { exclusive: true, durable: true })
  const { rows } = await query(url, `select count(*)::int as n from row where n <= ${acknowledged}`)
  t.same(rows, [{ n: acknowledged }])
})

t.test('a process that ends by a signal takes its server with it', async (t) => {
  const dataDir = privateFolder(t)
  const script = `await startEmbeddedPostgres({ dataDir, durable: false }); console.log('ready')`
  const owner = another(t, dataDir, script)
  t.equal(await owner.line(), 'ready')
  const server = postmasterPid(dataDir)
  owner.child.kill('SIGTERM')
  const [, signal] = await once(owner.child, 'exit')
  t.equal(signal, 'SIGTERM')
  const next = await start(t, dataDir, { exclusive: true })
  t.equal(next.owned, true)
  t.notOk(processMark(server), 'the server is gone')
})

t.test('an interrupted first start leaves nothing that the next one stumbles over', async (t) => {
  const dataDir = privateFolder(t)
  for (const reached of ['start.lock', 'data.new-']) {
    const half = another(
      t,
      dataDir,
      `import { mkdirSync, watch } from 'node:fs'
       mkdirSync(dataDir + '/postgres', { recursive: true })
       watch(dataDir + '/postgres', (event, name) => {
         if (name?.startsWith('${reached}')) process.kill(process.pid, 'SIGKILL')
       })
       await startEmbeddedPostgres({ dataDir, durable: false })`
    )
    await once(half.child, 'exit')
    t.equal(half.child.signalCode, 'SIGKILL', `killed when ${reached} was there`)
  }
  const { url } = await start(t, dataDir, { exclusive: true })
  t.same((await query(url, 'select 1 as n')).rows, [{ n: 1 }])
  const left = readdirSync(join(dataDir, 'postgres')).sort()
  t.same(left, ['data', 'owner.json', 'password'])
})

t.test('a second exclusive start is refused with the number of the first', async (t) => {
  const dataDir = privateFolder(t)
  const script = `await startEmbeddedPostgres({ dataDir, durable: false, exclusive: true }); console.log('ready')`
  const owner = another(t, dataDir, script)
  t.equal(await owner.line(), 'ready')
  await t.rejects(start(t, dataDir, { exclusive: true }), {
    message: `${dataDir} is in use by process ${owner.pid}: stop it, or set AUTH_DATA_DIR or DATABASE_URL to another place.`
  })
})

t.test('a start that is not exclusive joins, and leaves the server running', async (t) => {
  const dataDir = privateFolder(t)
  const owner = await start(t, dataDir, { exclusive: true })
  const guest = another(
    t,
    dataDir,
    `const { url, owned, stop } = await startEmbeddedPostgres({ dataDir, durable: false }); await stop(); console.log(JSON.stringify({ url, owned }))`
  )
  t.same(JSON.parse((await guest.line())!), { url: owner.url, owned: false })
  t.same((await query(owner.url, 'select 1 as n')).rows, [{ n: 1 }])
})

t.test('of processes that start at once one runs the server and the others join it', async (t) => {
  const dataDir = privateFolder(t)
  const script = `
    const { url, owned } = await startEmbeddedPostgres({ dataDir, durable: false })
    console.log(JSON.stringify({ url, owned }))
    setInterval(() => {}, 1000)`
  const starters = Array.from({ length: 5 }, () => another(t, dataDir, script))
  const answers = await Promise.all(starters.map(async (one) => JSON.parse((await one.line())!)))
  t.equal(answers.filter(({ owned }) => owned).length, 1)
  t.equal(new Set(answers.map(({ url }) => url)).size, 1)
})

t.test('a folder of another major version is refused and not touched', async (t) => {
  const dataDir = privateFolder(t)
  const first = await start(t, dataDir)
  await first.stop()
  const file = join(dataDir, 'postgres/data/PG_VERSION')
  writeFileSync(file, '17\n')
  await t.rejects(start(t, dataDir), {
    message: /is a database of Postgres 17, and this is Postgres 18\. Nothing was changed\. .*AUTH_DATA_DIR/
  })
  t.equal(readFileSync(file, 'utf8'), '17\n')
})

t.test('a stranger that has the number of a server that died is left alone', async (t) => {
  const dataDir = privateFolder(t)
  const first = await start(t, dataDir)
  const pidFile = join(dataDir, 'postgres/data/postmaster.pid')
  const lines = readFileSync(pidFile, 'utf8').split('\n')
  await first.stop()
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  t.teardown(() => stranger.kill('SIGKILL'))
  writeFileSync(pidFile, [stranger.pid, ...lines.slice(1)].join('\n'))

  const second = await start(t, dataDir, { exclusive: true })
  t.equal(second.owned, true)
  t.ok(processMark(stranger.pid!), 'it still runs')
})

t.test('the owner is told when its server ends and it did not stop it', async (t) => {
  const dataDir = privateFolder(t)
  const told = new Promise<string>((resolve, reject) => {
    const kill = () => process.kill(postmasterPid(dataDir), 'SIGKILL')
    start(t, dataDir, { onExit: resolve }).then(kill, reject)
  })
  t.match(await told, /^SIGKILL; /)
})

t.test('a lock whose holder died is taken over by one process at a time', async (t) => {
  const folder = privateFolder(t)
  const file = join(folder, 'lock')
  const dead = spawn(process.execPath, ['-e', ''])
  await once(dead, 'exit')
  writeFileSync(file, JSON.stringify({ pid: dead.pid, started: '1' }))
  let inside = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++inside)
    await new Promise(setImmediate)
    inside--
  }
  await Promise.all(Array.from({ length: 10 }, () => withLock(file, work)))
  t.equal(most, 1)
})
