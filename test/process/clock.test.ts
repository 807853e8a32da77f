import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/plugins/database.js'
import { freshDatabase } from '../support/postgres.js'
import { request, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

/** A module that a process loads before all others, and that makes its clock wrong. */
const wrongBy = (minutes: number) =>
  `--import=data:text/javascript,${encodeURIComponent(`
    const RealDate = Date
    globalThis.Date = class extends RealDate {
      constructor(...given) { given.length === 0 ? super(RealDate.now() + ${minutes * 60_000}) : super(...given) }
      static now() { return RealDate.now() + ${minutes * 60_000} }
    }`)}`

async function replicas(t: Test, ...minutes: number[]) {
  const { url } = await freshDatabase(t)
  const environment = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
    AUTH_ISSUER: 'http://auth.test',
    AUTH_HASH_MEMORY: '8',
    AUTH_HASH_ITERATIONS: '1'
  }
  const services = await Promise.all(
    minutes.map((wrong) => startService(t, { ...environment, NODE_OPTIONS: wrongBy(wrong) }))
  )
  const db = openDatabase({ url, poolSize: 1, timeout: 5_000 }, () => {})
  t.teardown(() => db.destroy())
  return { services, db }
}

const me = (url: string, token: string) => request(`${url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })

t.test('replicas whose clocks are five minutes off go by Postgres’ clock', async (t) => {
  const { services, db } = await replicas(t, 5, -5, 0)
  await services[0]!.post('/v1/register', { username: 'grace', password: goodPassword })
  for (const issuing of services) {
    const login = await issuing.post('/v1/login', { username: 'grace', password: goodPassword })
    let tokens = (await login.json()) as Tokens
    for (const other of services) {
      t.equal((await me(other.url, tokens.access_token)).status, 200, 'an access token is good on every replica')
      const refreshed = await other.post('/v1/refresh', { refresh_token: tokens.refresh_token })
      t.equal(refreshed.status, 200)
      tokens = (await refreshed.json()) as Tokens
    }
    const { iat } = JSON.parse(atob(tokens.access_token.split('.')[1]!))
    t.ok(Math.abs(iat - Date.now() / 1000) < 60, 'and says the right time')
  }
  const { rows } = await sql<{ off: number }>`
    select abs(extract(epoch from now() - rotated_at))::float8 as off from session`.execute(db)
  t.ok(
    rows.every(({ off }) => off < 60),
    'as do the rows'
  )
  t.match(services[0]!.output(), /the clock of this machine is not Postgres/)
  t.notMatch(services[2]!.output(), /the clock of this machine/)
})

t.test('a token that has expired by Postgres’ clock is refused by a replica whose clock is behind', async (t) => {
  const { services, db } = await replicas(t, -5)
  const [service] = services
  await service!.post('/v1/register', { username: 'grace', password: goodPassword })
  const login = await service!.post('/v1/login', { username: 'grace', password: goodPassword })
  const { refresh_token } = (await login.json()) as Tokens
  // A minute ago by Postgres is four minutes ahead of that replica.
  await sql`update session set idle_expires_at = now() - interval '1 minute', created_at = now() - interval '1 hour',
    rotated_at = now() - interval '1 hour'`.execute(db)
  const refreshed = await service!.post('/v1/refresh', { refresh_token })
  t.match(await refreshed.json(), { code: 'session_expired' })
})
