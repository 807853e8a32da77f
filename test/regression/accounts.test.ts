import t, { type Test } from 'tap'
import { type HashJob, HashQueue } from '../../src/hashing/queue.js'
import { goodPassword, type Tokens, world } from '../support/world.js'

/** Attacks on sign-in, registration and the accounts of others. */

/** Every job that reaches the hash queue while a test runs. */
function watchHashing(t: Test): HashJob[] {
  const jobs: HashJob[] = []
  const { run } = HashQueue.prototype
  HashQueue.prototype.run = function (job) {
    jobs.push(job)
    return run.call(this, job)
  }
  t.teardown(() => {
    HashQueue.prototype.run = run
  })
  return jobs
}

t.test(
  'CVE-2026-39321 and CVE-2026-40263: a sign-in that fails costs one hash of one cost, whoever it is for',
  async (t) => {
    const jobs = watchHashing(t)
    const w = await world(t)
    const username = await w.account()
    const disabled = await w.login(await w.account())
    await w.app.flows.disableUser(disabled.user.id)
    await w.app.flows.createAccount({ username: 'without-password' })
    await w.post('/v1/register', { username: 'grace', email: 'grace@example.com', password: goodPassword })

    const attempts: Array<[string, object]> = [
      ['a wrong password', { username }],
      ['an unknown name', { username: 'nobody' }],
      ['an unknown address', { email: 'nobody@example.com' }],
      ['a known address', { email: 'grace@example.com' }],
      ['a disabled account', { username: disabled.user.username }],
      ['an account without a password', { username: 'without-password' }],
      ['a name that no account can have', { username: 'no body\u200b' }]
    ]
    const answers = new Set<string>()
    for (const [title, names] of attempts) {
      for (const password of title === 'a disabled account'
        ? [goodPassword, 'wrong horse battery']
        : ['wrong horse battery']) {
        jobs.length = 0
        const response = await w.post('/v1/login', { ...names, password })
        t.equal(response.statusCode, 401, title)
        const { date: _, 'x-request-id': __, ...headers } = response.headers
        answers.add(JSON.stringify([headers, response.body]))
        t.equal(jobs.length, 1, `${title}: one hash`)
        t.match(
          jobs[0],
          { kind: 'verify', hash: /^\$argon2id\$v=19\$m=8,t=1,p=1\$/, password },
          `${title}: of the same cost`
        )
      }
    }
    t.equal(answers.size, 1, 'and one and the same answer, headers included')
  }
)

t.test('CVE-2023-7028: a name or an address that is a list, an object or given twice is refused', async (t) => {
  const w = await world(t)
  await w.post('/v1/register', { username: 'grace', email: 'grace@example.com', password: goodPassword })
  const token = (await w.login('grace')).access_token
  const send = (url: string, payload: string, method: 'POST' | 'PATCH' = 'POST') =>
    w.app.inject({
      method,
      url,
      payload,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    })
  const password = JSON.stringify(goodPassword)
  for (const email of [
    '["grace@example.com"]',
    '["grace@example.com","evil@example.com"]',
    '{"0":"grace@example.com"}',
    '{"$ne":null}',
    'null',
    'true',
    '1',
    '""',
    '"grace@example.com,evil@example.com"',
    '"grace@example.com\\r\\nBcc: evil@example.com"',
    '"<grace@example.com>"',
    '" grace@example.com"'
  ]) {
    t.equal((await send('/v1/login', `{"email":${email},"password":${password}}`)).statusCode, 400, `login ${email}`)
    t.equal(
      (await send('/v1/register', `{"username":"x","email":${email},"password":${password}}`)).statusCode,
      400,
      `register ${email}`
    )
    if (email === 'null') continue
    t.equal(
      (await send('/v1/me', `{"email":${email},"current_password":${password}}`, 'PATCH')).statusCode,
      400,
      `change ${email}`
    )
  }
  for (const twice of [
    `{"email":"evil@example.com","email":"grace@example.com","password":${password}}`,
    `{"email":"grace@example.com","\\u0065mail":"evil@example.com","password":${password}}`,
    `{"username":"grace","password":"x","password":${password}}`
  ]) {
    t.match(
      (await send('/v1/login', twice)).json(),
      { code: 'validation_failed', errors: [{ code: 'duplicate' }] },
      twice.slice(0, 40)
    )
  }
})

t.test('CVE-2019-19844: look-alikes of an address are no address here, so they match nobody’s', async (t) => {
  const w = await world(t)
  await w.post('/v1/register', { username: 'mike', email: 'mike@kyoto.example', password: goodPassword })
  for (const email of [
    'm\u0131ke@kyoto.example',
    'm\u0130ke@kyoto.example',
    'mi\u212ae@kyoto.example',
    'mike@\u212ayoto.example',
    'ｍｉｋｅ@kyoto.example',
    'mike＠kyoto.example',
    'mike@kyoto。example',
    'mike\u200b@kyoto.example'
  ]) {
    for (const [url, body] of [
      ['/v1/login', { email, password: goodPassword }],
      ['/v1/register', { username: 'other', email, password: goodPassword }]
    ] as const) {
      t.ok([400, 401].includes((await w.post(url, body)).statusCode), `${url} ${email}`)
    }
  }
  t.equal(
    (await w.post('/v1/login', { email: 'MIKE@Kyoto.Example', password: goodPassword })).statusCode,
    200,
    'case alone does not matter'
  )
})

t.test('CVE-2013-1443: a password of a mebibyte is refused before anything is hashed', async (t) => {
  const jobs = watchHashing(t)
  const w = await world(t)
  const username = await w.account()
  const { access_token } = await w.login(username)
  jobs.length = 0
  const long = 'x'.repeat(1_048_576)
  for (const [url, body] of [
    ['/v1/login', { username, password: long }],
    ['/v1/register', { username: 'new', password: long }],
    ['/v1/me/password', { current_password: goodPassword, new_password: long }],
    ['/v1/me/password', { current_password: long, new_password: goodPassword }]
  ] as const) {
    t.match((await w.as(access_token, 'POST', url, body)).json(), { code: 'payload_too_large', status: 413 }, url)
  }
  for (const [url, body] of [
    ['/v1/login', { username, password: 'x'.repeat(1_025) }],
    ['/v1/register', { username: 'new', password: 'x'.repeat(1_025) }]
  ] as const) {
    t.equal((await w.post(url, body)).statusCode, 400, `${url}: one character too many`)
  }
  t.equal(jobs.length, 0)
  t.equal((await w.post('/v1/register', { username: 'new', password: 'x'.repeat(1_024) })).statusCode, 201)
})

t.test(
  'CVE-2025-22228 and CVE-2020-7689: every character of a password counts, also the last of a long one',
  async (t) => {
    const patient = { free: 100, max: 100 }
    const w = await world(t, (options) => ({ ...options, flows: { ...options.flows, guessing: patient } }))
    const long = `${'correct horse battery '.repeat(40)}a`
    await w.post('/v1/register', { username: 'grace', password: long })
    const login = async (password: string) => (await w.post('/v1/login', { username: 'grace', password })).statusCode
    t.equal(await login(long), 200)
    for (const wrong of [
      `${long.slice(0, -1)}b`,
      long.slice(0, -1),
      long.slice(0, 72),
      `${long} `,
      ` ${long}`,
      `${long}\0`,
      `${long.slice(0, 72)}x${long.slice(73)}`,
      long.toUpperCase()
    ]) {
      t.equal(await login(wrong), 401)
    }
    t.match((await w.post('/v1/register', { username: 'ada', password: `${goodPassword}\0x` })).json(), {
      errors: [{ code: 'not_text' }]
    })
  }
)

t.test('CVE-2026-54693 and CVE-2025-61928: nobody writes their own role, id or state', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account('grace'))
  const victim = await w.login(await w.account('ada'))
  for (const extra of [
    { roles: ['admin'] },
    { role: 'admin' },
    { sub: victim.user.id },
    { id: victim.user.id },
    { user_id: victim.user.id },
    { userId: victim.user.id },
    { account_id: victim.user.id },
    { email_verified: true },
    { email_verified_at: '2020-01-01T00:00:00Z' },
    { disabled: false },
    { password_hash: 'x' },
    { is_setup: true },
    { username_key: 'x' },
    { created_at: 'x' },
    { scope: 'admin' },
    { Username: 'x' }
  ]) {
    const name = Object.keys(extra)[0]!
    const unknown = { code: 'validation_failed', errors: [{ pointer: `/${name}`, code: 'unknown' }] }
    t.match(
      (await w.as(tokens.access_token, 'PATCH', '/v1/me', { username: 'grace2', ...extra })).json(),
      unknown,
      `PATCH ${name}`
    )
    t.match(
      (await w.post('/v1/register', { username: 'new', password: goodPassword, ...extra })).json(),
      unknown,
      `register ${name}`
    )
    t.match(
      (await w.post('/v1/login', { username: 'grace', password: goodPassword, ...extra })).json(),
      name === 'Username' ? { code: 'validation_failed' } : unknown,
      `login ${name}`
    )
    t.match(
      (
        await w.as(tokens.access_token, 'POST', '/v1/me/password', {
          current_password: goodPassword,
          new_password: 'battery horse correct',
          ...extra
        })
      ).json(),
      unknown,
      `password ${name}`
    )
  }
  for (const user of ['grace', 'ada'])
    t.match((await w.login(user)).user, { username: user, roles: [] }, 'nothing changed')
  t.equal((await w.app.db.selectFrom('account').select('id').execute()).length, 2)
})

t.test('GHSA-4vcf-q4xf-f48m: the session of another account is as unknown as none, and stays', async (t) => {
  const w = await world(t)
  const [mallory, victim] = [await w.login(await w.account()), await w.login(await w.account())]
  const { sessions } = (await w.get('/v1/sessions', victim.access_token)).json()
  const id: string = sessions[0].id
  const remove = (id: string) => w.as(mallory.access_token, 'DELETE', `/v1/sessions/${id}`)
  const unknown = await remove('00000000-0000-4000-8000-000000000000')
  const foreign = await remove(id)
  t.equal(foreign.statusCode, 404)
  t.equal(foreign.body, unknown.body)
  for (const spelling of [id.toUpperCase(), `{${id}}`, id.replaceAll('-', ''), `${id}%20`])
    t.equal((await remove(spelling)).statusCode, 404)
  t.same((await w.get('/v1/sessions', victim.access_token)).json().sessions, sessions, 'it is as it was')
  t.equal((await w.refresh(victim.refresh_token)).statusCode, 200)
  t.equal((await w.get('/v1/sessions', mallory.access_token)).json().sessions.length, 1, 'and nobody else’s is listed')
})

t.test('CVE-2025-48370: an id that is no UUID reaches no statement', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  for (const id of [
    '..%2f..%2fetc%2fpasswd',
    '%27%20OR%201=1--',
    '0',
    'null',
    '*',
    '%00',
    `${admin.user.id}%0a`,
    admin.user.id.toUpperCase(),
    `${admin.user.id}%27`,
    '__proto__',
    'x'.repeat(100)
  ]) {
    for (const [method, path] of [
      ['GET', `/v1/admin/users/${id}`],
      ['POST', `/v1/admin/users/${id}/disable`],
      ['DELETE', `/v1/admin/users/${id}/sessions`],
      ['DELETE', `/v1/sessions/${id}`]
    ] as const) {
      t.equal((await w.as(admin.access_token, method, path)).statusCode, 404, `${method} ${path}`)
    }
  }
  t.equal((await w.refresh(admin.refresh_token)).statusCode, 200)
})

t.test('administration asks for the role in the token, on every route', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const tokens = await w.login(await w.account())
  const before = await w.app.db.selectFrom('account').selectAll().orderBy('id').execute()
  for (const [method, path, body] of [
    ['GET', '/v1/admin/users', undefined],
    ['POST', '/v1/admin/users', { username: 'x', roles: ['admin'] }],
    ['GET', `/v1/admin/users/${admin.user.id}`, undefined],
    ['POST', `/v1/admin/users/${admin.user.id}/disable`, undefined],
    ['POST', `/v1/admin/users/${tokens.user.id}/enable`, undefined],
    ['PUT', `/v1/admin/users/${tokens.user.id}/roles`, { roles: ['admin'] }],
    ['DELETE', `/v1/admin/users/${admin.user.id}/sessions`, undefined],
    ['POST', '/v1/admin/invitations', { roles: ['admin'] }]
  ] as const) {
    t.match(
      (await w.as(tokens.access_token, method, path, body)).json(),
      { code: 'permission_denied', status: 403 },
      `${method} ${path}`
    )
  }
  t.same(await w.app.db.selectFrom('account').selectAll().orderBy('id').execute(), before)
})

t.test('nOAuth: who somebody is does not follow from an address', async (t) => {
  const w = await world(t)
  const address = { email: 'grace@example.com' }
  await w.post('/v1/register', { username: 'grace', password: goodPassword, ...address })
  const sub = async (names: object): Promise<Tokens> =>
    (await w.post('/v1/login', { ...names, password: goodPassword })).json()
  const first = await sub(address)
  const patch = (body: object) =>
    w.as(first.access_token, 'PATCH', '/v1/me', { ...body, current_password: goodPassword })
  t.equal((await patch({ email: 'hopper@example.com' })).statusCode, 200)
  t.equal((await sub({ email: 'hopper@example.com' })).user.id, first.user.id, 'a change keeps the subject')
  await w.post('/v1/register', { username: 'other', password: goodPassword, ...address })
  const second = await sub(address)
  t.not(second.user.id, first.user.id, 'an address that somebody else registers is somebody else')

  await w.as(first.access_token, 'DELETE', '/v1/me', { current_password: goodPassword })
  await w.post('/v1/register', { username: 'grace', password: goodPassword })
  t.not((await sub({ username: 'grace' })).user.id, first.user.id, 'nor is an account that was deleted born again')
})

t.test('a password has no end by the calendar, and none is asked for in its place', async (t) => {
  const w = await world(t)
  const username = await w.account()
  w.wait(20 * 365 * 86_400_000)
  const { access_token } = await w.login(username)
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
})
