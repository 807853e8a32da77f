import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { AppOptions } from '../../src/app.js'
import { freshDatabase } from '../support/postgres.js'
import { freePort, scratchFolder, startService } from '../support/service.js'
import { until } from '../support/until.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

type Limits = AppOptions['rateLimits']

const limiting = (limits: Partial<Limits>) => (options: AppOptions) => ({
  ...options,
  trustedProxies: ['127.0.0.1'],
  rateLimits: { ...options.rateLimits, ...limits }
})

const counted = async (w: World) =>
  (await sql<{ digest: Buffer; hits: string }>`select digest, hits from rate_window`.execute(w.app.db)).rows
const three = { max: 3, window: 60_000 }
const from = (address: string) => ({ ...fromOwnPage, 'x-forwarded-for': address })
type App = World['app']
let people = 0
/** Of somebody else each time: wrong passwords for one name are counted elsewhere. */
const login = (app: App, address = '203.0.113.1') =>
  app.inject({
    method: 'POST',
    url: '/v1/login',
    headers: from(address),
    payload: { username: `nobody-${people++}`, password: goodPassword }
  })

/** What is said of one limit. */
const said = (app: App, address?: string) =>
  login(app, address).then(({ statusCode, headers }) => `${statusCode} ${headers.ratelimit}`)

t.test('replicas count together, and each says how many are left', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  const other = await w.replica(limiting({ signIn: three }))
  t.equal(await said(w.app), '401 "sign-in";r=2;t=60')
  t.equal((await login(w.app)).headers['ratelimit-policy'], '"sign-in";q=3;w=60')
  await w.app.rateLimits.share()
  t.equal(await said(other), '401 "sign-in";r=2;t=60', 'which has not been told yet: memory answers')
  await other.rateLimits.share()
  t.equal(await said(other), '429 "sign-in";r=0;t=60')
  t.equal(await said(other, '203.0.113.2'), '401 "sign-in";r=2;t=60')
  await other.rateLimits.share()
  t.equal(await said(w.app), '401 "sign-in";r=0;t=60')
  await w.app.rateLimits.share()
  t.equal(await said(w.app), '429 "sign-in";r=0;t=60')
})

t.test('they tell each other by themselves', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  const other = await w.replica(limiting({ signIn: three }))
  for (let n = 0; n < 3; n++) await login(w.app)
  t.ok(
    await until(async () => {
      return (await counted(w)).some(({ hits }) => hits === '3')
    })
  )
  await login(other)
  t.ok(await until(async () => (await login(other)).statusCode === 429))
})

t.test('a window ends for all of them, and the next begins', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  const other = await w.replica(limiting({ signIn: three }))
  for (let n = 0; n < 4; n++) await login(w.app)
  await w.app.rateLimits.share()
  w.wait(59_000)
  const late = await login(w.app)
  t.equal(late.statusCode, 429)
  t.equal(late.headers['retry-after'], '1')
  w.wait(1_000)
  t.equal(await said(w.app), '401 "sign-in";r=2;t=60')
  await w.app.rateLimits.share()
  await login(other)
  await other.rateLimits.share()
  t.equal(await said(other), '401 "sign-in";r=0;t=60')
})

t.test('a replica that restarts has forgotten nothing', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  const before = await w.replica(limiting({ signIn: three }))
  for (let n = 0; n < 3; n++) await login(before)
  await before.close()
  const after = await w.replica(limiting({ signIn: three }))
  await login(after)
  await after.rateLimits.share()
  t.equal((await login(after)).statusCode, 429)
})

t.test('without their database they go on by what each has counted, and tell it afterwards', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  const other = await w.replica(limiting({ signIn: three }))
  await w.app.db.schema.alterTable('rate_window').renameTo('elsewhere').execute()
  for (let n = 0; n < 3; n++) await login(w.app)
  await w.app.rateLimits.share()
  t.equal((await login(w.app)).statusCode, 429)
  t.ok(w.logs.some((line) => line.includes('each replica counts by itself for now')))
  await w.app.db.schema.alterTable('elsewhere').renameTo('rate_window').execute()
  await w.app.rateLimits.share()
  await login(other)
  await other.rateLimits.share()
  t.equal((await login(other)).statusCode, 429)
})

t.test('no table says whose counts these are', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  await login(w.app, '203.0.113.77')
  await w.app.rateLimits.share()
  const rows = await counted(w)
  t.equal(rows.length, 1)
  t.equal(rows[0]?.digest.length, 32)
  t.notOk(JSON.stringify(rows).includes('203.0.113.77'))
})

t.test('what is over is swept', async (t) => {
  const w = await world(t, limiting({ signIn: three }))
  await login(w.app)
  await w.app.rateLimits.share()
  t.match(await w.app.broom(), {})
  w.wait(61_000)
  t.match(await w.app.broom(), { rate_window: 1 })
})

t.test('refreshes, sign-outs and sign-ins are counted apart', async (t) => {
  const w = await world(t, limiting({ signIn: { ...three, max: 1 }, refresh: three, logout: three }))
  const { refresh_token: token } = await w.login(await w.account())
  for (let n = 0; n < 3; n++) t.equal((await w.refresh(token)).statusCode, 200)
  const refused = await w.refresh(token)
  t.match(refused.json(), { status: 429, code: 'rate_limited' })
  t.equal(refused.headers.ratelimit, '"refresh";r=0;t=60')
  const grant = await w.app.inject({
    method: 'POST',
    url: '/oauth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'web', refresh_token: token }).toString()
  })
  t.equal(grant.statusCode, 429, 'by whichever endpoint')
  t.ok(grant.headers['retry-after'])
  for (let n = 0; n < 3; n++) t.equal((await w.post('/v1/logout', { refresh_token: token })).statusCode, 204)
  t.match((await w.post('/v1/logout', { refresh_token: token })).json(), { code: 'rate_limited' })
})

t.test('clients that guess secrets are stopped, and those that know theirs are not counted', async (t) => {
  const w = await world(t, limiting({ clientFailures: three }))
  const { client, secret } = await w.app.flows.createClient({ name: 'billing', scopes: [], audience: [] } as never)
  const token = (id: string, password: string, address = '203.0.113.1') =>
    w.app.inject({
      method: 'POST',
      url: '/oauth/token',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${btoa(`${id}:${password}`)}`,
        'x-forwarded-for': address
      },
      payload: 'grant_type=client_credentials'
    })
  const id = client.client.id
  for (let n = 0; n < 5; n++) t.equal((await token(id, secret!)).statusCode, 200)
  for (let n = 0; n < 3; n++) t.equal((await token(id, 'guess')).statusCode, 401)
  const refused = await token(id, secret!)
  t.equal(refused.statusCode, 429, 'from there nobody is heard')
  t.ok(refused.headers['retry-after'])
  t.equal((await token(id, secret!, '203.0.113.2')).statusCode, 200)
})

const program = ['valkey-server', 'redis-server'].find((one) => spawnSync(one, ['--version']).status === 0)
const missing = program === undefined && 'neither valkey-server nor redis-server is on this machine'

/** A Redis or Valkey of this test's own. */
async function redis(t: Test): Promise<{ url: URL; stop(): Promise<void> }> {
  const port = await freePort()
  const child = spawn(program!, ['--port', String(port), '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  t.teardown(stop)
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(() => resolve(true)))
      socket.on('error', () => resolve(false))
    })
  await until(answers)
  return { url: new URL(`redis://127.0.0.1:${port}`), stop }
}

t.test('in a Redis or Valkey they count together as well, and go on without it', { skip: missing }, async (t) => {
  const server = await redis(t)
  const change = limiting({ signIn: three, store: server.url })
  const w = await world(t, change)
  const other = await w.replica(change)
  for (let n = 0; n < 2; n++) await login(w.app)
  await w.app.rateLimits.share()
  await login(other)
  await other.rateLimits.share()
  t.match(await said(other), /^429 "sign-in";r=0;t=\d+$/)
  t.equal((await counted(w)).length, 0)
  await server.stop()
  for (let n = 0; n < 2; n++) await login(w.app, '203.0.113.5')
  await w.app.rateLimits.share()
  t.equal((await login(w.app, '203.0.113.5')).statusCode, 401)
  t.equal((await login(w.app, '203.0.113.5')).statusCode, 429)
})

t.test('what is built counts in a Redis or Valkey', { skip: missing }, async (t) => {
  const server = await redis(t)
  const { url } = await freshDatabase(t)
  const service = await startService(t, {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(scratchFolder(t), 'data'),
    AUTH_RATE_LIMIT_STORE: server.url.href
  })
  const answer = await service.post('/v1/login', { username: 'nobody', password: 'wrong' })
  t.equal(answer.status, 401)
  const client = new Redis(server.url.href)
  t.teardown(() => client.disconnect())
  t.ok(await until(async () => (await client.dbsize()) > 0))
})
