import { randomBytes } from 'node:crypto'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { migrationNames } from '../../db/migrate.js'
import { type AppOptions, buildApp } from '../../src/app.js'
import { loadBlocklist } from '../../src/password-lists.js'
import { contract } from './contract.js'
import { freshDatabase } from './postgres.js'

export const goodPassword = 'correct horse battery'
export const issuer = 'https://auth.test'

const minute = 60_000
const day = 24 * 60 * minute
const blocklist = loadBlocklist()
const [latestMigration = ''] = (await migrationNames()).slice(-1)

export interface Tokens {
  access_token: string
  refresh_token: string
  expires_in: number
  refresh_token_timeout: number
  authorization_expires_in: number
  user: { id: string; username: string; roles: string[] }
}

export type Change = (options: AppOptions) => AppOptions

/** What a team adds that embeds the service: routes of its own, on the instance that was built. */
export type Embed = (app: FastifyInstance) => void | Promise<void>

/** The settings of a test's service: real in everything but the cost of a hash. */
export function testOptions(url: string, clock: () => Date): AppOptions {
  return {
    logger: false,
    version: '0.0.0',
    trustedProxies: [],
    issuer,
    audience: ['api'],
    allowedOrigins: ['https://app.test'],
    masterKey: Buffer.alloc(32, 'test master key'),
    previousMasterKeys: [],
    connections: {
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      keepAliveTimeout: 72_000,
      checkInterval: 2_000,
      maxHeaderSize: 16 * 1024,
      max: null
    },
    database: { url, poolSize: 10, timeout: 5_000 },
    tracing: { endpoint: null, headers: {}, resource: {}, sampler: 'parentbased_always_on', ratio: 1, timeout: 2_000 },
    breachedPasswords: { source: null, timeout: 2_000 },
    passwords: {
      memory: 8,
      iterations: 1,
      peppers: { current: null, known: [] },
      concurrency: 1,
      legacyConcurrency: 1,
      maxWaiting: 100,
      maxWait: 5_000
    },
    overload: { delay: null, requests: null, interval: 10 },
    flows: {
      lifetimes: { access: 10 * minute, refreshIdle: 14 * day, session: 30 * day },
      rotation: { replayWindow: 30_000, lostResponse: 'recover' },
      sessionsPerAccount: null,
      passwordPolicy: { minLength: 15, blocklist, contextWords: [] },
      guessing: { free: 5, max: 100 },
      stuffing: null,
      signUp: 'open',
      tokenOnRegister: false,
      clientId: 'web',
      statusList: false,
      loopbackReceivers: true
    },
    authenticators: { order: ['session', 'token', 'bearer'], custom: [] },
    dpop: { nonce: 'off' },
    drf: { authenticators: ['bearer', 'token'], rotate: false, knox: { lifetime: 10 * 60 * minute, limit: 100 } },
    rateLimits: { signIn: null, register: null, refresh: null, logout: null, clientFailures: null, store: 'postgres' },
    forwardAuth: { audiences: [], tokenLifetime: 60_000, email: false, login: null },
    revocations: { pollInterval: 60_000, maxStaleness: 600_000, whenStale: 'deny' },
    audit: { retention: 90 * day, chain: false, within: 'service', linkInterval: 60_000 },
    broom: { interval: null, batch: 100, kept: day },
    metrics: { host: '127.0.0.1', port: null },
    revocationFeed: { access: 'public', maxWaiting: 50, maxStreams: 20, heartbeat: 60_000, slowAfter: 60_000 },
    statusListInterval: 0,
    events: { pollInterval: 60_000, timeout: 5_000 },
    signing: {
      algorithm: 'ES256',
      pollInterval: 60_000,
      rotationInterval: null,
      provider: 'local',
      providers: [],
      providerTimeout: 1_000
    },
    jwksMaxAge: 300,
    leeway: 5,
    docs: false,
    latestMigration,
    clock
  }
}

export interface World {
  readonly app: FastifyInstance
  readonly url: string
  readonly logs: string[]
  now(): Date
  /** Moves the service's clock, in milliseconds. */
  wait(milliseconds: number): void
  post(url: string, body?: object, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  get(url: string, accessToken?: string): Promise<LightMyRequestResponse>
  as(
    accessToken: string,
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    body?: object
  ): Promise<LightMyRequestResponse>
  /** Registers an account with `goodPassword`, and tells its username. */
  account(username?: string): Promise<string>
  login(username: string): Promise<Tokens>
  /** Makes a role. */
  role(name: string, permissions?: readonly string[]): Promise<void>
  /** An account that has the role admin, signed in. */
  admin(): Promise<Tokens>
  refresh(refreshToken: string): Promise<LightMyRequestResponse>
  /** Opens every connection of the pool, so that what runs at once really does. */
  warm(): Promise<void>
  /** A second service on the same database and clock. */
  replica(change?: Change): Promise<FastifyInstance>
}

/** Headers that a page of the service's own origin sends. */
export const fromOwnPage = {
  'content-type': 'application/json',
  'x-auth-request': '1',
  'sec-fetch-site': 'same-origin'
}

/** A service on a database of its own, with its clock in the test's hand; gone with the test. */
export async function world(t: Test, change: Change = (options) => options, embed: Embed = () => {}): Promise<World> {
  const { url } = await freshDatabase(t)
  let time = Date.parse('2030-01-01T12:00:00Z')
  const clock = () => new Date(time)
  const logs: string[] = []
  const faults: string[] = []

  // Registered first, so it runs last: what throws here must not keep the service open.
  t.teardown(() => {
    if (faults.length > 0) throw new Error(`responses that are not what openapi.yaml says:\n${faults.join('\n')}`)
  })

  const start = async (change: Change) => {
    const options = change({
      ...testOptions(url, clock),
      before: contract(faults),
      logger: { level: 'info', stream: { write: (line: string) => void logs.push(line) } }
    })
    const app = await buildApp(options)
    t.teardown(() => app.close())
    await embed(app)
    await app.ready()
    return app
  }
  const app = await start(change)

  const post: World['post'] = (path, body, headers = {}) =>
    app.inject({ method: 'POST', url: path, headers, ...(body === undefined ? {} : { payload: body }) })
  const as: World['as'] = (accessToken, method, path, body) =>
    app.inject({
      method,
      url: path,
      headers: { authorization: `Bearer ${accessToken}` },
      ...(body === undefined ? {} : { payload: body })
    })
  const login = async (username: string): Promise<Tokens> => {
    const response = await post('/v1/login', { username, password: goodPassword })
    if (response.statusCode !== 200) throw new Error(`login: ${response.body}`)
    return response.json()
  }

  return {
    app,
    url,
    logs,
    now: clock,
    wait: (milliseconds) => {
      time += milliseconds
    },
    post,
    as,
    get: (path, accessToken) =>
      app.inject({ url: path, headers: accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` } }),
    async account(username = `user-${randomBytes(6).toString('hex')}`) {
      const response = await post('/v1/register', { username, password: goodPassword })
      if (response.statusCode !== 201) throw new Error(`register: ${response.body}`)
      return username
    },
    login,
    async role(name, permissions = []) {
      await app.flows.putRole({ name, permissions })
    },
    async admin() {
      const account = await app.flows.createAccount({
        username: `admin-${randomBytes(6).toString('hex')}`,
        password: goodPassword,
        roles: ['admin']
      })
      return await login(account.username)
    },
    refresh: (refreshToken) => post('/v1/refresh', { refresh_token: refreshToken }),
    async warm() {
      await Promise.all(Array.from({ length: 10 }, () => app.readiness()))
    },
    replica: (change = (options) => options) => start(change)
  }
}
