// Keyturn beside the machine's own limits, in one run: node bench/run.js [--quick] [--rounds N] [--seconds N]
import { generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { migrateUp } from '../dist/db/migrate.js'
import { readConfig } from '../dist/src/config.js'
import { startEmbeddedPostgres } from '../dist/src/embedded/postgres.js'
import { buildConfiguredApp } from '../dist/src/server.js'
import { bareHashes, bareUpdates, load, openLoop } from './lib/load.js'
import { freePort, residentMiB, start, stopAll } from './lib/processes.js'
import { median, ratio, toMarkdown } from './lib/report.js'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' }, seconds: { type: 'string' } }
})
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3))
const seconds = Number(options.seconds ?? (options.quick ? 1 : 3))
const clients = 32

const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
const handWritten = fileURLToPath(new URL('./peers/hand-written.js', import.meta.url))
const emptyServer = fileURLToPath(new URL('./lib/empty-server.js', import.meta.url))
const password = 'correct horse battery'
const owasp = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 }

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
const undo = [() => rmSync(folder, { recursive: true, force: true })]
process.once('exit', stopAll)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

/** The service as a process of its own. */
async function startKeyturn(url, more = {}) {
  const port = await freePort()
  const env = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: folder,
    AUTH_ISSUER: 'http://auth.bench',
    PORT: String(port),
    LOG_LEVEL: 'warn',
    // All clients are one address here.
    AUTH_RATE_LIMIT: 'off'
  }
  const child = await start([main, 'serve'], { ...env, ...more }, 'ready in')
  return { ...child, url: `http://127.0.0.1:${port}` }
}

async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${url}: ${await response.text()}`)
  return await response.json()
}

/** As many sessions as there are clients, each with its refresh token. */
const signIn = (service, username) =>
  Promise.all(Array.from({ length: clients }, () => post(`${service.url}/v1/login`, { username, password })))

/** The same at the hand-written service, an account for each. */
const signInAtPeer = async (peer) => {
  const names = Array.from({ length: clients }, () => `peer-${randomUUID()}`)
  const all = await Promise.all(names.map((username) => post(`${peer.url}/login`, { username })))
  return all.map((one) => one.refresh_token)
}

/** The cookie that a page would send. */
async function sessionCookie(service, username) {
  const response = await fetch(`${service.url}/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-request': '1', origin: 'http://auth.bench' },
    body: JSON.stringify({ username, password, refresh_transport: 'cookie', session: true })
  })
  const cookie = response.headers.getSetCookie().find((one) => one.startsWith('keyturn-session='))
  if (cookie === undefined) throw new Error(`no session cookie: ${await response.text()}`)
  return { cookie: cookie.split(';')[0] }
}

/** Access tokens that differ, made with the service's own key: what a fresh token each time would be. */
async function mint(url, count) {
  const config = readConfig({ DATABASE_URL: url, AUTH_DATA_DIR: folder, AUTH_ISSUER: 'http://auth.bench' }, '0.0.0')
  const app = await buildConfiguredApp(config, url, { logger: false })
  await app.ready()
  const subject = {
    accountId: '00000000-0000-4000-8000-000000000001',
    sessionId: '00000000-0000-4000-8000-000000000002',
    clientId: 'web',
    scope: '',
    roles: [],
    permissions: [],
    revision: 0,
    userId: undefined,
    jkt: null,
    statusIndex: null,
    authenticatedAt: new Date(),
    amr: ['pwd'],
    acr: 'aal1',
    sessionExpiresAt: new Date(Date.now() + 86_400_000)
  }
  const tokens = []
  for (let n = 0; n < count; n++) tokens.push((await app.accessTokens.sign(subject, new Date())).token)
  await app.close()
  return tokens
}

/** Microseconds of one ES256 verification. */
function verifyMicros() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const message = Buffer.alloc(420, 'x')
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' }
  const signature = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  let count = 0
  const end = performance.now() + 500
  while (performance.now() < end) {
    verify('sha256', message, key, signature)
    count++
  }
  return 500_000 / count
}

function shuffled(items) {
  return items
    .map((item) => [Math.random(), item])
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}

async function run() {
  const postgres = await startEmbeddedPostgres({ dataDir: folder })
  undo.unshift(() => postgres.stop())
  await migrateUp(postgres.url)
  const pool = new pg.Pool({ connectionString: postgres.url, max: 10 })
  pool.on('error', () => {})
  undo.unshift(() => pool.end())
  const version = (await pool.query('show server_version')).rows[0].server_version

  const starts = []
  for (let n = 0; n < (options.quick ? 1 : 5); n++) {
    const service = await startKeyturn(postgres.url)
    starts.push(service.startMs)
    await service.stop()
  }

  const keyturn = await startKeyturn(postgres.url)
  const cheap = await startKeyturn(postgres.url, { AUTH_HASH_MEMORY: '8', AUTH_HASH_ITERATIONS: '1' })
  const emptyPort = await freePort()
  const empty = {
    ...(await start([emptyServer], { PORT: String(emptyPort) }, 'listening')),
    url: `http://127.0.0.1:${emptyPort}`
  }
  const peerPort = await freePort()
  const peer = {
    ...(await start([handWritten], { PORT: String(peerPort), DATABASE_URL: postgres.url }, 'listening')),
    url: `http://127.0.0.1:${peerPort}`
  }
  const idle = residentMiB(keyturn.pid)

  await post(`${keyturn.url}/v1/register`, { username: 'costly', password })
  await post(`${cheap.url}/v1/register`, { username: 'cheap', password })
  const [{ access_token }] = await signIn(cheap, 'cheap')
  const authorization = { authorization: `Bearer ${access_token}` }
  const apiToken = {
    authorization: `Token ${(await post(`${cheap.url}/v1/tokens`, { name: 'bench' }, authorization)).key}`
  }
  const session = await sessionCookie(cheap, 'cheap')
  const fresh = await mint(postgres.url, options.quick ? 20_000 : 120_000)
  const { rows } = await pool.query('select id from session limit $1', [clients])
  const ids = rows.map(({ id }) => id)

  const at = (service, connections = clients) => ({ ...service, connections, seconds })
  const cells = {
    'login, 32 clients': () => load.login(at(keyturn), 'costly', password),
    'argon2id alone, all cores': () => bareHashes(seconds, owasp),
    'login with a trivial hash, 32 clients': () => load.login(at(cheap), 'cheap', password),
    'refresh, 32 clients': async () =>
      load.refresh(
        at(cheap),
        (await signIn(cheap, 'cheap')).map((one) => one.refresh_token)
      ),
    'refresh, hand-written service, 32 clients': async () =>
      load.refresh(at(peer), await signInAtPeer(peer), '/refresh'),
    'one-row update, 32 clients': () => bareUpdates(pool, ids, clients, seconds),
    'refresh, 1 client': async () =>
      load.refresh(
        at(cheap, 1),
        (await signIn(cheap, 'cheap')).map((one) => one.refresh_token)
      ),
    'refresh, hand-written service, 1 client': async () =>
      load.refresh(at(peer, 1), await signInAtPeer(peer), '/refresh'),
    'one-row update, 1 client': () => bareUpdates(pool, ids, 1, seconds),
    'me, one token, 32 clients': () => load.get(at(cheap), '/v1/me', authorization),
    'me, API token, 32 clients': () => load.get(at(cheap), '/v1/me', apiToken),
    'me, session cookie, 32 clients': () => load.get(at(cheap), '/v1/me', session),
    'me, a new token each time, 32 clients': () => load.freshTokens(at(cheap), '/v1/me', fresh),
    'empty Fastify route, 32 clients': () => load.get(at(empty), '/')
  }
  const figures = Object.fromEntries(Object.keys(cells).map((name) => [name, []]))
  const verifications = []
  // Once for nothing: compilers, caches and connections warm up.
  for (const cell of options.quick ? [] : Object.values(cells)) await cell()
  for (let round = 0; round < rounds; round++) {
    for (const [name, cell] of shuffled(Object.entries(cells))) figures[name][round] = await cell()
    verifications[round] = verifyMicros()
  }

  const quiet = await openLoop(`${keyturn.url}/v1/me`, authorization, 100, seconds)
  const [flooded] = await Promise.all([
    openLoop(`${keyturn.url}/v1/me`, authorization, 100, seconds),
    load.login(at(keyturn), 'costly', password)
  ])

  const rates = (name) => figures[name].map(({ rate }) => rate)
  const emptyRates = rates('empty Fastify route, 32 clients')
  const ratios = [
    ratio('logins ÷ argon2id alone on all cores', rates('login, 32 clients'), rates('argon2id alone, all cores')),
    ratio(
      'refreshes ÷ a hand-written service’s, 32 clients',
      rates('refresh, 32 clients'),
      rates('refresh, hand-written service, 32 clients')
    ),
    ratio(
      'refreshes ÷ a hand-written service’s, 1 client',
      rates('refresh, 1 client'),
      rates('refresh, hand-written service, 1 client')
    ),
    ratio('refreshes ÷ one-row updates, 32 clients', rates('refresh, 32 clients'), rates('one-row update, 32 clients')),
    ratio('refreshes ÷ one-row updates, 1 client', rates('refresh, 1 client'), rates('one-row update, 1 client')),
    ratio('me, one token ÷ empty Fastify route', rates('me, one token, 32 clients'), emptyRates),
    ratio('me, API token ÷ one access token', rates('me, API token, 32 clients'), rates('me, one token, 32 clients')),
    ratio(
      'me, session cookie ÷ one access token',
      rates('me, session cookie, 32 clients'),
      rates('me, one token, 32 clients')
    ),
    ratio(
      'me, new tokens ÷ 1/(empty route + one ES256 verification)',
      rates('me, a new token each time, 32 clients'),
      emptyRates.map((rate, round) => 1e6 / (1e6 / rate + verifications[round]))
    )
  ]
  const ms = (value) => `${value.toFixed(1)} ms`
  const single = [
    ['start of the process to listening, on a migrated database', ms(median(starts))],
    ['`me` while 32 clients sign in without pause, 100 a second: p50', ms(flooded.p50)],
    ['the same: p99 (must be below 50 ms)', ms(flooded.p99)],
    ['`me` with nothing else to do: p50, p99', `${ms(quiet.p50)}, ${ms(quiet.p99)}`],
    ['memory idle', `${Math.round(idle)} MiB`],
    ['memory after 32 clients signing in', `${Math.round(residentMiB(keyturn.pid))} MiB`],
    ['memory after 32 clients refreshing', `${Math.round(residentMiB(cheap.pid))} MiB`]
  ]
  const machine = {
    cpu: cpus()[0]?.model.trim(),
    cores: availableParallelism(),
    memory: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: version,
    rounds
  }
  const report = { machine, figures, ratios, single }
  const table = toMarkdown(report)
  console.log(table)
  if (!options.quick) {
    const results = new URL('./results/', import.meta.url)
    mkdirSync(results, { recursive: true })
    writeFileSync(new URL('latest.json', results), `${JSON.stringify(report, null, 2)}\n`)
    writeFileSync(new URL('latest.md', results), table)
  }
  for (const service of [keyturn, cheap, peer, empty]) await service.stop()
  if (flooded.p99 >= 50 && !options.quick) process.exitCode = 1
}

try {
  await run()
} finally {
  stopAll()
  for (const step of undo) await step()
}
