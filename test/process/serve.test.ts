import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { request, scratchFolder, startService } from '../support/service.js'
import { goodPassword } from '../support/world.js'

t.test('a first start needs nothing, and says where everything is', async (t) => {
  const folder = join(scratchFolder(t), 'data')
  const service = await startService(t, { AUTH_DATA_DIR: folder })
  const banner = service.output()
  for (const line of [
    `API        ${service.url}`,
    `Docs       ${service.url}/docs`,
    `${service.url}/.well-known/jwks.json`
  ]) {
    t.ok(banner.includes(line), line)
  }
  t.match(banner, /embedded Postgres in .*data/)
  t.equal(statSync(join(folder, 'master.key')).mode & 0o777, 0o600)
  t.equal(statSync(folder).mode & 0o777, 0o700)

  const [, token] = /\/setup#t=([\w-]+)/.exec(banner)!
  const page = await request(`${service.url}/setup`)
  t.equal(page.status, 200)
  t.match(page.headers.get('content-security-policy'), /default-src 'none'; script-src 'self'/)
  const admin = { username: 'root', password: goodPassword, invitation: token }
  t.match(await (await service.post('/v1/register', admin)).json(), { user: { roles: ['admin'] } })
  t.equal((await service.post('/v1/register', { ...admin, username: 'root2' })).status, 403, 'once')

  t.equal(await service.kill('SIGTERM'), 0, 'stopped politely')
  const again = await startService(t, { AUTH_DATA_DIR: folder })
  t.notMatch(again.output(), /setup#t=/, 'with an administrator there is no link')
  const login = await again.post('/v1/login', { username: 'root', password: goodPassword })
  t.equal(login.status, 200, 'and the account is still there')
})

t.test('with DATABASE_URL the same code uses that Postgres, and listens within a second', async (t) => {
  const { url } = await freshDatabase(t)
  const folder = join(scratchFolder(t), 'data')
  const service = await startService(t, { DATABASE_URL: url, AUTH_DATA_DIR: folder })
  t.match(service.output(), /Database {3}Postgres at 127\.0\.0\.1/)
  t.notOk(existsSync(join(folder, 'postgres')), 'nothing is embedded')
  const [, seconds] = /ready in ([\d.]+) s/.exec(service.output())!
  t.comment(`listening after ${seconds} s`)
  t.equal((await request(`${service.url}/readyz`)).status, 200)
})

t.test('a container makes its administrator by settings, and prints no secret', async (t) => {
  const { url } = await freshDatabase(t)
  const environment = {
    DATABASE_URL: url,
    NODE_ENV: 'production',
    AUTH_ISSUER: 'https://auth.test',
    AUTH_MASTER_KEY: Buffer.from('0123456789abcdefghijklmnopqrstuv').toString('base64'),
    AUTH_BOOTSTRAP_ADMIN_USERNAME: 'root',
    AUTH_BOOTSTRAP_ADMIN_PASSWORD: goodPassword
  }
  const [one, two] = await Promise.all([startService(t, environment), startService(t, environment)])
  for (const service of [one, two]) {
    const login = await service.post('/v1/login', { username: 'root', password: goodPassword })
    t.match(await login.json(), { user: { roles: ['admin'] } })
    t.notMatch(service.output(), /setup#t=/)
    for (const secret of [goodPassword, environment.AUTH_MASTER_KEY]) t.notOk(service.output().includes(secret))
  }
  const keys = await Promise.all(
    [one, two].map(async ({ url }) => (await request(`${url}/.well-known/jwks.json`)).text())
  )
  t.equal(keys[0], keys[1], 'of two that start at once one makes the key')
})

t.test('kill -9 at any moment loses nothing that was acknowledged', async (t) => {
  const databases: Array<[string, Record<string, string>]> = [
    ['embedded', { AUTH_DATA_DIR: join(scratchFolder(t), 'data') }],
    ['Postgres', { DATABASE_URL: (await freshDatabase(t)).url, AUTH_DATA_DIR: join(scratchFolder(t), 'data') }]
  ]
  for (const [name, environment] of databases) {
    const acknowledged: string[] = []
    for (let round = 0; round < 3; round++) {
      const service = await startService(t, { ...environment, AUTH_HASH_MEMORY: '8', AUTH_HASH_ITERATIONS: '1' })
      const enough = acknowledged.length + 20 + 10 * round
      const register = async (worker: number) => {
        for (let n = 0; ; n++) {
          const username = `user-${round}-${worker}-${n}`
          const response = await service
            .post('/v1/register', { username, password: goodPassword })
            .catch(() => undefined)
          if (response === undefined) return
          if (response.status === 201) acknowledged.push(username)
          if (acknowledged.length === enough) void service.kill('SIGKILL')
        }
      }
      await Promise.all([0, 1, 2, 3].map(register))
      await service.kill('SIGKILL')
    }
    // All sign in at once: what is asked is whether they are there, not how many may wait.
    const patient = { AUTH_HASH_MEMORY: '8', AUTH_HASH_ITERATIONS: '1', AUTH_HASH_WAIT: '1m' }
    const service = await startService(t, { ...environment, ...patient })
    const logins = await Promise.all(
      acknowledged.map((username) => service.post('/v1/login', { username, password: goodPassword }))
    )
    t.ok(acknowledged.length >= 90)
    t.same(
      [...new Set(logins.map(({ status }) => status))],
      [200],
      `${name}: all ${acknowledged.length} accounts are there`
    )
  }
})
