// What the door costs, for each request that a proxy asks about, beside /v1/me: node bench/door.js [--quick]
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { migrateUp } from '../dist/db/migrate.js'
import { startEmbeddedPostgres } from '../dist/src/embedded/postgres.js'
import { load } from './lib/load.js'
import { freePort, start, stopAll } from './lib/processes.js'
import { median } from './lib/report.js'

const quick = process.argv.includes('--quick')
const rounds = quick ? 1 : 5
const seconds = quick ? 1 : 3
const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
const database = await startEmbeddedPostgres({ dataDir: folder })
try {
  await migrateUp(database.url)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const { pid } = await start(
    [main, 'serve'],
    {
      DATABASE_URL: database.url,
      AUTH_DATA_DIR: folder,
      AUTH_ISSUER: url,
      AUTH_TRUSTED_PROXIES: '127.0.0.1',
      AUTH_FORWARD_AUTH_AUDIENCE: 'shop',
      PORT: String(port),
      LOG_LEVEL: 'warn'
    },
    'ready in'
  )
  const post = async (path, body) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: url, 'x-auth-request': '1' },
      body: JSON.stringify(body)
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response
  }
  const credentials = { username: 'ada', password: 'correct horse battery' }
  await post('/v1/register', credentials)
  const { access_token: token } = await (await post('/v1/login', credentials)).json()
  const signIn = await post('/v1/login', { ...credentials, refresh_transport: 'cookie', session: true })
  const line = signIn.headers.getSetCookie().find((one) => one.includes('keyturn-session'))
  const cookie = line.split(';')[0]

  const forwarded = {
    'x-forwarded-for': '203.0.113.7',
    'x-forwarded-proto': 'http',
    'x-forwarded-host': `127.0.0.1:${port}`,
    'x-forwarded-method': 'GET',
    'x-forwarded-uri': '/orders?page=2'
  }
  const nginx = {
    'x-original-method': 'GET',
    'x-original-url': `${url}/orders?page=2`,
    'x-forwarded-for': '203.0.113.7'
  }
  const bearer = { authorization: `Bearer ${token}` }
  const target = { url, pid, connections: 32, seconds }
  const contenders = {
    'me, one token': () => load.get(target, '/v1/me', bearer),
    'door, one token': () => load.get(target, '/v1/forward-auth', { ...forwarded, ...bearer }),
    'door for nginx, one token': () => load.get(target, '/v1/forward-auth/nginx', { ...nginx, ...bearer }),
    'me, session cookie': () => load.get(target, '/v1/me', { cookie }),
    'door, session cookie': () => load.get(target, '/v1/forward-auth', { ...forwarded, cookie })
  }
  const figures = new Map(Object.keys(contenders).map((name) => [name, []]))
  // In turns, so that a busy moment hits all alike; the first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of Object.entries(contenders)) {
      const figure = await work()
      if (round > 0) figures.get(name).push(figure)
    }
  }
  console.log(`Node ${process.version}, ${availableParallelism()} cores; 32 clients, with a JWT for the upstream\n`)
  console.log('| | a second | CPU of the service, µs | ÷ me |\n| --- | ---: | ---: | ---: |')
  for (const [name, list] of figures) {
    const me = figures.get(name.endsWith('cookie') ? 'me, session cookie' : 'me, one token')
    const micros = median(list.map(({ cpuMicros }) => cpuMicros))
    const ratio = median(list.map(({ cpuMicros }, round) => cpuMicros / me[round].cpuMicros))
    const rate = Math.round(median(list.map((one) => one.rate)))
    console.log(`| ${name} | ${rate.toLocaleString('en')} | ${micros.toFixed(0)} | ${ratio.toFixed(2)} |`)
  }
} finally {
  stopAll()
  await database.stop()
  rmSync(folder, { recursive: true, force: true })
}
