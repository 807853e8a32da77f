import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, type JWK } from 'jose'
import t from 'tap'
import { scratchFolder } from '../support/service.js'
import { command, terminal } from '../support/terminal.js'

const pem = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
const thumbprint = async (key: string) =>
  await calculateJwkThumbprint(createPublicKey(key).export({ format: 'jwk' }) as JWK)
const masterKey = (text: string) => Buffer.from(text.padEnd(32, '-0123456789')).toString('base64')

t.test('an emergency is confirmed, says what will be seen, and ends every key', async (t) => {
  const { run, json } = await terminal(t)
  const unasked = await run('keys rotate --emergency')
  t.equal(unasked.code, 2)
  t.match(unasked.stderr, /Nobody is there to be asked\. Add --yes/)
  t.match((await run('keys rotate --yes')).stderr, /belong to --emergency/)

  const next = await json('keys rotate')
  const done = await run('keys rotate --emergency --yes --reason leaked')
  t.equal(done.code, 0)
  t.match(done.stdout, /^Key \S{43} \(ES256\) signs now\./)
  t.match(done.stdout, new RegExp(`Key ${next.kid} is gone`))
  t.match(done.stdout, /clients refresh, and nobody is signed out/)
  t.match(done.stdout, /jose .* up to 30 s/)
  const { keys } = await json('keys list')
  t.match(keys, [{ state: 'signing', gone_at: null, provider: 'local' }])
  t.equal(keys.length, 1)
  t.match(await run(`keys revoke ${keys[0].kid}`), { code: 1, stdout: /`keyturn keys rotate --emergency` ends it/ })
})

t.test('keys come from files and standard input, and only public halves go out', async (t) => {
  const { run, json } = await terminal(t)
  const file = join(scratchFolder(t), 'key.pem')
  const key = pem()
  writeFileSync(file, key)
  const { kid } = await json(`keys import ${file}`)
  t.match(kid, /^[\w-]{43}$/)
  t.match(await run('keys import', key), { code: 1, stdout: /is here already/ })
  t.match(await run('keys import -', `x${pem()}`), { code: 1, stderr: /cannot be imported: .*stands before it/ })
  t.match(await run(`keys import ${file}.missing`), { code: 2, stderr: /cannot be read \(ENOENT\)/ })
  const exported = await json('keys export --public')
  t.ok(exported.keys.some((key: { kid: string }) => key.kid === kid))
  t.notOk(exported.keys.some((key: object) => 'd' in key))
  t.match(await run('keys export'), { code: 2, stderr: /Private halves are not exported/ })
  t.match(await run(`keys revoke ${kid}`), { code: 0, stdout: /is gone\./ })
})

t.test('a key whose identifier begins with a dash is named like any other', async (t) => {
  const { run, json } = await terminal(t)
  let key = pem()
  while (!(await thumbprint(key)).startsWith('-')) key = pem()
  const { kid } = await json('keys import', key)
  t.equal(kid[0], '-')
  t.match(await run(`keys revoke ${kid} --reason old`), { code: 0, stdout: /is gone\./ })
  t.match(await run(`keys revoke -- ${kid}`), { code: 1, stdout: /is gone already/ })
  t.match(await run(`keys revoke --json -${kid.slice(0, 42)}`), { code: 1, stdout: /"because": "unknown"/ })
})

t.test('the master key changes by command, and the doctor knows what is left', async (t) => {
  const { environment, run } = await terminal(t, { AUTH_MASTER_KEY: masterKey('one') })
  await run('keys list')
  const under = (words: string, current: string, previous = '') =>
    command(words.split(' '), {
      ...environment,
      AUTH_MASTER_KEY: masterKey(current),
      ...(previous && { AUTH_MASTER_KEY_PREVIOUS: masterKey(previous) })
    })
  t.match(await under('doctor', 'two', 'one'), {
    code: 1,
    stdout: /FAILED +sealed values: 0 sealed under the present master key, 3 under .*; run `keyturn keys reseal`/
  })
  t.match(await under('keys reseal', 'two', 'one'), { code: 0, stdout: /^Resealed 3; now 3 sealed under the present/ })
  t.match(await under('keys list', 'one'), { code: 1, stderr: /another master key/ })
  t.match(await under('config check', 'one', 'one'), { code: 2, stderr: /has AUTH_MASTER_KEY itself among its keys/ })
})
