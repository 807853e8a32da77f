import t from 'tap'
import { startService } from '../support/service.js'
import { terminal } from '../support/terminal.js'
import { goodPassword } from '../support/world.js'

t.test('a key is made, shown once, listed, used and removed', async (t) => {
  const { environment, run, json } = await terminal(t)
  await run('user create ada', goodPassword)
  const made = await json('token create ada --name backup --scopes profile,read,profile --expires 90d')
  t.match(made.key, /^ktt_[0-9A-Za-z]{36}$/)
  t.match(made.token, { name: 'backup', kind: 'personal', hint: made.key.slice(-4), scopes: ['profile', 'read'] })
  const life = Date.parse(made.token.expires_at) - Date.parse(made.token.created_at)
  t.equal(life, 90 * 86_400_000)

  const plain = await run('token create ada --name forever')
  t.match(plain.stdout, /^ktt_[0-9A-Za-z]{36}\n$/, 'the key alone, for a pipe')
  const listed = await run('token list ada')
  t.match(listed.stdout, new RegExp(`backup +…${made.key.slice(-4)} +profile,read`))
  t.match(listed.stdout, /forever .* never +never/)
  t.notOk(listed.stdout.includes(made.key.slice(4, -4)))

  const service = await startService(t, environment)
  const me = async () => {
    const response = await fetch(`${service.url}/v1/me`, { headers: { authorization: `Token ${made.key}` } })
    return response.status
  }
  t.equal(await me(), 200)
  t.match(await json(`token revoke ada ${made.token.id}`), { removed: made.token.id })
  let status = await me()
  for (let tries = 0; status === 200 && tries < 1_000; tries++) status = await me()
  t.equal(status, 401, 'the service that runs reads of it')
  t.match(await json('token list ada'), { tokens: [{ name: 'forever' }] })
})

t.test('the authtoken of an account is printed, and another one after a reset', async (t) => {
  const { run, json } = await terminal(t)
  await run('user create ada', goodPassword)
  const { key } = await json('token authtoken ada')
  t.match(key, /^[0-9a-f]{40}$/)
  t.equal((await json('token authtoken ada')).key, key)
  const next = (await json('token authtoken ada --reset')).key
  t.match(next, /^[0-9a-f]{40}$/)
  t.not(next, key)
  t.match(await json('token list ada'), { tokens: [{ kind: 'authtoken' }] })
})

t.test('what is wrong is said with what to do', async (t) => {
  const { run, json } = await terminal(t)
  await run('user create ada', goodPassword)
  await run('user create bob', goodPassword)
  const { token } = await json('token create ada --name x')
  const wrong: Array<[string, number, RegExp]> = [
    ['token create ada', 2, /Say what the token is for: --name/],
    ['token create --name x', 2, /Name one user/],
    ['token create nobody --name x', 1, /There is no account "nobody"\.\n.*keyturn user list/],
    ['token create ada --name x --expires soon', 2, /soon|lifetime|such as/i],
    ['token create ada --name x --scopes a"b', 1, /scopes\/0: Use 1 to 64 printable characters/],
    ['token revoke ada', 2, /Name a user and a token id/],
    [`token revoke bob ${token.id}`, 1, /bob has no API token "[0-9a-f-]{36}"\.\n`keyturn token list bob`/],
    ['token revoke ada not-an-id', 1, /ada has no API token "not-an-id"/]
  ]
  for (const [line, code, message] of wrong) {
    const outcome = await run(line)
    t.equal(outcome.code, code, line)
    t.match(outcome.stderr, message, line)
    t.equal(outcome.stdout, '', line)
  }
  t.match((await run('token list bob')).stdout, /No tokens/)
})
