import { execFile } from 'node:child_process'
import { createHash, scryptSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import t, { type Test } from 'tap'
import { missingModules, python } from '../support/python.js'
import { keyturn, scratchFolder, startService } from '../support/service.js'
import { terminal } from '../support/terminal.js'

/** Users of a real Django move over with their passwords, from what Django and psql export. */

/** What Django itself says of a user. */
interface Person {
  readonly username: string
  /** Null where none is right. */
  readonly password: string | null
  readonly stored: string
  /** Whether Django takes the password. */
  readonly right: boolean
  readonly active: boolean
  readonly staff: boolean
  readonly superuser: boolean
  readonly permissions: readonly string[]
  readonly authtoken: string | null
}

const script = fileURLToPath(new URL('django_users.py', import.meta.url))
const missing = missingModules('django', 'rest_framework', 'bcrypt', 'argon2')

async function exported(t: Test) {
  const folder = scratchFolder(t)
  const { stdout } = await promisify(execFile)(python, ['-B', script, folder])
  return { people: JSON.parse(stdout) as Person[], file: (name: string) => join(folder, name) }
}

/** Asks the database itself. */
async function rows<Row extends object>(url: string, query: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(query)).rows
  } finally {
    await client.end()
  }
}

interface Stored {
  readonly username: string
  readonly password_hash: string | null
  readonly is_disabled: boolean
  readonly roles: string[]
  /** Of the account and of its roles. */
  readonly permissions: string[]
}

async function accounts(url: string): Promise<Map<string, Stored>> {
  const found = await rows<Stored>(
    url,
    `select username, password_hash, disabled_at is not null as is_disabled, roles,
       array(
         select unnest(account.permissions)
         union
         select unnest(role.permissions) from role where role.name = any (account.roles)
         order by 1
       ) as permissions
     from account`
  )
  return new Map(found.map((account) => [account.username, account]))
}

/** Imports into a database of the test's own. */
async function imported(t: Test, file: string) {
  const { environment } = await terminal(t)
  const url = environment.DATABASE_URL
  const command = ['users', 'import', '--from', 'django', file]
  const tried = await keyturn([...command, '--dry-run'], environment)
  t.equal(tried.code, 0, tried.stderr)
  t.equal((await accounts(url)).size, 0, 'a dry run leaves nothing')
  const done = await keyturn([...command, '--json'], environment)
  t.equal(done.code, 0, done.stderr)
  t.ok(JSON.parse(done.stdout), 'and says in JSON what it did')
  return { url, environment }
}

/** Who can sign in where they could in Django, and whose hash is ours from then on. */
async function signsIn(t: Test, people: readonly Person[], { url, environment }: Awaited<ReturnType<typeof imported>>) {
  const service = await startService(t, environment)
  const login = async (username: string, password: string) =>
    (await service.post('/v1/login', { username, password })).status
  const hashOf = async (username: string) => (await accounts(url)).get(username)?.password_hash

  for (const { username, password, active } of people) {
    const before = await hashOf(username)
    t.equal(await login(username, `${password}!`), 401, `${username}: another password is wrong`)
    if (password === null || !active) {
      t.equal(await login(username, password ?? '!'), 401, `${username} cannot sign in`)
      t.equal(await hashOf(username), before)
      continue
    }
    t.equal(await hashOf(username), before, `${username}: and changes nothing`)
    t.equal(await login(username, password), 200, `${username} signs in with the password of Django`)
    t.not(await hashOf(username), before)
    t.match(await hashOf(username), /^\$argon2id\$/, `${username}: the hash is ours now`)
    t.equal(await login(username, password), 200, `${username} signs in again`)
    t.equal(await login(username, `${password}!`), 401, `${username}: another password is wrong still`)
  }
}

t.test('the users of Django are those that this is about', { skip: missing }, async (t) => {
  const { people, file } = await exported(t)
  const schemes = ['pbkdf2_sha256', 'pbkdf2_sha1', 'argon2', 'bcrypt_sha256', 'bcrypt', 'scrypt'] as const
  for (const scheme of schemes) {
    const { stored, right, password } = people.find(({ username }) => username === scheme)!
    t.equal(stored.split('$')[0], scheme)
    if (scheme !== 'scrypt') {
      t.ok(right, `Django takes the password of ${scheme}`)
      continue
    }
    const [, cost, salt, blockSize, parallelization, key] = stored.split('$') as [string, ...string[]]
    const options = { N: Number(cost), r: Number(blockSize), p: Number(parallelization), maxmem: 2 ** 26 }
    t.equal(scryptSync(password!, salt!, 64, options).toString('base64'), key)
  }
  const csv = await readFile(file('auth_user.csv'), 'utf8')
  t.equal(
    csv.split('\n')[0],
    'id,password,last_login,is_superuser,username,first_name,last_name,email,is_staff,is_active,date_joined'
  )
  for (const name of ['users.json', 'natural.json']) {
    const objects = JSON.parse(await readFile(file(name), 'utf8')) as Array<{ model: string }>
    t.equal(objects.filter(({ model }) => model === 'auth.user').length, people.length, name)
    t.equal(objects.filter(({ model }) => model === 'authtoken.token').length, 2, name)
  }
})

t.test('users move over from Django', { skip: missing }, async (t) => {
  const { people, file } = await exported(t)

  for (const name of ['users.json', 'natural.json']) {
    await t.test(`${name}: roles, permissions and keys`, async (t) => {
      const { url } = await imported(t, file(name))
      const stored = await accounts(url)
      t.equal(stored.size, people.length)
      for (const { username, active, staff, superuser, permissions } of people) {
        const account = stored.get(username)
        if (account === undefined) {
          t.fail(`${username} is not there`)
          continue
        }
        t.equal(account.is_disabled, !active, `${username} is ${active ? 'active' : 'disabled'}`)
        t.equal(account.roles.includes('admin'), superuser, `${username}: admin`)
        if (!superuser) t.equal(account.roles.includes('staff'), staff, `${username}: staff`)
        t.same(account.permissions, permissions, `${username}: what Django permits, no more and no less`)
      }

      const keys = await rows<{ username: string; digest: Buffer; everything: string }>(
        url,
        `select username, digest, to_jsonb(api_token)::text || to_jsonb(account)::text as everything
         from api_token join account on account.id = account_id where kind = 'authtoken' order by username`
      )
      const owners = people.filter(({ authtoken }) => authtoken !== null)
      t.same(keys.map(({ username }) => username).sort(), owners.map(({ username }) => username).sort())
      for (const { username, digest, everything } of keys) {
        const key = owners.find((owner) => owner.username === username)!.authtoken!
        t.equal(digest.toString('hex'), createHash('sha256').update(key).digest('hex'), `${username}: a digest`)
        t.notOk(everything.includes(key), `${username}: and not the key`)
      }
    })
  }

  await t.test('users.json: everybody signs in with the password of Django', async (t) => {
    await signsIn(t, people, await imported(t, file('users.json')))
  })

  await t.test('auth_user.csv: everybody signs in with the password of Django', async (t) => {
    const moved = await imported(t, file('auth_user.csv'))
    const stored = await accounts(moved.url)
    t.same([...stored.keys()].sort(), people.map(({ username }) => username).sort())
    for (const { username, staff, superuser } of people) {
      t.equal(stored.get(username)?.roles.includes('admin'), superuser, `${username}: admin`)
      if (!superuser) t.equal(stored.get(username)?.roles.includes('staff'), staff, `${username}: staff`)
    }
    await signsIn(t, people, moved)
  })
})
