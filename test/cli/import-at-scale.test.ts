import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { importing } from '../support/importing.js'
import { scratchFolder } from '../support/service.js'

const users = 20_000
const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const hash = 'pbkdf2_sha256$1000$9c8lwnkyHe3fOVWOaHMMUX$1JGrz8MpKlv/fdDOMCbZjTnUP6Yktdfypt5Qv1gWGE8='

/** A dump of Django with 20,000 users, every tenth with a token, each with so many characters that are not wanted. */
async function bigDump(t: Test, padding: number): Promise<string> {
  const path = join(scratchFolder(t), 'dump.json')
  const file = createWriteStream(path)
  const write = async (text: string) => {
    if (!file.write(text)) await once(file, 'drain')
  }
  await write('[')
  for (let id = 1; id <= users; id++) {
    const fields = {
      username: `user-${id}`,
      email: `user-${id}@example.com`,
      password: hash,
      is_active: true,
      date_joined: '2021-03-04T05:06:07.890Z',
      groups: [],
      biography: `${id} `.repeat(padding / 6)
    }
    await write(`${id === 1 ? '' : ','}\n${JSON.stringify({ model: 'auth.user', pk: id, fields })}`)
    if (id % 10 === 0) {
      const token = { model: 'authtoken.token', pk: id.toString(16).padStart(40, '0'), fields: { user: id } }
      await write(`,\n${JSON.stringify(token)}`)
    }
  }
  file.end('\n]\n')
  await once(file, 'close')
  return path
}

t.test('a file that is larger than the memory is imported', async (t) => {
  const { run, count } = await importing(t)
  const path = await bigDump(t, 6_000)
  const { code, stdout, stderr } = await run(['--from', 'django', path, '--json'], '', {
    NODE_OPTIONS: '--max-old-space-size=96'
  })
  t.equal(code, 0, stderr.slice(-500))
  t.match(JSON.parse(stdout), { read: users, created: users, tokens: users / 10, refused: 0 })
  t.match(stderr, /^5000 read\n10000 read\n15000 read\n20000 read\n$/)
  t.equal(await count('account'), users)
  t.equal(await count('api_token'), users / 10)
})

t.test('an import that was killed is finished by running it again, and brings no revoked token back', async (t) => {
  const { report, count, client, environment } = await importing(t)
  const path = await bigDump(t, 6)
  const child = spawn(process.execPath, [main, 'users', 'import', '--from', 'django', path], {
    env: { ...process.env, ...environment, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const closed = once(child, 'close')
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('10000 read')) child.kill('SIGKILL')
  })
  await closed
  t.equal(child.signalCode, 'SIGKILL')
  const first = await count('account')
  t.ok(first >= 5_000 && first < users, `${first} were written before`)
  t.equal(await count('api_token'), Math.floor(first / 10), 'each with its token')
  await client.query(`delete from api_token where hint = '000a'`)

  const second = await report('--from', 'django', path)
  t.match(second, { code: 0, read: users, created: users - first, already_there: first })
  t.equal(await count('account'), users)
  t.equal(await count('api_token'), users / 10 - 1)

  const third = await report('--from', 'django', path)
  t.match(third, { code: 0, created: 0, already_there: users, tokens: 0 })
})
