import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrateUp } from '../../db/migrate.js'
import { buildApp } from '../../src/app.js'
import { embeddedBinaries, unprivilegedUser } from '../../src/embedded/binaries.js'
import { type Cluster, startCluster } from '../../src/embedded/cluster.js'
import { scratchFolder } from '../support/service.js'
import { goodPassword, type Tokens, testOptions } from '../support/world.js'

/** A Postgres of the test's own, since the others go on without theirs; it keeps its address when it is started again. */
async function ownPostgres(t: Test) {
  const cache = fileURLToPath(new URL('../../.tap', import.meta.url))
  const bin = process.env.PG_BIN_DIR ?? (await embeddedBinaries(cache, unprivilegedUser()))
  const scratch = scratchFolder(t)
  chmodSync(scratch, 0o755)
  const start = () => startCluster({ bin, folder: join(scratch, 'cluster'), durable: false, connections: 14 })
  let server: Cluster = await start()
  t.teardown(() => server.stop())
  const address = net.createServer((client) => {
    const upstream = net.connect(server.port, '127.0.0.1')
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end)
    client.pipe(upstream).pipe(client)
  })
  address.listen(0, '127.0.0.1')
  await once(address, 'listening')
  t.teardown(() => address.close())
  const url = new URL(server.url('keyturn'))
  url.port = String((address.address() as AddressInfo).port)

  const open = async (database = 'keyturn') => {
    const client = new pg.Client({ connectionString: server.url(database) })
    client.on('error', () => {})
    await client.connect()
    return client
  }
  const query = async (text: string, database?: string) => {
    const client = await open(database)
    try {
      return await client.query(text)
    } finally {
      await client.end()
    }
  }
  await query('create database keyturn', 'postgres')
  await migrateUp(server.url('keyturn'))
  const frozen: number[] = []
  const thaw = async () => {
    for (const pid of frozen.splice(0)) process.kill(pid, 'SIGCONT')
  }
  t.teardown(thaw)
  return {
    url: url.href,
    open,
    query,
    stop: () => server.stop(),
    async start() {
      server = await start()
    },
    /** It takes connections, as its system does for it, and answers nobody: neither who comes nor who is there. */
    async freeze() {
      const { rows } = await query('select pid from pg_stat_activity where application_name like $$keyturn%$$')
      frozen.push(server.pid, ...rows.map(({ pid }) => pid))
      for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    },
    thaw
  }
}

const timeout = 1_000

async function service(t: Test, url: string, poolSize = 4) {
  const logs: string[] = []
  const app = await buildApp({
    ...testOptions(url, () => new Date()),
    database: { url, poolSize, timeout },
    logger: { level: 'info', stream: { write: (line: string) => void logs.push(line) } }
  })
  t.teardown(() => app.close())
  await app.ready()
  const username = `user-${Math.random().toString(36).slice(2)}`
  await app.flows.createAccount({ username, password: goodPassword })
  const payload = { username, password: goodPassword }
  const login = () => app.inject({ method: 'POST', url: '/v1/login', payload })
  const tokens = (await login()).json() as Tokens
  return { app, logs, login, tokens }
}

type Service = Awaited<ReturnType<typeof service>>

/** Asks for what needs the database and tells how long the slowest took; every answer must be a 503. */
async function refusals(t: Test, { app, tokens, login }: Service, count: number): Promise<number> {
  const took = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const since = performance.now()
      const answer =
        n % 2 === 0
          ? await login()
          : await app.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token: tokens.refresh_token } })
      t.match(answer.json(), { status: 503, code: 'service_unavailable' })
      t.ok(answer.headers['retry-after'])
      return performance.now() - since
    })
  )
  return Math.max(...took)
}

/** What asks the database nothing. */
async function goesOn(t: Test, app: FastifyInstance, { access_token: token }: Tokens): Promise<void> {
  t.equal((await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${token}` } })).statusCode, 200)
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200)
  t.equal((await app.inject('/.well-known/oauth-authorization-server')).statusCode, 200)
  t.equal((await app.inject('/livez')).statusCode, 200)
}

/** Until it works again, by asking now and then as clients do. */
async function heals(t: Test, { app, tokens, login }: Service): Promise<void> {
  const giveUpAt = performance.now() + 20_000
  while ((await login()).statusCode !== 200 && performance.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const payload = { refresh_token: tokens.refresh_token }
  t.equal((await app.inject({ method: 'POST', url: '/v1/refresh', payload })).statusCode, 200, 'nobody was signed out')
}

const value = async (app: FastifyInstance, series: string) =>
  Number(
    (await app.metrics.metrics())
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')[1]
  )

t.test('with a Postgres', async (t) => {
  const postgres = await ownPostgres(t)

  for (const [title, breaks, mends] of [
    ['that is stopped', () => postgres.stop(), () => postgres.start()],
    ['that is frozen', () => postgres.freeze(), () => postgres.thaw()]
  ] as const) {
    await t.test(`${title} the first are told within 2 s, the others at once, and it heals by itself`, async (t) => {
      const all = await service(t, postgres.url)
      t.equal(await value(all.app, 'keyturn_database_breaker{state="closed"}'), 1)
      await breaks()
      t.ok((await refusals(t, all, 20)) < 2_000)
      t.equal(await value(all.app, 'keyturn_database_breaker{state="closed"}'), 0)
      t.equal(await value(all.app, 'keyturn_database_breaker_opened_total'), 1)
      t.ok((await refusals(t, all, 4)) < timeout / 2, 'nobody waits for what is known')
      await goesOn(t, all.app, all.tokens)
      await mends()
      await heals(t, all)
      t.equal(await value(all.app, 'keyturn_database_breaker{state="closed"}'), 1)
      t.equal(all.logs.filter((line) => line.includes('it is asked nothing until it does')).length, 1)
      t.equal(all.logs.filter((line) => line.includes('the database is asked again')).length, 1)
    })
  }

  await t.test('that is read-only what writes is a 503 at once, and what reads goes on', async (t) => {
    const all = await service(t, postgres.url)
    await postgres.query('alter database keyturn set default_transaction_read_only = on')
    await postgres.query(endConnections)
    t.ok((await refusals(t, all, 10)) < 2_000)
    const headers = { authorization: `Bearer ${all.tokens.access_token}` }
    t.equal((await all.app.inject({ url: '/v1/me/profile', headers })).statusCode, 200)
    t.equal(await value(all.app, 'keyturn_database_breaker{state="closed"}'), 1)
    await goesOn(t, all.app, all.tokens)
    await postgres.query(
      'set transaction read write; alter database keyturn reset default_transaction_read_only',
      'postgres'
    )
    await postgres.query(endConnections)
    await heals(t, all)
  })

  await t.test('that has no connection left all are told in time, and it heals by itself', async (t) => {
    const all = await service(t, postgres.url)
    const taken: pg.Client[] = []
    await postgres.query(endConnections)
    for (;;) {
      const client = await postgres.open().catch(() => null)
      if (client !== null) {
        taken.push(client)
        continue
      }
      // Until the service was too late for each of them: it asks for one now and then by itself.
      const { rowCount } = await taken[0]!.query(endConnections)
      if (rowCount === 0) break
    }
    t.ok(taken.length > 0)
    t.ok((await refusals(t, all, 10)) < 2_000)
    await goesOn(t, all.app, all.tokens)
    for (const client of taken) await client.end()
    await heals(t, all)
  })

  await t.test(
    'whose answers wait for a lock, with every connection of the pool waiting, nobody waits for longer',
    async (t) => {
      const all = await service(t, postgres.url, 2)
      const holder = await postgres.open()
      await holder.query('begin; lock table account, session in access exclusive mode')
      t.ok((await refusals(t, all, 12)) < 2_000)
      await goesOn(t, all.app, all.tokens)
      await holder.query('rollback')
      await holder.end()
      await heals(t, all)
    }
  )
})

const endConnections =
  "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'keyturn%' and pid <> pg_backend_pid()"
