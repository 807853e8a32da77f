import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { migrationNames } from '../../db/migrate.js'
import { unprivilegedUser } from '../../src/embedded/binaries.js'
import { emptyDatabase } from '../support/postgres.js'
import { freePort, keyturn, scratchFolder } from '../support/service.js'

/** PgBouncer in transaction mode with few connections to the server; the database's address through it. */
async function pgbouncer(t: Test, databaseUrl: string): Promise<string> {
  const target = new URL(databaseUrl)
  const name = target.pathname.slice(1)
  const port = await freePort()
  const folder = scratchFolder(t)
  chmodSync(folder, 0o755)
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
${name} = host=${target.hostname} port=${target.port} dbname=${name} user=${target.username} password=${target.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
`
  )
  const child = spawn('pgbouncer', [join(folder, 'pgbouncer.ini')], {
    ...unprivilegedUser(),
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await closed
  })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text
      if (log.includes('process up')) resolve()
    })
    child.once('exit', () => reject(new Error(`pgbouncer ended:\n${log}`)))
  })
  target.hostname = '127.0.0.1'
  target.port = String(port)
  return target.href
}

t.test('ten processes that migrate through a pooler in transaction mode do it once, and leave no lock', async (t) => {
  if (spawnSync('pgbouncer', ['--version']).status !== 0) {
    t.comment('pgbouncer is not installed: run scripts/test-deps.sh')
    return
  }
  const { url } = await emptyDatabase(t)
  const environment = { DATABASE_URL: await pgbouncer(t, url), AUTH_DATA_DIR: join(scratchFolder(t), 'data') }
  for (const expected of [[await migrationNames()], []]) {
    const runs = await Promise.all(Array.from({ length: 10 }, () => keyturn(['migrate', 'up', '--json'], environment)))
    t.same([...new Set(runs.map(({ code }) => code))], [0], runs.map(({ stderr }) => stderr).join(''))
    const applied = runs.map(({ stdout }) => JSON.parse(stdout).applied).filter((names) => names.length > 0)
    t.same(applied, expected)
  }
})
