import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { hasNginx, nginx } from '../support/nginx.js'
import { emptyDatabase } from '../support/postgres.js'
import { keyturn, request, type Service, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

/** The statements of deploy/postgres/roles.sql, with psql's variables filled in as psql would. */
function rolesSql(values: Record<string, string>): string {
  const text = readFileSync(new URL('../../deploy/postgres/roles.sql', import.meta.url), 'utf8')
  return text
    .replace(/:"(\w+)"/g, (_, name) => pg.escapeIdentifier(values[name]!))
    .replace(/:'(\w+)'/g, (_, name) => pg.escapeLiteral(values[name]!))
}

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

/** A proxy of a few lines where no nginx is installed: takes turns, and passes on what a replica did not take. */
async function plainProxy(t: Test, replicas: readonly Service[]): Promise<string> {
  let turn = 0
  const server = http.createServer((request, response) => {
    const attempt = (left: number) => {
      const { hostname, port } = new URL(replicas[turn++ % replicas.length]!.url)
      const headers = { ...request.headers, 'x-forwarded-for': request.socket.remoteAddress }
      const upstream = http.request(
        { hostname, port, path: request.url, method: request.method, headers },
        (answer) => {
          response.writeHead(answer.statusCode!, answer.headers)
          answer.pipe(response)
        }
      )
      upstream.on('error', () => (left > 0 ? attempt(left - 1) : response.writeHead(502).end()))
      upstream.end(body)
    }
    let body = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => attempt(1))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('the deployment, natively: migration as owner, two replicas as a role without DDL, a proxy', async (t) => {
  const { url, name } = await emptyDatabase(t)
  const suffix = randomBytes(6).toString('hex')
  const roles = {
    owner: `keyturn_owner_${suffix}`,
    owner_password: randomBytes(24).toString('base64url'),
    app: `keyturn_app_${suffix}`,
    app_password: randomBytes(24).toString('base64url')
  }
  await query(url, rolesSql(roles))
  t.teardown(async () => {
    const server = new URL(url)
    server.pathname = '/postgres'
    await query(server.href, `drop database if exists ${name} with (force)`)
    await query(server.href, `drop role ${roles.owner}; drop role ${roles.app}`)
  })

  const folder = scratchFolder(t)
  const secret = (file: string, text: string) => {
    writeFileSync(join(folder, file), text, { mode: 0o400 })
    return join(folder, file)
  }
  const urlOf = (user: string, password: string) => {
    const own = new URL(url)
    own.username = user
    own.password = password
    return own.href
  }
  const appUrl = urlOf(roles.app, roles.app_password)
  const shared = {
    NODE_ENV: 'production',
    AUTH_ISSUER: 'https://auth.test',
    AUTH_MASTER_KEY_FILE: secret('master_key', randomBytes(32).toString('base64')),
    AUTH_DATA_DIR: join(folder, 'never-made')
  }
  const replica = {
    ...shared,
    DATABASE_URL_FILE: secret('app_database_url', appUrl),
    AUTH_TRUSTED_PROXIES: '127.0.0.1',
    AUTH_BOOTSTRAP_ADMIN_USERNAME: 'admin',
    AUTH_BOOTSTRAP_ADMIN_PASSWORD_FILE: secret('admin_password', goodPassword)
  }

  const early = await keyturn(['serve'], replica)
  t.match(early, { code: 1, stderr: /Run `keyturn migrate up`/ }, 'before the migration no replica starts')
  const ownerUrl = secret('owner_database_url', urlOf(roles.owner, roles.owner_password))
  t.match(await keyturn(['migrate', 'up'], { ...shared, DATABASE_URL_FILE: ownerUrl }), { code: 0 })
  await t.rejects(query(appUrl, 'create table mine (id int)'), { code: '42501' }, 'the run-time role makes no tables')
  await t.rejects(query(appUrl, 'drop table session'), { code: '42501' })

  const replicas = await Promise.all([startService(t, replica), startService(t, replica)])
  if (!hasNginx) t.comment('nginx is not installed: a proxy of the test’s own stands for it')
  const proxy = await (hasNginx ? nginx(t, replicas) : plainProxy(t, replicas))
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    request(proxy + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body)
    })

  t.equal((await post('/v1/login', { username: 'admin', password: goodPassword })).status, 200)
  t.equal((await post('/v1/register', { username: 'grace', password: goodPassword })).status, 201)
  const forged = { 'x-forwarded-for': '203.0.113.66' }
  let tokens = (await (await post('/v1/login', { username: 'grace', password: goodPassword }, forged)).json()) as Tokens
  for (let n = 0; n < 20; n++) {
    const response = await post('/v1/refresh', { refresh_token: tokens.refresh_token })
    t.equal(response.status, 200)
    tokens = (await response.json()) as Tokens
  }
  const devices = await request(`${proxy}/v1/sessions`, { headers: { authorization: `Bearer ${tokens.access_token}` } })
  t.match(await devices.json(), { sessions: [{ address: '127.0.0.1' }] }, 'a forged address never counts')

  const [one, two] = replicas
  t.equal((await one.post('/v1/logout', { refresh_token: tokens.refresh_token })).status, 204)
  t.equal((await two.post('/v1/refresh', { refresh_token: tokens.refresh_token })).status, 401, 'the other one knows')

  tokens = (await (await post('/v1/login', { username: 'grace', password: goodPassword })).json()) as Tokens
  await one.kill('SIGKILL')
  for (let n = 0; n < 5; n++) {
    const response = await post('/v1/refresh', { refresh_token: tokens.refresh_token })
    t.equal(response.status, 200, 'one replica less, and nobody is signed out')
    tokens = (await response.json()) as Tokens
  }
  if (hasNginx) {
    await two.kill('SIGKILL')
    const response = await post('/v1/refresh', { refresh_token: tokens.refresh_token })
    t.equal(response.status, 503, 'without replicas nginx says what the service would say, and not 502')
    t.equal(response.headers.get('content-type'), 'application/problem+json')
    t.equal(response.headers.get('retry-after'), '1')
    t.match(await response.json(), { status: 503, code: 'service_unavailable' })
  }
  t.notOk(existsSync(shared.AUTH_DATA_DIR), 'a replica writes nothing to its disk')
})
