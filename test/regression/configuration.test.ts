import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ConfigError, readConfig } from '../../src/config.js'

/** Settings that must not start, and what is installed. */

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://keyturn:x@localhost/keyturn',
  AUTH_ISSUER: 'https://auth.example.com',
  AUTH_MASTER_KEY: randomBytes(32).toString('base64')
}
const faultsOf = (change: Record<string, string | undefined>): readonly string[] => {
  try {
    readConfig({ ...production, ...change }, '0.0.0')
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
}

t.test('CVE-2023-27524 and CVE-2026-107720: production starts with no missing, sample or guessable key', async (t) => {
  t.strictSame(faultsOf({}), [])
  for (const key of [
    undefined,
    '',
    ' ',
    'secret',
    'changeme',
    'null',
    'undefined',
    Buffer.alloc(32).toString('base64'),
    Buffer.alloc(32, 'a').toString('base64'),
    Buffer.alloc(32, 'abc').toString('base64'),
    randomBytes(31).toString('base64'),
    randomBytes(33).toString('base64'),
    randomBytes(16).toString('hex').slice(0, 31)
  ]) {
    const faults = faultsOf({ AUTH_MASTER_KEY: key })
    t.equal(faults.length, 1, `${key}`)
    t.match(faults[0], /^AUTH_MASTER_KEY .*openssl rand -base64 32/)
    if (key && key.trim() !== '') t.notOk(faults[0]!.includes(`"${key}"`), 'and is not repeated')
  }
  for (const [change, fault] of [
    [{ AUTH_ISSUER: 'http://auth.example.com' }, /^AUTH_ISSUER/],
    [{ AUTH_ISSUER: undefined }, /^AUTH_ISSUER/],
    [{ AUTH_ISSUER: 'https://auth.example.com/' }, /^AUTH_ISSUER/],
    [{ AUTH_ISSUER: 'https://auth.example.com?x' }, /^AUTH_ISSUER/],
    [{ AUTH_ALLOWED_ORIGINS: '*' }, /^AUTH_ALLOWED_ORIGINS/],
    [{ AUTH_ALLOWED_ORIGINS: 'null' }, /^AUTH_ALLOWED_ORIGINS/],
    [{ AUTH_ALLOWED_ORIGINS: 'http://app.example.com' }, /^AUTH_ALLOWED_ORIGINS/],
    [{ AUTH_SIGNING_ALGORITHM: 'none' }, /^AUTH_SIGNING_ALGORITHM/],
    [{ AUTH_SIGNING_ALGORITHM: 'HS256' }, /^AUTH_SIGNING_ALGORITHM/],
    [{ AUTH_TRUSTED_PROXIES: 'true' }, /^AUTH_TRUSTED_PROXIES/],
    [{ AUTH_TRUSTED_PROXIES: '*' }, /^AUTH_TRUSTED_PROXIES/],
    [{ AUTH_ACCESS_TTL: 'Infinity' }, /^AUTH_ACCESS_TTL/],
    [{ AUTH_ACCESS_TTL: '365d' }, /^AUTH_ACCESS_TTL/],
    [{ AUTH_AUDIENCE: ',' }, /^AUTH_AUDIENCE/],
    [{ AUTH_MASTERKEY: 'x' }, /^AUTH_MASTERKEY is not a setting/]
  ] as const) {
    t.match(faultsOf(change), [fault], JSON.stringify(change))
  }
})

t.test('a pattern among the allowed origins is refused at the start: nothing would ever match it', async (t) => {
  for (const origin of ['https://*.example.com', 'https://*']) {
    t.match(faultsOf({ AUTH_ALLOWED_ORIGINS: origin }), [/^AUTH_ALLOWED_ORIGINS/], origin)
  }
})

t.test('CVE-2025-20188: two installations that are told nothing have two keys', async (t) => {
  const keys = Array.from({ length: 2 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'keyturn-key-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const config = readConfig({ AUTH_DATA_DIR: folder }, '0.0.0')
    const { masterKey } = config.app('postgres://localhost/x')
    t.ok(masterKey.equals(config.app('postgres://localhost/x').masterKey), 'kept for the next start')
    return masterKey.toString('hex')
  })
  t.not(keys[0], keys[1])
})

t.test('CVE-2026-107721: the leeway of clocks is a small whole number, and not a setting', async (t) => {
  const { leeway } = readConfig(production, '0.0.0').app(production.DATABASE_URL)
  t.ok(Number.isSafeInteger(leeway) && leeway >= 0 && leeway <= 60)
  for (const name of ['AUTH_LEEWAY', 'AUTH_CLOCK_TOLERANCE']) t.equal(faultsOf({ [name]: 'Infinity' }).length, 1)
})

interface LockEntry {
  readonly version: string
  readonly resolved?: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly link?: boolean
}
const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, LockEntry>
}
const locked = Object.entries(lock.packages).filter(([path]) => path !== '')
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

function isAtLeast(version: string, floor: string): boolean {
  const numbers = (text: string) => text.split(/[.+-]/, 3).map(Number)
  const [one, other] = [numbers(version), numbers(floor)]
  const at = one.findIndex((number, n) => number !== other[n])
  return at < 0 || one[at]! > other[at]!
}

t.test('every package that is locked is one without the known holes', async (t) => {
  const floors: Record<string, string> = {
    fastify: '5.12.2',
    '@fastify/jwt': '10.2.2',
    'fast-jwt': '6.3.1',
    jose: '6.2.17',
    '@fastify/rate-limit': '11.2.0'
  }
  for (const [name, floor] of Object.entries(floors)) {
    const versions = locked.filter(([path]) => nameOf(path) === name).map(([, { version }]) => version)
    if (name !== '@fastify/rate-limit') t.ok(versions.length > 0, `${name} is there`)
    for (const version of versions) t.ok(isAtLeast(version, floor), `${name} ${version} is at least ${floor}`)
  }
  t.ok(
    isAtLeast('10.2.2', '10.2.2') &&
      isAtLeast('6.10.0', '6.9.9') &&
      !isAtLeast('5.12.1', '5.12.2') &&
      !isAtLeast('5.9.9', '5.12.2')
  )
  const unwanted = new Set([
    '@fastify/middie',
    '@fastify/express',
    'jsonwebtoken',
    'jwt-simple',
    'node-jose',
    'express',
    'bcrypt',
    'passport'
  ])
  t.strictSame(
    locked.filter(([path, { dev }]) => !dev && unwanted.has(nameOf(path))).map(([path]) => path),
    []
  )
})

t.test('Shai-Hulud: what is installed is what was locked, and runs nothing while it is', async (t) => {
  /** The packages of this repository itself, and their links. */
  const isOurs = ([path, { link, resolved }]: (typeof locked)[number]) =>
    /^packages\/[a-z]+$/.test(path) || (link === true && /^packages\/[a-z]+$/.test(resolved ?? ''))
  const suspicious = locked
    .filter((one) => !isOurs(one))
    .filter(
      ([, { integrity, resolved, link }]) =>
        link || !/^sha512-/.test(integrity ?? '') || !(resolved ?? 'https://').startsWith('https://')
    )
  t.ok(locked.length > 100)
  t.strictSame(
    suspicious.map(([path]) => path),
    []
  )
  t.match(readFileSync(new URL('../../.npmrc', import.meta.url), 'utf8'), /^ignore-scripts=true$/m)
})
