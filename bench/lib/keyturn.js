// Keyturn as it is measured: started as users start it, with accounts and sessions that were made ahead.
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { migrateUp } from '../../dist/db/migrate.js'
import { readConfig } from '../../dist/src/config.js'
import { readRefreshToken } from '../../dist/src/domain/refresh-token.js'
import { buildConfiguredApp } from '../../dist/src/server.js'
import { prepare } from './in-process.js'
import { freePort, start } from './processes.js'

const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
/** As `npm start` and the image start it. */
const asUsersDo = ['--max-semi-space-size=8', main, 'serve']
const issuer = 'http://auth.bench'
const password = 'correct horse battery'
export const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Passwords hashed at a cost that is next to nothing, so that what is beside the hash is seen. */
export const trivialHash = { AUTH_HASH_MEMORY: '8', AUTH_HASH_ITERATIONS: '1' }

const settings = {
  AUTH_ISSUER: issuer,
  LOG_LEVEL: 'warn',
  // All clients are one address here.
  AUTH_RATE_LIMIT: 'off',
  // A run takes longer than ten minutes, and its tokens are made ahead.
  AUTH_ACCESS_TTL: '1h',
  // On a busy machine figures spread; they do not become refusals.
  AUTH_DATABASE_TIMEOUT: '10000',
  // It sweeps when it is measured.
  AUTH_BROOM_INTERVAL: 'off'
}

/** So many processes of it, as one service; `program` is what Node is given where it is not the built program. */
export async function startKeyturn({ url, folder, processes = 1, program }, more = {}) {
  const started = []
  const began = performance.now()
  let answeredAt
  for (let n = 0; n < processes; n++) {
    const port = await freePort()
    const env = { ...settings, DATABASE_URL: url, AUTH_DATA_DIR: folder, PORT: String(port), ...more }
    started.push({ port, ...(await start(program ?? asUsersDo, env, 'ready in')) })
    await ask({ ports: [port] }, '/livez')
    answeredAt ??= performance.now()
  }
  return {
    ports: started.map(({ port }) => port),
    pids: started.map(({ pid }) => pid),
    /** Milliseconds from the start of the first process to its first answer. */
    startMs: answeredAt - began,
    stop: () => Promise.all(started.map((one) => one.stop()))
  }
}

async function ask({ ports }, path, body, headers) {
  const response = await fetch(`http://127.0.0.1:${ports[0]}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { ...(body === undefined ? {} : json), ...headers },
    body: body && JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
  return response
}

/**
 * The database of the measured service: migrated, with so many sessions. Tells what there is to present. What makes it is
 * gone afterwards: an instance that idles here would follow every revocation of those that are measured.
 */
export async function prepareKeyturn({ url, folder }, { sessions, freshTokens }) {
  await migrateUp(url)
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  pool.on('error', () => {})
  const open = async (more) => {
    const config = readConfig({ ...settings, ...more, DATABASE_URL: url, AUTH_DATA_DIR: folder }, '0.0.0')
    const app = await buildConfiguredApp(config, url, { logger: false })
    await app.ready()
    return app
  }
  const costly = await open({})
  const cheap = await open(trivialHash)
  const sessionTokens = await prepare(pool, costly, sessions)

  // An account for each client: sign-ins of one account would wait for each other at its row.
  const logins = async (app, prefix, count) => {
    const names = Array.from({ length: count }, (_, n) => `${prefix}-${n}`)
    for (const username of names) await app.flows.createAccount({ username, password })
    return names.map((username) => JSON.stringify({ username, password }))
  }
  const { client: live, secret } = await costly.flows.createClient({
    name: 'bench',
    permissions: ['keyturn.introspect'],
    scopes: ['introspect']
  })
  // A session that is never refreshed nor ended by a load.
  const { rows } = await pool.query('select id, account_id from session where id = $1', [
    readRefreshToken(costly.vault.refreshKeys, sessionTokens.pop()).sessionId
  ])
  const subject = {
    accountId: rows[0].account_id,
    sessionId: rows[0].id,
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
  const sign = async () => (await costly.accessTokens.sign(subject, new Date())).token
  const fresh = []
  for (let n = 0; n < freshTokens; n++) fresh.push(await sign())
  const made = {
    pool,
    costlyLogins: await logins(costly, 'costly', 32),
    cheapLogins: await logins(cheap, 'cheap', 32),
    /** Refresh tokens that nobody has used. */
    takeSessions: (count) => {
      const taken = sessionTokens.splice(0, count)
      if (taken.length < count) throw new Error('more sessions are needed than were made: raise `sessions`')
      return taken
    },
    accessToken: await sign(),
    fresh,
    introspector: `Basic ${Buffer.from(`${live.client.id}:${secret}`).toString('base64')}`,
    /** Sessions that were over long ago. */
    addExpired: (count) =>
      pool.query(
        `insert into session (id, account_id, transport, client_id, amr, acr, user_agent, address,
           created_at, rotated_at, idle_expires_at, expires_at)
         select gen_random_uuid(), $1, 'body', 'web', '{pwd}', 'aal1', 'Mozilla/5.0 (X11; Linux x86_64)', '192.0.2.1',
           now() - interval '40 days', now() - interval '40 days', now() - interval '26 days', now() - interval '10 days'
         from generate_series(1, $2::int)`,
        [subject.accountId, count]
      ),
    /** What the database would otherwise do later, while others are measured. */
    async tidy() {
      await pool.query('vacuum (analyze) session')
      await pool.query('checkpoint')
    },
    /** What removes what has expired, and tells the number of rows. */
    async openSweeper() {
      const app = await open({})
      return {
        async sweep() {
          const swept = await app.broom()
          return Object.values(swept).reduce((sum, count) => sum + count, 0)
        },
        close: () => app.close()
      }
    },
    close: () => pool.end()
  }
  await Promise.all([costly.close(), cheap.close()])
  return made
}

/** How many names were given away, of all that ever register. */
let registered = 0

/** What is asked of it, each a request with what it needs; `cheap` is one with `trivialHash`. */
export function keyturnLoads({ made, costly, cheap }) {
  const bearer = { authorization: `Bearer ${made.accessToken}` }
  const me = { path: '/v1/me' }
  const post = (path, body = '{value}') => ({ method: 'POST', path, headers: json, body })
  const refresh = post('/v1/refresh', '{"refresh_token":"{value}"}')
  return {
    login: () => ({ service: costly, request: post('/v1/login'), values: made.costlyLogins }),
    loginBesideHash: () => ({ service: cheap, request: post('/v1/login'), values: made.cheapLogins }),
    register: (count) => ({
      service: costly,
      request: post('/v1/register', `{"username":"new-{value}","password":"${password}"}`),
      values: Array.from({ length: count }, () => registered++),
      take: 'once',
      expect: [201]
    }),
    /** Each client has sessions of its own and always presents the newest token, so that every rotation is real. */
    refresh: (clients, service = cheap) => ({
      service,
      request: refresh,
      values: made.takeSessions(clients),
      carry: 'refresh_token'
    }),
    logout: (count) => ({
      service: cheap,
      request: post('/v1/logout', '{"refresh_token":"{value}"}'),
      values: made.takeSessions(count),
      take: 'once',
      expect: [204]
    }),
    me: (service = cheap) => ({ service, request: { ...me, headers: bearer } }),
    meFresh: (service = cheap) => ({
      service,
      request: { ...me, headers: { authorization: 'Bearer {value}' } },
      values: made.fresh,
      take: 'next'
    }),
    async meApiToken() {
      const login = await ask(cheap, '/v1/login', JSON.parse(made.cheapLogins[0]))
      const authorization = `Bearer ${(await login.json()).access_token}`
      const { key } = await (await ask(cheap, '/v1/tokens', { name: 'bench' }, { authorization })).json()
      return { service: cheap, request: { ...me, headers: { authorization: `Token ${key}` } } }
    },
    async meSession() {
      const body = { ...JSON.parse(made.cheapLogins[1]), refresh_transport: 'cookie', session: true }
      const response = await ask(cheap, '/v1/login', body, { 'x-auth-request': '1', origin: issuer })
      const cookie = response.headers.getSetCookie().find((one) => one.startsWith('keyturn-session='))
      return { service: cheap, request: { ...me, headers: { cookie: cookie.split(';')[0] } } }
    },
    introspect: () => ({
      service: cheap,
      request: {
        method: 'POST',
        path: '/oauth/introspect',
        headers: { ...form, authorization: made.introspector },
        body: `token=${made.accessToken}`
      }
    }),
    jwks: () => ({ service: cheap, request: { path: '/.well-known/jwks.json' } }),
    /** As a verifier polls: what is new since it last asked, which is mostly nothing. */
    async feed() {
      let path = '/v1/revocations'
      for (;;) {
        const document = await (await ask(cheap, path)).text()
        const { cursor, complete } = JSON.parse(Buffer.from(document.split('.')[1], 'base64url'))
        path = `/v1/revocations?since=${encodeURIComponent(cursor)}`
        if (complete) return { service: cheap, request: { path } }
      }
    }
  }
}
