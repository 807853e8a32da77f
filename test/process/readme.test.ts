import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { scratchFolder, startService } from '../support/service.js'

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')

t.test('the curl session of the README works word for word', async (t) => {
  const [, session] = /```bash\n([\s\S]*?)```/.exec(readme)!
  const { url } = await freshDatabase(t)
  const service = await startService(t, { DATABASE_URL: url, AUTH_DATA_DIR: join(scratchFolder(t), 'data') })

  const shell = spawn('bash', ['-euo', 'pipefail'], { env: { ...process.env, KEYTURN_URL: service.url } })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  shell.stdin.end(session)
  const [code] = await once(shell, 'close')
  t.equal(code, 0, output)
  const answers = output.match(/\{.*?\}(?=\{|\d|$)/gs) ?? []
  t.match(JSON.parse(answers[0]!.trim()), { user: { username: 'ada' } })
  t.match(output, /"amr":\["pwd"\]/, 'me')
  t.match(output, /204\n$/, 'logout')
  t.notMatch(output, /problems\//, 'and no step was refused')
})

t.test('the first screen of the README says what it is, how to start it, and shows a token’s life', async (t) => {
  const screen = readme.split('\n').slice(0, 42).join('\n')
  for (const sight of [
    /^# Keyturn\n\nA stateless JWT/,
    /npm ci && npm start/,
    /npm ci && npm test/,
    /v1\/logout/,
    /token-life\.svg/
  ]) {
    t.match(screen, sight)
  }
})

t.test('every setting that the README names is one', async (t) => {
  const example = await readFile(new URL('../../.env.example', import.meta.url), 'utf8')
  for (const [name] of readme.matchAll(/\b(AUTH_[A-Z_]+|DATABASE_URL|NODE_ENV)\b/g)) {
    t.ok(example.includes(`#${name.replace(/_FILE$/, '')}=`), name)
  }
})
