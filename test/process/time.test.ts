import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/plugins/database.js'
import { freshDatabase } from '../support/postgres.js'
import { request, type Service, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

const minute = 60_000
const shiftClock = new URL('../../chaos/lib/shift-clock.js', import.meta.url).href

/** Replicas on machines whose clocks are off by so many milliseconds. */
async function replicas(t: Test, shifts: readonly number[]) {
  const { url } = await freshDatabase(t)
  const environment = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
    AUTH_ISSUER: 'http://auth.test',
    AUTH_HASH_MEMORY: '8',
    AUTH_HASH_ITERATIONS: '1'
  }
  const services: Service[] = []
  for (const shift of shifts) {
    const clock = { NODE_OPTIONS: `--import=${shiftClock}`, SHIFT_CLOCK: String(shift) }
    services.push(await startService(t, { ...environment, ...clock }))
  }
  const db = openDatabase({ url, poolSize: 1, timeout: 5_000 }, () => {})
  t.teardown(() => db.destroy())
  return { services, db }
}

const me = (service: Service, { access_token }: Tokens) =>
  request(`${service.url}/v1/me`, { headers: { authorization: `Bearer ${access_token}` } })

t.test('machines whose clocks are five minutes off, either way, go by Postgres’ clock', async (t) => {
  const { services, db } = await replicas(t, [0, 5 * minute, -5 * minute])
  const user = { username: 'grace', password: goodPassword }
  await services[0]!.post('/v1/register', user)

  for (const [n, from] of services.entries()) {
    const login = await from.post('/v1/login', user)
    const tokens = (await login.json()) as Tokens
    for (const service of services) t.equal((await me(service, tokens)).status, 200, 'a token is good everywhere')

    const next = services[(n + 1) % 3]!
    const last = services[(n + 2) % 3]!
    const refreshed = await next.post('/v1/refresh', { refresh_token: tokens.refresh_token })
    t.equal(refreshed.status, 200)
    const successor = (await refreshed.json()) as Tokens
    const again = await last.post('/v1/refresh', { refresh_token: tokens.refresh_token })
    t.equal(((await again.json()) as Tokens).refresh_token, successor.refresh_token, 'a lost answer is given again')
    t.equal((await from.post('/v1/logout', { refresh_token: successor.refresh_token })).status, 204)
  }

  const sessions = await db.selectFrom('session').select(['created_at', 'rotated_at', 'ended_at']).execute()
  for (const session of sessions) {
    for (const at of Object.values(session)) {
      t.ok(Math.abs(Date.now() - at!.getTime()) < minute, 'and every time that is written down is true')
    }
  }
})
