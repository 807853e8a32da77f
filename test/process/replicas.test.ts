import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/plugins/database.js'
import { freshDatabase } from '../support/postgres.js'
import { request, type Service, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

async function twoProcesses(t: Test) {
  const { url } = await freshDatabase(t)
  const environment = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
    AUTH_ISSUER: 'http://auth.test',
    AUTH_HASH_MEMORY: '8',
    AUTH_HASH_ITERATIONS: '1'
  }
  const services = await Promise.all([startService(t, environment), startService(t, environment)])
  const db = openDatabase({ url, poolSize: 1, timeout: 5_000 }, () => {})
  t.teardown(() => db.destroy())
  await services[0].post('/v1/register', { username: 'grace', password: goodPassword })
  const login = await services[0].post('/v1/login', { username: 'grace', password: goodPassword })
  const session = () => db.selectFrom('session').select(['generation', 'ended_because']).executeTakeFirstOrThrow()
  return { services, session, tokens: (await login.json()) as Tokens }
}

const refresh = async (service: Service, refresh_token: string) => {
  const response = await service.post('/v1/refresh', { refresh_token })
  return { status: response.status, body: (await response.json()) as Tokens & { code: string } }
}

t.test('of fifty simultaneous refreshes of one token across two processes one rotates', async (t) => {
  const { services, session, tokens } = await twoProcesses(t)
  await Promise.all(services.flatMap((service) => Array.from({ length: 10 }, () => request(`${service.url}/readyz`))))
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, n) => refresh(services[n % 2]!, tokens.refresh_token))
  )
  t.same([...new Set(answers.map(({ status }) => status))], [200])
  t.equal(new Set(answers.map(({ body }) => body.refresh_token)).size, 1, 'fifty equal successors')
  t.match(await session(), { generation: '1', ended_because: null })
  const replayed = () =>
    services.flatMap((service) => service.output().match(/"event":"refresh.replayed"/g) ?? []).length
  await Promise.all(services.map((service) => service.kill('SIGTERM')))
  t.equal(replayed(), 49, 'one rotation, and 49 who got the same')
})

t.test('a token two generations old ends its session in both processes', async (t) => {
  const { services, session, tokens } = await twoProcesses(t)
  const [one, two] = services
  const second = (await refresh(one, tokens.refresh_token)).body
  const third = (await refresh(two, second.refresh_token)).body
  t.match(await refresh(two, tokens.refresh_token), { status: 401, body: { code: 'refresh_reused' } })
  t.match(await session(), { ended_because: 'refresh_reused' })
  for (const service of services) {
    t.match(await refresh(service, third.refresh_token), { status: 401, body: { code: 'session_revoked' } })
  }
})

t.test('a replica that is killed in the middle costs nobody the session', async (t) => {
  const { services, tokens } = await twoProcesses(t)
  const [one, two] = services
  const lost = refresh(one, tokens.refresh_token).catch(() => undefined)
  await one.kill('SIGKILL')
  const answered = await lost
  const after = await refresh(two, tokens.refresh_token)
  t.equal(after.status, 200, 'the same token, sent again elsewhere')
  if (answered?.status === 200) t.equal(after.body.refresh_token, answered.body.refresh_token)
})
