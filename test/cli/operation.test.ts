import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { emptyDatabase } from '../support/postgres.js'
import { cleanEnvironment, main, scratchFolder, startService } from '../support/service.js'
import { command, terminal } from '../support/terminal.js'
import { goodPassword } from '../support/world.js'

t.test('what is built is a program that npx can run', async (t) => {
  const { stdout } = await promisify(execFile)(main, ['--version'])
  t.match(stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('the interface that it prints is the one in the repository', async (t) => {
  const { run } = await terminal(t)
  const { stdout } = await run('openapi print')
  t.equal(stdout, readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8'))
})

t.test('a command ends quietly where nobody reads on', async (t) => {
  const { environment } = await terminal(t)
  const child = spawn(main, ['openapi', 'print'], { env: { ...cleanEnvironment(), ...environment } })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  child.stdout.destroy()
  const [code] = await once(child, 'exit')
  t.equal(stderr, '')
  t.equal(code, 141)
})

t.test('migrations are planned, applied once and told', async (t) => {
  const { url } = await emptyDatabase(t)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(scratchFolder(t), 'data') }
  const run = (line: string) => command(line.split(' '), environment)
  const before = await run('migrate status')
  t.equal(before.code, 1)
  t.match(before.stdout, /0001_accounts_and_sessions +yet to come/)
  t.match((await run('migrate plan')).stdout, /create table account/)
  t.match((await run('migrate up')).stdout, /^Applied 0001_accounts_and_sessions/)
  t.match((await run('migrate up')).stdout, /Nothing to do/)
  t.equal((await run('migrate status')).code, 0)
  t.match((await run('migrate plan')).stdout, /Nothing to do/)
})

t.test('wrong settings are told all at once, with what to do, and no secret is repeated', async (t) => {
  const wrong = await command(['config', 'check'], {
    DATABASE_URL: 'mysql://user:hunter2hunter2@host/db',
    AUTH_MASTER_KEY: 'too-short-to-be-a-key',
    AUTH_ACCES_TTL: '5m',
    AUTH_ACCESS_TTL: '2 days',
    AUTH_ISSUER: 'https://auth.example.com/',
    AUTH_ALLOWED_ORIGINS: 'https://app.example.com/path',
    AUTH_TRUSTED_PROXIES: '10.0.0.0/33',
    PORT: '99999'
  })
  t.equal(wrong.code, 2)
  for (const sentence of [
    /DATABASE_URL must be a URL such as postgres:/,
    /AUTH_MASTER_KEY must be 32 random bytes/,
    /AUTH_ACCES_TTL is not a setting of Keyturn\. Did you mean AUTH_ACCESS_TTL\?/,
    /AUTH_ACCESS_TTL must be a duration from 30s to 1h, such as 90s, 10m, 12h or 30d \(it is "2 days"\)/,
    /AUTH_ISSUER must be written without a slash at its end/,
    /AUTH_ALLOWED_ORIGINS must be written as https:\/\/app\.example\.com/,
    /AUTH_TRUSTED_PROXIES must be a network such as 10\.0\.0\.0\/8/,
    /PORT must be a whole number from 0 to 65535 \(it is "99999"\)/
  ]) {
    t.match(wrong.stderr, sentence)
  }
  t.notMatch(wrong.stderr, /hunter2|too-short/)
})

t.test('secrets come from files, from one place each', async (t) => {
  const file = join(scratchFolder(t), 'key')
  const key = Buffer.from('0123456789abcdefghijklmnopqrstuv').toString('base64')
  writeFileSync(file, `${key}\n`)
  const check = (environment: Record<string, string>) => command(['config', 'check'], environment)
  t.equal((await check({ AUTH_MASTER_KEY_FILE: file })).code, 0)
  t.match((await check({ AUTH_MASTER_KEY_FILE: file, AUTH_MASTER_KEY: key })).stderr, /are both set: keep one/)
  t.match((await check({ AUTH_MASTER_KEY_FILE: `${file}-missing` })).stderr, /cannot be read from .* \(ENOENT\)/)
  writeFileSync(file, '\n')
  t.match((await check({ AUTH_MASTER_KEY_FILE: file })).stderr, /is empty in/)
  const printed = await command(['config', 'print', '--json'], { AUTH_MASTER_KEY: key })
  t.notOk(printed.stdout.includes(key))
  t.match(JSON.parse(printed.stdout), { settings: [{ name: 'NODE_ENV', value: 'development', source: 'default' }] })
})

t.test('production refuses to start with unsafe settings, each with what to set', async (t) => {
  const refused = await command(['serve'], { NODE_ENV: 'production', AUTH_ISSUER: 'http://auth.example.com' })
  t.equal(refused.code, 2)
  for (const setting of [/DATABASE_URL is not set/, /AUTH_MASTER_KEY is not set/, /AUTH_ISSUER is not https/]) {
    t.match(refused.stderr, setting)
  }
})

t.test('in production a schema that is behind stops the start', async (t) => {
  const { url } = await emptyDatabase(t)
  const refused = await command(['serve'], {
    DATABASE_URL: url,
    NODE_ENV: 'production',
    AUTH_ISSUER: 'https://auth.example.com',
    AUTH_MASTER_KEY: Buffer.from('0123456789abcdefghijklmnopqrstuv').toString('base64')
  })
  t.equal(refused.code, 1)
  t.match(refused.stderr, /The database lacks \d+ migration.*Run `keyturn migrate up`/)
})

t.test('the doctor finds what is wrong, and the health check answers for containers', async (t) => {
  const { environment, run, json } = await terminal(t)
  const sick = await run('doctor')
  t.equal(sick.code, 1)
  t.match(sick.stdout, /FAILED +administrator: there is none; run `keyturn admin create/)
  t.match(sick.stdout, /ok +migrations: all \d+ applied/)
  await run('admin create root', goodPassword)
  t.equal((await run('doctor')).code, 0)
  t.match((await json('doctor --production')).findings, [
    { level: 'failure', subject: 'configuration', message: /AUTH_MASTER_KEY/ }
  ])

  const service = await startService(t, environment)
  const probe = (PORT: string) => command(['healthcheck'], { ...environment, PORT })
  t.match(await probe(new URL(service.url).port), { code: 0, stdout: 'ready\n' })
  await service.kill('SIGTERM')
  t.match(await probe(new URL(service.url).port), { code: 1, stdout: /not ready/ })
})

t.test('another master key is told as what it is', async (t) => {
  const { environment, run } = await terminal(t)
  await run('keys list')
  const other = await command(['keys', 'list'], { ...environment, AUTH_DATA_DIR: join(scratchFolder(t), 'other') })
  t.equal(other.code, 1)
  t.match(other.stderr, /sealed under another master key\. Set AUTH_MASTER_KEY/)
})

t.test('called wrongly, it says how', async (t) => {
  const attempts: Array<[string, RegExp]> = [
    ['frobnicate', /There is no command "frobnicate"/],
    ['user show', /Name one user/],
    ['user list --limit many', /--limit is 1 to 1000/],
    ['token mint ada --ttl soon', /"soon" is not a duration/],
    ['user create ada --password secret', /Unknown option '--password'/]
  ]
  for (const [line, sentence] of attempts) {
    const { code, stderr } = await command(line.split(' '), { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })
    t.equal(code, 2, line)
    t.match(stderr, sentence)
  }
  t.match((await command(['help'], {})).stdout, /Usage: keyturn <command>/)
  const down = await command(['user', 'list'], { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })
  t.equal(down.code, 1)
  t.match(down.stderr, /ECONNREFUSED/)
})
