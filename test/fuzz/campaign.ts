import type { AddressInfo } from 'node:net'
import v8 from 'node:v8'
import vm from 'node:vm'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import pg from 'pg'
import type { Test } from 'tap'
import { exchange } from '../support/wire.js'
import { goodPassword, type World, world } from '../support/world.js'
import { type Cast, fill, freshCast } from './cast.js'
import { type Answer, faultOf, pathOf } from './judge.js'
import { type FuzzRequest, requests, type Undocumented } from './requests.js'

/** Requests with the same cast: most of what they spoil, they spoil for themselves. */
const perCast = 250

v8.setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc') as () => void

/** Bytes in use once everything has gone that nobody holds. */
async function heap(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    collect()
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

interface Subject {
  readonly w: World
  readonly port: number
  readonly undocumented: readonly Undocumented[]
  /** Lines of the log that tell of a fault in the service. */
  readonly alarms: string[]
}

/** A service that listens, with every route that it can have. */
async function subject(t: Test): Promise<Subject> {
  const alarms: string[] = []
  const routes: Undocumented[] = []
  const documented = new Set<string>()
  const w = await world(t, (options) => {
    return {
      ...options,
      // What is compiled meanwhile would be taken for what stays behind.
      schemas: 'ahead',
      trustedProxies: ['127.0.0.1'],
      authenticators: { order: ['session', 'token', 'bearer', 'basic'], custom: [] },
      flows: { ...options.flows, statusList: true, guessing: { free: 1_000_000, max: 2_000_000 } },
      logger: {
        level: 'info',
        stream: { write: (line: string) => void (JSON.parse(line).level >= 50 && alarms.push(line)) }
      },
      // The judge holds answers against the document, also those that no route gave.
      before: fp(async (app) => {
        app.addHook('onRoute', ({ method, url, schema }) => {
          for (const one of [method].flat()) {
            if (one === 'HEAD' || one === 'OPTIONS') continue
            routes.push({ method: one, url })
            if (schema !== undefined && !('hide' in schema && schema.hide)) documented.add(`${one} ${url}`)
          }
        })
      })
    }
  })
  await w.app.listen({ port: 0, host: '127.0.0.1' })
  return {
    w,
    port: (w.app.server.address() as AddressInfo).port,
    undocumented: routes.filter(({ method, url }) => !documented.has(`${method} ${url}`)),
    alarms
  }
}

/** Whose errors are Django’s words. */
const isDrf = (url: string) => /^\/(api|auth|api-token-auth)\//.test(pathOf(url))

async function overSocket(port: number, { method, headers, body }: FuzzRequest, url: string): Promise<Answer | string> {
  const length = body === '' ? [] : [`content-length: ${body.length}`]
  const lines = [
    `${method} ${url} HTTP/1.1`,
    'host: auth.test',
    'connection: close',
    ...length,
    ...headers.map(([name, value]) => `${name}: ${value}`)
  ]
  const { answers, rest } = await exchange(port, `${lines.join('\r\n')}\r\n\r\n${body}`, {
    methods: [method],
    patience: 10_000,
    until: (_answers, text) => text.includes('text/event-stream')
  })
  if (rest.includes('text/event-stream')) return { method, url, status: 200, headers: () => undefined, body: '' }
  const [answer] = answers
  if (answers.length !== 1 || rest !== '') return `${answers.length} answers, and ${JSON.stringify(rest.slice(0, 200))}`
  return {
    method,
    url,
    status: answer!.status,
    headers: (name) => answer!.headers.get(name),
    body: Buffer.from(answer!.body, 'latin1').toString()
  }
}

async function inProcess(app: FastifyInstance, { method, headers, body }: FuzzRequest, url: string): Promise<Answer> {
  const grouped: Record<string, string[]> = Object.create(null)
  for (const [name, value] of headers) grouped[name] = [...(grouped[name] ?? []), value]
  const response = await app.inject({
    method: method as 'GET',
    url,
    headers: grouped as unknown as Record<string, string>,
    ...(body === '' ? {} : { payload: Buffer.from(body, 'latin1') })
  })
  return {
    method,
    // What the library made of it is what was asked.
    url: response.raw.req.url ?? url,
    status: response.statusCode,
    headers: (name) => response.headers[name]?.toString(),
    body: response.body
  }
}

export interface Outcome {
  /** What was wrong, with what was sent, and with what FUZZ_REPLAY runs it again by. */
  readonly faults: readonly string[]
  readonly sent: number
  /** How often each status was answered. */
  readonly statuses: ReadonlyMap<number, number>
  readonly bytesPerRequest: number
}

/** The number that everything random follows from, and what makes one run again. */
const [replaySeed, replayPath] = process.env.FUZZ_REPLAY?.split('|') ?? []

/**
 * Sends so many requests of chance, and holds every answer to what every answer must be. Each fault comes with what to run it
 * again by: FUZZ_REPLAY="seed|path", which also looks for the smallest request that does the same.
 */
export async function campaign(t: Test, total: number): Promise<Outcome> {
  const { w, port, undocumented, alarms } = await subject(t)
  const observer = new pg.Client({ connectionString: w.url })
  await observer.connect()
  t.teardown(() => observer.end())
  const statuses = new Map<number, number>()
  const findings = new Map<string, string>()
  const seed = replaySeed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(replaySeed)
  const slices = replayPath === undefined ? Math.max(3, Math.ceil(total / 2_000)) : 1
  let cast: Cast = await freshCast(w)
  let sent = 0
  let slice = 0
  let run = 0

  const property = fc.asyncProperty(requests(undocumented), async (one) => {
    if (sent > 0 && sent % perCast === 0) cast = await freshCast(w)
    sent++
    const request = {
      ...one,
      headers: one.headers.map(([name, value]) => [name, fill(value, cast)] as const),
      body: fill(one.body, cast)
    }
    const url = fill(one.url, cast)
    const answer = one.overSocket ? await overSocket(port, request, url) : await inProcess(w.app, request, url)
    const replay = `${seed + slice}|${run++}`
    if (typeof answer !== 'string') statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    const secrets = [...cast.secrets, w.url, goodPassword]
    const alarm = alarms.splice(0).join('')
    const fault = typeof answer === 'string' ? answer : (faultOf(answer, secrets, isDrf(answer.url)) ?? alarm)
    if (fault === '') return
    if (replayPath !== undefined) throw new Error(fault)
    const kind = `${one.method} ${fault.replace(/[0-9a-f-]{36}|user-\w+|[\w-]{30,}/g, '…').slice(0, 100)}`
    if (findings.size === 20 || findings.has(kind)) return
    findings.set(kind, `FUZZ_REPLAY="${replay}": ${fault} ${JSON.stringify(one)}`.slice(0, 900))
  })

  let settled = 0
  let settledAt = 0
  for (; slice < slices; slice++) {
    run = 0
    const numRuns = Math.ceil(total / slices)
    await fc.assert(property, {
      numRuns,
      seed: seed + slice,
      ...(replayPath === undefined ? {} : { path: replayPath })
    })
    // The first half fills what is meant to be filled: prepared statements, compiled code, caches with a bound.
    if (slice === Math.floor((slices - 1) / 2)) {
      settled = await heap()
      settledAt = sent
    }
  }
  const bytesPerRequest = settledAt === sent ? 0 : Math.round(((await heap()) - settled) / (sent - settledAt))
  t.comment(`${sent} requests by seed ${seed}; ${bytesPerRequest} bytes of memory a request`)
  t.comment(JSON.stringify(Object.fromEntries([...statuses].sort(([a], [b]) => a - b))))
  t.comment(`${Math.round(process.cpuUsage().user / 1_000)} ms of work in all`)
  const { rows } = await observer.query(
    "select state, query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and (state like 'idle in transaction%' or (state = 'active' and xact_start is not null))"
  )
  t.same(rows, [], 'no transaction is left open')
  t.equal((await w.app.inject('/readyz')).statusCode, 200, 'it goes on')
  t.equal((await w.login(await w.account())).user.roles.length, 0, 'and signs people in')
  t.equal(Object.keys(Object.prototype).length, 0, 'no prototype was written to')
  return { faults: [...findings.values()], sent, statuses, bytesPerRequest }
}
