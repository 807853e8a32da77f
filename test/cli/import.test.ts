import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { exported, importing } from '../support/importing.js'
import { firebaseExample, passwordVectors } from '../support/password-vectors.js'
import { scratchFolder } from '../support/service.js'
import { goodPassword } from '../support/world.js'

const dump = JSON.parse(readFileSync(exported('django.json'), 'utf8')) as Array<{
  model: string
  pk: unknown
  fields: Record<string, unknown>
}>
const elementOf = (username: string) => dump.findIndex(({ fields }) => fields.username === username) + 1

t.test('a dump of Django becomes accounts, roles and tokens, and its users sign in', async (t) => {
  const { report, rows, signIn, w } = await importing(t)
  const told = await report('--from', 'django', exported('django.json'))
  t.match(told, { code: 1, read: 10, created: 8, already_there: 0, refused: 2, administrators: 1, tokens: 3 })
  t.same(told.problems, [
    { element: elementOf('ADA'), because: `element ${elementOf('ada')} has the same username` },
    {
      element: elementOf('wrongmail'),
      because: 'the email address "not an address": Use an address such as ada@example.com, of at most 254 characters.'
    }
  ])
  t.match(told.passwords, {
    none: { users: 1, kept: 0 },
    md5: { users: 1, kept: 0, because: /too weak/ },
    scrypt: { users: 1, kept: 1, because: null },
    pbkdf2_sha256: { users: 3, kept: 3 }
  })

  const accounts = await rows(
    `select external_id, username, email, email_verified_at, roles, permissions, disabled_at is not null as disabled,
       created_at, last_login_at, password_hash is not null as has_password
     from account where external_id in ('django:1', 'django:2', 'django:5', 'django:6', 'django:7') order by 1`
  )
  const joined = new Date('2021-03-04T05:06:07.890Z')
  const plain = { email: null, email_verified_at: null, roles: [], permissions: [], disabled: false }
  const usual = { ...plain, created_at: joined, last_login_at: null, has_password: true }
  t.same(accounts, [
    {
      ...usual,
      external_id: 'django:1',
      username: 'root',
      email: 'root@example.com',
      roles: ['admin', 'staff'],
      last_login_at: new Date('2024-05-06T07:08:09Z')
    },
    {
      ...usual,
      external_id: 'django:2',
      username: 'ada',
      email: 'Ada@Example.com',
      roles: ['editeurs-en-chef', 'group-05183656', 'staff'],
      permissions: ['authtoken.add_token']
    },
    { ...usual, external_id: 'django:5', username: 'linus', disabled: true },
    { ...usual, external_id: 'django:6', username: 'nopass', email: 'nopass@example.com', has_password: false },
    { ...usual, external_id: 'django:7', username: 'oldtimer', has_password: false }
  ])
  const roles = await rows('select name, permissions from role order by name')
  t.same(roles, [
    { name: 'admin', permissions: [] },
    { name: 'admin-c1c224b0', permissions: ['auth.add_user', 'auth.change_user'] },
    { name: 'editeurs-en-chef', permissions: ['auth.change_group', 'auth.view_group'] },
    { name: 'group-05183656', permissions: [] },
    { name: 'staff', permissions: [] },
    { name: 'support-a1860308', permissions: ['auth.delete_user'] },
    { name: 'support-be91940b', permissions: ['auth.view_user'] }
  ])
  t.equal(told.notes.length, 4, 'each group that does not keep its name is told')

  const tokens = await rows<{ username: string; digest: Buffer; hint: string; kind: string; name: string }>(
    'select username, digest, hint, kind, name from api_token join account on account.id = account_id order by username'
  )
  const keys = new Map(dump.filter(({ model }) => model === 'authtoken.token').map((one) => [one.fields.user, one.pk]))
  t.same(
    tokens,
    [
      ['ada', keys.get(2)],
      ['linus', keys.get(5)],
      ['root', keys.get(1)]
    ].map(([username, key]) => ({
      username,
      digest: createHash('sha256').update(String(key)).digest(),
      hint: String(key).slice(-4),
      kind: 'authtoken',
      name: 'authtoken of Django'
    }))
  )

  for (const name of ['root', 'ada', 'grace', 'barbara', 'zoë']) {
    t.equal(await signIn(name, `${goodPassword}!`), 401, `${name} with a wrong password`)
    t.equal(await signIn(name, goodPassword), 200, name)
    t.equal(await signIn(name, goodPassword), 200, `${name} once more`)
  }
  t.equal((await w.post('/v1/login', { email: 'ada@example.com', password: goodPassword })).statusCode, 200)
  for (const name of ['linus', 'nopass', 'oldtimer']) t.equal(await signIn(name, goodPassword), 401, name)
  const upgraded = await rows(
    `select username from account where password_hash like '$argon2id$%' and external_id is not null`
  )
  t.equal(upgraded.length, 5)
})

t.test('a dump in any order, with natural keys or as JSON lines makes the same accounts', async (t) => {
  const query = `
    select username, email, roles, permissions, password_hash, account.created_at, api_token.digest
    from account left join api_token on account.id = account_id
    where username_key not in ('ada') order by username`
  const whole = await importing(t)
  await whole.report('--from', 'django', exported('django.json'))
  for (const name of ['django-reversed.json', 'django-natural.json', 'django.jsonl']) {
    const other = await importing(t)
    const told = await other.report('--from', 'django', exported(name))
    t.match(told, { read: 10, created: 8, refused: 2, tokens: name === 'django-reversed.json' ? 2 : 3 }, name)
    t.same(await other.rows(query), await whole.rows(query), name)
    t.same(
      await other.rows('select name, permissions from role order by 1'),
      await whole.rows('select name, permissions from role order by 1')
    )
  }
  const natural = await importing(t)
  await natural.report('--from', 'django', exported('django-natural.json'))
  t.same(await natural.rows(`select external_id from account where username = 'grace'`), [
    { external_id: 'django:username=grace' }
  ])
})

t.test('the table auth_user as CSV makes accounts, told by the lines where they begin', async (t) => {
  const { report, signIn, rows } = await importing(t)
  const told = await report('--from', 'django', exported('auth_user.csv'))
  t.match(told, { code: 1, read: 10, created: 8, refused: 2, administrators: 1, tokens: 0 })
  t.match(told.problems, [
    { line: 10, because: /^line 3 has the same username$/ },
    { line: 11, because: /email address/ }
  ])
  t.same(await rows(`select created_at, last_login_at from account where username = 'root'`), [
    { created_at: new Date('2021-03-04T05:06:07.890Z'), last_login_at: new Date('2024-05-06T07:08:09Z') }
  ])
  t.equal(await signIn('grace', goodPassword), 200)
})

t.test('Auth0’s users move over, but for the lines that are wrong', async (t) => {
  const { report, signIn, rows } = await importing(t)
  const told = await report('--from', 'auth0', exported('auth0.ndjson'))
  t.match(told, { code: 1, read: 9, created: 6, refused: 3 })
  t.match(told.problems, [
    { line: 3, because: 'it is not a JSON object' },
    { line: 6, because: '"user_id" is missing, or not an id' },
    { line: 10, because: 'line 1 has the same username' }
  ])
  t.match(told.passwords, { md5: { users: 1, kept: 0 }, bcrypt: { kept: 2 }, 'pbkdf2-sha512': { kept: 1 } })
  const bcrypt = passwordVectors.find(({ encoded }) => encoded.startsWith('$2b$'))!.password
  const argon2 = passwordVectors.find(({ encoded }) => encoded.includes('argon2id$v=19$m=4096'))!.password
  t.equal(await signIn('ada@example.com', bcrypt), 200)
  t.equal(await signIn('grace', bcrypt), 401, 'blocked there')
  t.equal(await signIn('barbara@example.com', argon2.normalize('NFC')), 401, 'their argon2 is not ours')
  t.equal(await signIn('barbara@example.com', argon2), 200)
  t.equal(await signIn('margaret@example.com', bcrypt), 200)
  t.match(await rows(`select external_id, email_verified_at from account where username like 'social%'`), [
    { external_id: 'auth0:google-oauth2|103547991597142817347', email_verified_at: Date }
  ])
})

t.test('Firebase’s users move over with the parameters of their project', async (t) => {
  const { report, run, signIn, rows } = await importing(t)
  const config = ['--hash-config', exported('firebase-hash-config.json')]
  const told = await report('--from', 'firebase', ...config, exported('firebase.json'))
  t.match(told, { code: 1, read: 6, created: 4, refused: 2 })
  t.match(told.problems, [
    { element: 4, because: /not base64/ },
    { element: 5, because: /not a JSON object/ }
  ])
  t.match(told.passwords, { 'firebase-scrypt': { users: 3, kept: 2, because: /not the form/ } })
  t.equal(await signIn('ada@example.com', 'user2password'), 401)
  t.equal(await signIn('ada@example.com', firebaseExample.password), 200)
  t.same(await rows(`select username, password_hash from account where external_id = 'firebase:U3'`), [
    { username: 'firebase-U3', password_hash: null }
  ])
  const without = await run(['--from', 'firebase', exported('firebase.json')])
  t.equal(without.code, 2)
  t.match(without.stderr, /--hash-config <file>.*Password hash parameters/s)
  const wrong = await run(['--from', 'firebase', '--hash-config', exported('firebase.json'), exported('firebase.json')])
  t.match(wrong.stderr, /must have signerKey and saltSeparator in base64, rounds and memCost/)
})

t.test('Supabase’s users move over, without those who are deleted or anonymous', async (t) => {
  const { report, signIn, rows } = await importing(t)
  const told = await report('--from', 'supabase', exported('supabase.csv'))
  t.match(told, { code: 0, read: 6, created: 4, refused: 0 })
  t.same(told.left_out, { 'it was deleted there': 1, 'it is anonymous there': 1 })
  const bcrypt = passwordVectors.find(({ encoded }) => encoded.startsWith('$2a$'))!.password
  t.equal(await signIn('ada@example.com', bcrypt), 200)
  t.equal(await signIn('grace@example.com', firebaseExample.password), 200, 'came to Supabase from Firebase')
  t.equal(await signIn('banned@example.com', bcrypt), 401)
  t.same(await rows(`select email_verified_at from account where username = 'ada@example.com'`), [
    { email_verified_at: new Date('2023-01-02T03:04:05.678Z') }
  ])

  const columns = 'id, email, encrypted_password, banned_until, email_confirmed_at'.split(', ')
  const row = { id: '7'.repeat(8), email: 'json@example.com', encrypted_password: '', banned_until: null }
  const folder = scratchFolder(t)
  for (const [name, text] of [
    ['rows.json', JSON.stringify([row])],
    ['rows.ndjson', `${JSON.stringify({ ...row, id: '8'.repeat(8), email: 'lines@example.com' })}\n`],
    ['rows.csv', `${columns.join(',')}\r\n99999999,csv@example.com,,infinity,\r\n`]
  ] as const) {
    writeFileSync(join(folder, name), text)
    t.match(await report('--from', 'supabase', join(folder, name)), { code: 0, created: 1 }, name)
  }
  t.match(await rows(`select disabled_at from account where username = 'csv@example.com'`), [{ disabled_at: Date }])
})

t.test('a dry run writes nothing, and reports what the real one does', async (t) => {
  const { report, count, w } = await importing(t)
  await w.account('grace')
  const before = [await count('account'), await count('role'), await count('api_token')]
  const dry = await report('--from', 'django', exported('django.json'), '--dry-run', '--batch', '3')
  t.match(dry, { dry_run: true, created: 7, refused: 3, tokens: 3, code: 1 })
  t.same([await count('account'), await count('role'), await count('api_token')], before)
  const real = await report('--from', 'django', exported('django.json'), '--batch', '3')
  t.same(real, { ...dry, dry_run: false })
  t.equal(await count('account'), before[0]! + 7)
})

t.test('names that other accounts have are refused with their lines', async (t) => {
  const { report, w, rows } = await importing(t)
  await w.post('/v1/register', { username: 'GRACE', password: goodPassword })
  await w.post('/v1/register', { username: 'somebody', email: 'ADA@example.com', password: goodPassword })
  const told = await report('--from', 'django', exported('auth_user.csv'))
  t.match(told.problems, [
    { line: 3, because: 'the email address "Ada@Example.com" is taken by another account' },
    { line: 4, because: 'the username "grace" is taken by another account' },
    { line: 10, because: /has the same username/ },
    { line: 11 }
  ])
  t.same(await rows(`select external_id from account where username = 'GRACE'`), [{ external_id: null }])
})

t.test('an id that belongs to somebody of another name is told, and changes nobody', async (t) => {
  const { report, rows } = await importing(t)
  const path = join(scratchFolder(t), 'other-project.csv')
  writeFileSync(path, 'id,username,password\n2,eve,\n3,Grace,\n')
  await report('--from', 'django', exported('auth_user.csv'))
  const told = await report('--from', 'django', path)
  t.match(told, { code: 0, created: 0, already_there: 2 })
  t.same(told.notes, [{ line: 2, because: 'django:2 is there already as ada, and eve in the file' }])
  t.same(await rows(`select username from account where external_id = 'django:2'`), [{ username: 'ada' }])
})

t.test('a role that is there keeps its permissions', async (t) => {
  const { report, rows, client } = await importing(t)
  await client.query(
    `insert into role (name, permissions, created_at) values ('editeurs-en-chef', '{auth.view_group}', now())`
  )
  const told = await report('--from', 'django', exported('django.json'))
  t.equal(told.roles['editeurs-en-chef'], 'there')
  t.match(told.notes.at(-1)!.because, /editeurs-en-chef is there already and stays.* does not get auth\.change_group\./)
  t.same(await rows(`select permissions from role where name = 'editeurs-en-chef'`), [
    { permissions: ['auth.view_group'] }
  ])
})

t.test('a row that the database refuses costs the others of its batch nothing', async (t) => {
  const { report, client, rows } = await importing(t)
  await client.query(`alter table account add constraint no_grace check (username <> 'grace')`)
  const told = await report('--from', 'django', exported('auth_user.csv'))
  t.match(told, { created: 7, refused: 3 })
  t.match(told.problems[0], { line: 4, because: /the database refused it: .*no_grace/ })
  t.equal((await rows('select 1 from account where external_id is not null')).length, 7)
})

t.test('known passwords are checked before anything is written', async (t) => {
  const { run, count } = await importing(t)
  const words = [
    '--from',
    'firebase',
    '--hash-config',
    exported('firebase-hash-config.json'),
    exported('firebase.json')
  ]
  const verifying = (input: string) => run([...words, '--verify-sample'], input)
  for (const [input, because] of [
    ['ada@example.com\tuser2password\n', /password of ada@example\.com \(firebase-scrypt\) does not verify/],
    ['nobody@example.com\tuser1password\n', /nobody@example\.com is not in the file/],
    ['firebase-U3\tuser1password\n', /not in the file, or has no password/],
    ['', /no sample for firebase-scrypt, which 2 user\(s\) have/]
  ] as const) {
    const refused = await verifying(input)
    t.equal(refused.code, 1)
    t.match(refused.stdout, /^Nothing was written\./)
    t.match(refused.stdout, because)
    t.notMatch(refused.stdout, /user[12]password/)
    t.equal(await count('account'), 0)
  }
  t.equal((await verifying('no tab')).code, 2)
  const done = await verifying('ADA@example.com\tuser1password\n')
  t.match(done.stdout, /created +4/)
  t.equal(await count('account'), 4)
})

t.test('a command that cannot be followed says what to write', async (t) => {
  const { run } = await importing(t)
  const folder = scratchFolder(t)
  const file = (name: string, text: string | Buffer) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  for (const [words, code, says] of [
    [['--from', 'django'], 2, /Name one file/],
    [[exported('django.json')], 2, /Say where the file comes from: --from django\|auth0/],
    [['--from', 'okta', exported('django.json')], 2, /--from django/],
    [['--from', 'django', '--batch', '0', exported('django.json')], 2, /--batch is 1 to 2000/],
    [['--from', 'auth0', '--hash-config', 'x', exported('auth0.ndjson')], 2, /--hash-config goes with --from firebase/],
    [['--from', 'django', join(folder, 'missing')], 1, /missing cannot be read \(ENOENT\)/],
    [['--from', 'django', file('empty', '')], 1, /is empty/],
    [['--from', 'django', file('utf16.csv', Buffer.from('id,password\n', 'utf16le'))], 1, /not text in UTF-8/],
    [['--from', 'django', file('no-header.csv', '1,x,t\n')], 1, /does not name the columns id, password/],
    [['--from', 'django', file('torn.json', '[{"model": "auth.user", "pk": 1')], 1, /breaks off after element 0/],
    [['--from', 'django', file('not.json', '[{"model": }]')], 1, /is not JSON, soon after element 0/],
    [
      ['--from', 'firebase', '--hash-config', exported('firebase-hash-config.json'), file('a.json', '{"a": 1}')],
      1,
      /no array "users"/
    ]
  ] as const) {
    const outcome = await run(words)
    t.equal(outcome.code, code, words.join(' '))
    t.match(outcome.stderr, says)
  }
  t.match((await run(['--help'])).stdout, /--verify-sample .*known password.*was deleted here since is made again/s)
})
