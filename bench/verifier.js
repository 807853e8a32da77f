// What it costs to verify a token in another service, beside jose, and how soon it learns of a sign-out: node bench/verifier.js [--quick]
import { spawnSync } from 'node:child_process'
import { createPublicKey, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { importJWK, jwtVerify } from 'jose'
import { migrateUp } from '../dist/db/migrate.js'
import { startEmbeddedPostgres } from '../dist/src/embedded/postgres.js'
import { createVerifier } from '../packages/verifier/dist/packages/verifier/src/index.js'
import { createTestIssuer } from '../packages/verifier/dist/packages/verifier/src/testing.js'
import { freePort, start, stopAll } from './lib/processes.js'
import { median } from './lib/report.js'

const quick = process.argv.includes('--quick')
const rounds = quick ? 3 : 7
const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
const missed = []
const bound = (holds, sentence) => {
  console.log(`${holds ? 'ok    ' : 'MISSED'}  ${sentence}`)
  if (!holds) missed.push(sentence)
}

/** Microseconds of this process's CPU, all threads, per call. */
async function cpuOf(count, work) {
  const before = process.cpuUsage()
  for (let n = 0; n < count; n++) await work(n)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}

/** The middle of several rounds, taken in turns so that a busy moment hits all alike; the first warms up. */
async function compare(count, contenders) {
  const figures = new Map(Object.keys(contenders).map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of Object.entries(contenders)) {
      const figure = await cpuOf(count[name] ?? count.all, work)
      if (round > 0) figures.get(name).push(figure)
    }
  }
  return Object.fromEntries([...figures].map(([name, list]) => [name, median(list)]))
}

const all = (issuer, count) => Promise.all(Array.from({ length: count }, () => issuer.token({ roles: ['editor'] })))

async function verifying(algorithm) {
  const issuer = await createTestIssuer({ algorithm })
  const tokens = await all(issuer, 500)
  const cold = createVerifier({ ...issuer.options, rememberedTokens: 0 })
  const warm = createVerifier(issuer.options)
  const answer = await issuer.options.fetch(`${issuer.issuer}/.well-known/jwks.json`)
  const [jwk] = (await answer.json()).keys
  const webKey = await importJWK(jwk, algorithm)
  const nodeKey = createPublicKey({ key: jwk, format: 'jwk' })
  const expected = {
    issuer: issuer.issuer,
    audience: issuer.audience,
    typ: 'at+jwt',
    algorithms: [algorithm],
    clockTolerance: 5,
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id']
  }
  for (const token of tokens) await warm.verify(token)
  const at = (n) => tokens[n % tokens.length]
  const figures = await compare(
    { all: quick ? 500 : 1_000, warm: 100_000 },
    {
      cold: (n) => cold.verify(at(n)),
      jose: (n) => jwtVerify(at(n), webKey, expected),
      joseNodeKey: (n) => jwtVerify(at(n), nodeKey, expected),
      warm: (n) => warm.verify(at(n))
    }
  )
  const times = (by) => figures.jose / figures[by]
  console.log(
    `\n${algorithm}: jose ${figures.jose.toFixed(1)} µs (with a KeyObject ${figures.joseNodeKey.toFixed(1)}), ` +
      `cold ${figures.cold.toFixed(1)} µs, remembered ${figures.warm.toFixed(2)} µs of CPU`
  )
  bound(
    times('cold') >= 1.2,
    `${algorithm}: a token is verified ${times('cold').toFixed(2)} times as fast as by jose (1.2)`
  )
  bound(times('warm') >= 20, `${algorithm}: one that is remembered ${times('warm').toFixed(0)} times (20)`)
  await cold.close()
  await warm.close()
}

/** The memory once all that is garbage is gone, also what is let go of in the background. */
async function settledMemory() {
  for (let n = 0; n < 5; n++) {
    globalThis.gc()
    await setTimeout(50)
  }
  return process.memoryUsage()
}

async function withRevocations() {
  const live = 100_000
  const issuer = await createTestIssuer({
    revocation: { mode: 'feed', interval: 300, maxStaleness: 300, onStale: 'deny' }
  })
  const tokens = await all(issuer, 500)
  for (let n = 0; n < live; n++) issuer.revoke(randomUUID(), n % 10 === 0 ? 'account' : 'session')
  issuer.revoke('auditor', 'role')
  // Another one has loaded whatever is loaded once; it stays, so that none of it is let go of in between.
  const first = createVerifier(issuer.options)
  await first.ready()
  const verifier = createVerifier(issuer.options)
  const before = await settledMemory()
  await verifier.ready()
  const after = await settledMemory()
  const bytes = after.heapUsed - before.heapUsed + after.external - before.external
  const { entries } = verifier.health().revocation
  await first.close()
  for (const token of tokens) await verifier.verify(token)
  const { warm } = await compare({ all: 100_000 }, { warm: (n) => verifier.verify(tokens[n % tokens.length]) })
  console.log('')
  bound(entries === live + 1, `${entries.toLocaleString('en')} revocations are live`)
  bound(bytes < 20 * 1024 * 1024, `they cost ${(bytes / 1024 / 1024).toFixed(1)} MiB (20)`)
  bound(warm < 3, `a remembered token is held against them in ${warm.toFixed(2)} µs of CPU (3)`)
  await verifier.close()
}

async function flood() {
  const issuer = await createTestIssuer()
  const verifier = createVerifier(issuer.options)
  const [head, ...rest] = (await issuer.token()).split('.')
  const header = JSON.parse(Buffer.from(head, 'base64url').toString())
  for (let n = 0; n < 1_000; n++) {
    const other = Buffer.from(JSON.stringify({ ...header, kid: `kid-${n}` })).toString('base64url')
    const { error } = await verifier.tryVerify([other, ...rest].join('.'))
    if (error?.status !== 401) throw new Error('an id that nobody has was not refused')
  }
  const { fetches } = verifier.health().keys
  bound(fetches === 1, `1,000 ids that nobody has cost ${fetches} fetch (1)`)
  await verifier.close()
}

/** Milliseconds from the answer of a sign-out on one replica to its end at a verifier that hangs on another one. */
async function signingOut() {
  const folder = mkdtempSync(join(tmpdir(), 'keyturn-bench-'))
  const database = await startEmbeddedPostgres({ dataDir: folder })
  try {
    await migrateUp(database.url)
    const replicas = []
    for (let n = 0; n < 2; n++) {
      const port = await freePort()
      await start(
        [main, 'serve'],
        {
          DATABASE_URL: database.url,
          AUTH_DATA_DIR: folder,
          AUTH_ISSUER: 'http://auth.localhost',
          AUTH_AUDIENCE: 'api',
          PORT: String(port),
          LOG_LEVEL: 'warn',
          AUTH_RATE_LIMIT_SIGN_IN: 'off',
          AUTH_RATE_LIMIT_REGISTER: 'off'
        },
        'ready in'
      )
      replicas.push(`http://127.0.0.1:${port}`)
    }
    const post = async (path, body) => {
      const response = await fetch(replicas[0] + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
      const text = await response.text()
      return text === '' ? {} : JSON.parse(text)
    }
    const credentials = { username: 'ada', password: 'correct horse battery' }
    await post('/v1/register', credentials)
    console.log('')
    for (const [mode, interval, most] of [
      ['push', 15, 250],
      ['feed', 1, 1_000 + 250]
    ]) {
      const verifier = createVerifier({
        issuer: 'http://auth.localhost',
        audience: 'api',
        baseUrl: replicas[1],
        revocation: { mode, interval, onStale: 'deny' }
      })
      await verifier.ready()
      const figures = []
      for (let n = 0; n < (quick ? 5 : 20); n++) {
        const tokens = await post('/v1/login', credentials)
        const ends = verifier.ended(await verifier.verify(tokens.access_token)).then(() => performance.now())
        await post('/v1/logout', { refresh_token: tokens.refresh_token })
        const answered = performance.now()
        figures.push((await ends) - answered)
      }
      await verifier.close()
      const [middle, worst] = [median(figures), Math.max(...figures)]
      const how = mode === 'push' ? 'pushed' : `polled every ${interval} s`
      bound(
        worst < most,
        `a sign-out on one replica is known at the other one’s verifier, ${how}, after ${middle.toFixed(0)} ms, ` +
          `${worst.toFixed(0)} ms at the worst (${most})`
      )
    }
  } finally {
    stopAll()
    await database.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

if (globalThis.gc === undefined) {
  // Memory is only to be told where what is garbage can be collected first.
  const { status } = spawnSync(process.execPath, ['--expose-gc', ...process.argv.slice(1)], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} else {
  console.log(`Node ${process.version}, ${availableParallelism()} cores`)
  for (const algorithm of ['ES256', 'EdDSA', 'RS256', 'PS256']) await verifying(algorithm)
  await withRevocations()
  await flood()
  await signingOut()
  if (missed.length > 0) process.exitCode = 1
}
