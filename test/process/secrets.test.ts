import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { request, scratchFolder, startService } from '../support/service.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('a password of the database that is changed with its file is used without a restart', async (t) => {
  const { url, name } = await freshDatabase(t)
  const root = new pg.Client({ connectionString: url })
  await root.connect()
  const role = `role_${randomBytes(6).toString('hex')}`
  await root.query(`create role ${role} superuser login password 'before'`)
  t.teardown(async () => {
    await root.query(`drop role ${role}`)
    await root.end()
  })
  const folder = scratchFolder(t)
  const file = join(folder, 'database-url')
  const write = (password: string) => {
    const address = new URL(url)
    address.username = role
    address.password = password
    writeFileSync(file, `${address}\n`)
  }
  write('before')
  const service = await startService(t, {
    DATABASE_URL_FILE: file,
    AUTH_DATA_DIR: join(folder, 'data'),
    AUTH_RATE_LIMIT: 'off',
    AUTH_HASH_MEMORY: '8',
    AUTH_HASH_ITERATIONS: '1'
  })
  t.equal((await service.post('/v1/register', { username: 'grace', password: goodPassword })).status, 201)

  /** As the server does when it is started anew: every connection of the service's ends. */
  const disconnect = () =>
    root.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = $2', [
      name,
      role
    ])
  const login = async () => (await service.post('/v1/login', { username: 'grace', password: goodPassword })).status
  const isReady = async () => (await request(`${service.url}/readyz`)).status === 200

  await root.query(`alter role ${role} password 'after'`)
  writeFileSync(file, 'half of a')
  await disconnect()
  const refused = new Set<number>()
  t.ok(
    await until(async () => {
      refused.add(await login())
      return service.output().includes('password authentication failed')
    }),
    'the old password is refused, and the file is being written'
  )
  write('after')
  t.ok(
    await until(async () => {
      const status = await login()
      if (status !== 200) refused.add(status)
      return status === 200
    })
  )
  t.same([...refused], [503])
  t.ok(await until(isReady), 'with its listener and all')
})
