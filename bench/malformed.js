// What a broken credential costs: node bench/malformed.js [--requests N]
// Sends each over loopback on one connection, prints p50 and p99 per scheme, and exits with 1 where a p50 is above 5 ms.
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { migrateUp } from '../dist/db/migrate.js'
import { readConfig } from '../dist/src/config.js'
import { startEmbeddedPostgres } from '../dist/src/embedded/postgres.js'
import { buildConfiguredApp } from '../dist/src/server.js'
import { brokenForms } from './lib/malformed.js'

const { values: options } = parseArgs({ options: { requests: { type: 'string' } } })
const requests = Number(options.requests ?? 500)
const bound = 5
const password = 'correct horse battery'

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
const undo = [() => rmSync(folder, { recursive: true, force: true })]

/** One request on the agent's one connection; its status and how many milliseconds it took. */
function send(agent, port, { method = 'GET', path, headers = {}, body }) {
  return new Promise((resolve, reject) => {
    const from = performance.now()
    const sent = request({ agent, port, host: '127.0.0.1', method, path, headers }, (response) => {
      response.resume().on('end', () => resolve({ status: response.statusCode, took: performance.now() - from }))
    })
    sent.on('error', reject).end(body)
  })
}

async function run() {
  let { BENCH_DATABASE_URL: url } = process.env
  if (url === undefined) {
    const postgres = await startEmbeddedPostgres({ dataDir: folder })
    undo.unshift(() => postgres.stop())
    url = postgres.url
  }
  await migrateUp(url)
  const settings = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: folder,
    AUTH_AUTHENTICATORS: 'session,token,bearer,basic',
    AUTH_RATE_LIMIT: 'off'
  }
  const app = await buildConfiguredApp(readConfig(settings, '0.0.0'), url, { logger: false })
  undo.unshift(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address()

  const username = `bench-${Date.now()}`
  const { id } = await app.flows.createAccount({ username, password })
  const { key } = await app.flows.createApiToken(id, { name: 'bench' })
  const client = { userAgent: null, address: null }
  const { accessToken, refreshToken } = await app.flows.login({ username, password }, 'body', client)
  const cookie = await sessionCookie(port, username)

  const by = (scheme, path) => (value) => ({ path, headers: { authorization: `${scheme} ${value}` } })
  const inBody = (path, member) => (value) => ({
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ [member]: value })
  })
  const basic = Buffer.from(`${username}:${password}`).toString('base64')
  const schemes = [
    ['session cookie', cookie.value, (value) => ({ path: '/v1/me', headers: { cookie: `${cookie.name}=${value}` } })],
    ['Token', key, by('Token', '/v1/me')],
    ['Bearer', accessToken, by('Bearer', '/v1/me')],
    ['Basic, malformed', basic, by('Basic', '/v1/me')],
    ['Django: Token', key, by('Token', '/auth/users/me/')],
    ['Django: Bearer', accessToken, by('Bearer', '/auth/users/me/')],
    ['/api/token/refresh/', refreshToken, inBody('/api/token/refresh/', 'refresh')],
    ['/api/token/verify/', refreshToken, inBody('/api/token/verify/', 'token')],
    ['/api/token/blacklist/', refreshToken, inBody('/api/token/blacklist/', 'refresh')]
  ]

  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  undo.unshift(() => agent.destroy())
  let worst = 0
  console.log('scheme                      p50 ms    p99 ms  slowest form')
  for (const [name, good, shape] of schemes) {
    const isBody = shape('x').body !== undefined
    // A client of Node sends no control characters and nothing but Latin-1 in a header; a changed password is a password.
    const forms = brokenForms(good).filter(
      ({ value, changed, isControl }) =>
        (isBody || (!isControl && /^[\t\x20-\xff]*$/.test(value))) && !(changed && name.startsWith('Basic'))
    )
    const took = []
    for (let n = -forms.length; n < requests; n++) {
      const { title, value } = forms.at(n % forms.length)
      const answer = await send(agent, port, shape(value))
      if (answer.status !== 400 && answer.status !== 401) throw new Error(`${name}, ${title}: ${answer.status}`)
      if (n >= 0) took.push({ title, took: answer.took })
    }
    took.sort((a, b) => a.took - b.took)
    const at = (share) => took[Math.floor(share * (took.length - 1))].took
    worst = Math.max(worst, at(0.5))
    const figures = [at(0.5), at(0.99)].map((value) => value.toFixed(2).padStart(8)).join('  ')
    console.log(`${name.padEnd(24)}  ${figures}  ${took.at(-1).title}`)
  }
  console.log(worst > bound ? `\nA median is above ${bound} ms.` : `\nEvery median is below ${bound} ms.`)
  return worst > bound ? 1 : 0
}

/** The cookie that a page would send. */
async function sessionCookie(port, username) {
  const response = await fetch(`http://127.0.0.1:${port}/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-request': '1', origin: 'http://localhost:3000' },
    body: JSON.stringify({ username, password, refresh_transport: 'cookie', session: true })
  })
  const [, name, value] = /(keyturn-session)=([^;]+)/.exec(response.headers.getSetCookie().join('\n')) ?? []
  if (value === undefined) throw new Error(`no session cookie: ${await response.text()}`)
  return { name, value }
}

try {
  process.exitCode = await run()
} finally {
  for (const one of undo) await one()
}
