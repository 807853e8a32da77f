import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { fromOwnPage, goodPassword, type Tokens, type World, world } from '../support/world.js'

interface Cookie {
  name: string
  value: string
  maxAge?: number
}

async function loginWithCookie(w: World, headers: Record<string, string> = fromOwnPage) {
  const username = await w.account()
  const body = { username, password: goodPassword, refresh_transport: 'cookie' }
  const response = await w.post('/v1/login', body, headers)
  return { username, response, cookie: (response.cookies as unknown as Cookie[])[0]! }
}

t.test('login answers with tokens, by username or by email', async (t) => {
  const w = await world(t)
  const registration = { username: 'Ada', password: goodPassword, email: 'ada@example.com' }
  t.equal((await w.post('/v1/register', registration)).statusCode, 201)

  for (const name of [{ username: 'ada' }, { email: 'ADA@example.com' }]) {
    const response = await w.post('/v1/login', { ...name, password: goodPassword })
    t.equal(response.statusCode, 200)
    t.match(response.json(), {
      token_type: 'Bearer',
      refresh_token: /^ktr_[\w-]{76}$/,
      refresh_token_timeout: 14 * 86_400,
      authorization_expires_in: 30 * 86_400,
      user: { username: 'Ada', email: 'ada@example.com', email_verified: false }
    })
    t.ok(response.json().expires_in <= 600 && response.json().expires_in >= 570, 'ten minutes, less up to 5 %')
  }
})

t.test('login takes exactly one name', async (t) => {
  const w = await world(t)
  for (const names of [{}, { username: 'ada', email: 'ada@example.com' }]) {
    const response = await w.post('/v1/login', { ...names, password: goodPassword })
    t.match(response.json(), { code: 'validation_failed', errors: [{ pointer: '/username', code: 'one_of' }] })
  }
})

t.test('a wrong password, an unknown name and a disabled account get one and the same answer', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const disabled = await w.login(await w.account())
  await w.app.flows.disableUser(disabled.user.id)

  const answers = await Promise.all([
    w.post('/v1/login', { username, password: 'wrong horse battery' }),
    w.post('/v1/login', { username: 'nobody', password: goodPassword }),
    w.post('/v1/login', { username: disabled.user.username, password: goodPassword })
  ])
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [401, 401, 401]
  )
  t.equal(new Set(answers.map(({ body }) => body)).size, 1)
  t.equal(answers[0]!.json().code, 'invalid_credentials')
})

t.test('the cookie is one that no script, no other host and no other site can use', async (t) => {
  const w = await world(t)
  const { response } = await loginWithCookie(w)
  t.equal(response.statusCode, 200)
  t.match(
    response.headers['set-cookie']?.[0],
    /^__Host-Http-rt=ktr_[\w-]{76}; Max-Age=1209600; Path=\/; HttpOnly; Secure; SameSite=Strict$/
  )
  t.notMatch(response.json(), { refresh_token: String })
})

t.test('a request with the cookie must come from a page that may send it', async (t) => {
  const w = await world(t)
  const { cookie } = await loginWithCookie(w)
  const jar = { cookie: `${cookie.name}=${cookie.value}` }
  const json = { 'content-type': 'application/json', 'x-auth-request': '1' }
  const attempts: Array<[string, Record<string, string>, number]> = [
    ['own page', { ...json, 'sec-fetch-site': 'same-origin' }, 200],
    ['allowed origin on the same site', { ...json, 'sec-fetch-site': 'same-site', origin: 'https://app.test' }, 200],
    ['allowed origin, old browser', { ...json, origin: 'https://app.test' }, 200],
    ['own origin, old browser', { ...json, origin: 'https://auth.test' }, 200],
    ['sibling subdomain', { ...json, 'sec-fetch-site': 'same-site', origin: 'https://evil.test' }, 403],
    ['other site', { ...json, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, 403],
    ['allowed origin but for its port', { ...json, origin: 'https://app.test:8443' }, 403],
    ['origin null', { ...json, origin: 'null' }, 403],
    ['neither origin nor fetch metadata', json, 403],
    ['navigation', { ...json, 'sec-fetch-site': 'none' }, 403],
    ['no custom header', { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }, 403]
  ]
  for (const [title, headers, status] of attempts) {
    for (const url of ['/v1/refresh', '/v1/logout/all']) {
      if (url === '/v1/logout/all' && status === 200) continue
      const response = await w.post(url, {}, { ...jar, ...headers })
      t.equal(response.statusCode, status, `${title}: ${url}`)
      if (status === 403) t.equal(response.json().code, 'csrf_failed')
    }
  }
  const form = await w.app.inject({
    method: 'POST',
    url: '/v1/logout',
    headers: { ...jar, 'content-type': 'text/plain', 'sec-fetch-site': 'same-origin', 'x-auth-request': '1' },
    payload: '{}'
  })
  t.equal(form.statusCode, 415, 'a form cannot send JSON')
})

t.test('another site cannot sign a browser in', async (t) => {
  const w = await world(t)
  const { response } = await loginWithCookie(w, { 'content-type': 'application/json', origin: 'https://evil.example' })
  t.match(response.json(), { code: 'csrf_failed', status: 403 })
  t.equal(response.headers['set-cookie'], undefined)
})

t.test('logout ends the session, and is 204 also when repeated and with a dead token', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  for (const body of [
    { refresh_token: tokens.refresh_token },
    { refresh_token: tokens.refresh_token },
    { refresh_token: 'dead' },
    {}
  ]) {
    t.equal((await w.post('/v1/logout', body)).statusCode, 204)
  }
  t.match((await w.refresh(tokens.refresh_token)).json(), { code: 'session_revoked' })
})

t.test('logout by an access token, also by an expired one, but not by a forged one', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const one = await w.login(username)
  const other = await w.login(username)
  const forged = `${other.access_token.slice(0, -8)}AAAAAAAA`
  t.equal((await w.as(forged, 'POST', '/v1/logout')).statusCode, 204)
  t.equal((await w.refresh(other.refresh_token)).statusCode, 200)

  w.wait(3_600_000)
  t.equal((await w.get('/v1/me', one.access_token)).statusCode, 401)
  t.equal((await w.as(one.access_token, 'POST', '/v1/logout')).statusCode, 204)
  t.match((await w.refresh(one.refresh_token)).json(), { code: 'session_revoked' })
})

t.test('the cookie is cleared once its session is over, and never otherwise', async (t) => {
  const w = await world(t)
  const { cookie } = await loginWithCookie(w)
  const send = (value: string) => w.post('/v1/logout', {}, { ...fromOwnPage, cookie: `${cookie.name}=${value}` })

  const unreadable = await send('ktr_of-another-key')
  t.equal(unreadable.statusCode, 204)
  t.equal(unreadable.headers['set-cookie'], undefined)

  const over = await send(cookie.value)
  t.match(
    over.headers['set-cookie'],
    /^__Host-Http-rt=; Max-Age=0; Path=\/; Expires=.*; HttpOnly; Secure; SameSite=Strict$/
  )

  const refused = await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: `${cookie.name}=${cookie.value}` })
  t.match(refused.json(), { code: 'session_revoked' })
  t.equal(refused.headers['set-cookie'], undefined, 'a late refusal must not clear the cookie of a newer sign-in')
})

t.test('logout everywhere ends all sessions of the account and no other’s', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const [one, two] = [await w.login(username), await w.login(username)]
  const other = await w.login(await w.account())
  t.equal((await w.post('/v1/logout/all', { refresh_token: one.refresh_token })).statusCode, 204)
  for (const { refresh_token } of [one, two]) t.equal((await w.refresh(refresh_token)).statusCode, 401)
  t.equal((await w.refresh(other.refresh_token)).statusCode, 200)

  const three = await w.login(username)
  t.equal((await w.post('/v1/logout/all', { refresh_token: one.refresh_token })).statusCode, 204)
  t.equal((await w.refresh(three.refresh_token)).statusCode, 200, 'a token of a session that is over ends no others')
})

t.test('the devices that are signed in, and the end of one of them', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const phone = await w.login(username)
  w.wait(60_000)
  const laptop: Tokens = (
    await w.post('/v1/login', { username, password: goodPassword }, { 'user-agent': `Laptop\t${'x'.repeat(300)}` })
  ).json()

  const { sessions } = (await w.get('/v1/sessions', laptop.access_token)).json()
  t.same(
    sessions.map(({ current }: { current: boolean }) => current),
    [true, false]
  )
  t.equal(sessions[0].user_agent.length, 256)
  t.match(sessions[0], { address: '127.0.0.1', created_at: '2030-01-01T12:01:00.000Z' })

  const stranger = await w.login(await w.account())
  const remove = (tokens: Tokens, id: string) => w.as(tokens.access_token, 'DELETE', `/v1/sessions/${id}`)
  t.equal((await remove(stranger, sessions[1].id)).statusCode, 404, 'another account’s session is as unknown as none')
  t.equal((await remove(laptop, 'not-an-id')).statusCode, 404)
  t.equal((await remove(laptop, sessions[1].id)).statusCode, 204)
  t.equal((await remove(laptop, sessions[1].id)).statusCode, 404)
  t.match((await w.refresh(phone.refresh_token)).json(), { code: 'session_revoked' })
  t.equal((await w.refresh(laptop.refresh_token)).statusCode, 200)
})

t.test('behind a trusted proxy a device has the client’s address, and a forged one never counts', async (t) => {
  const w = await world(t, (options) => ({ ...options, trustedProxies: ['127.0.0.1', '10.0.0.0/8'] }))
  const direct = await world(t)
  const username = await w.account()
  await direct.account(username)
  const addressOf = async (world: World, forwarded: string) => {
    const headers = { 'x-forwarded-for': forwarded }
    const tokens: Tokens = (await world.post('/v1/login', { username, password: goodPassword }, headers)).json()
    const { sessions } = (await world.get('/v1/sessions', tokens.access_token)).json()
    return sessions.find(({ current }: { current: boolean }) => current).address
  }
  t.equal(await addressOf(w, '203.0.113.7'), '203.0.113.7')
  t.equal(await addressOf(w, '198.51.100.1, 203.0.113.7, 10.1.2.3'), '203.0.113.7')
  t.equal(await addressOf(w, '::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(await addressOf(w, 'made-up, 10.1.2.3'), null)
  t.equal(await addressOf(direct, '203.0.113.7'), '127.0.0.1')
})

t.test('two refresh tokens in one request are refused', async (t) => {
  const w = await world(t)
  const { cookie } = await loginWithCookie(w)
  const jar = `${cookie.name}=${cookie.value}`
  const both = await w.post('/v1/refresh', { refresh_token: cookie.value }, { ...fromOwnPage, cookie: jar })
  t.match(both.json(), { code: 'request_malformed', status: 400 })
  const planted = await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: `${jar}; ${cookie.name}=planted` })
  t.match(planted.json(), { code: 'token_invalid', status: 401 })
})

/** Signs in while the account is being given a role, which is committed once the sign-in waits for it. */
async function overtaken(t: Test, before: (w: World) => Promise<unknown> = async () => {}) {
  const w = await world(t)
  const username = await w.account()
  await w.app.flows.putRole({ name: 'editor', permissions: ['page.edit'] })
  await before(w)
  const other = new pg.Client({ connectionString: w.url })
  other.on('error', () => {})
  await other.connect()
  t.teardown(() => other.end())
  await other.query('begin')
  const { rows } = await other.query(`update account set roles = '{editor}' where username = $1 returning id`, [
    username
  ])
  await other.query(
    `insert into revocation (kind, subject, because, created_at, expires_at)
     values ('account', $1, 'roles_changed', now(), now() + interval '1 day')`,
    [rows[0].id]
  )
  const signingIn = w.post('/v1/login', { username, password: goodPassword })
  const isWaiting = async () => {
    const waits = await w.app.db
      .selectFrom(
        sql<{ n: number }>`(
      select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    )`.as('a')
      )
      .select('n')
      .executeTakeFirstOrThrow()
    return waits.n > 0
  }
  while (!(await isWaiting()));
  await other.query('commit')
  return { w, response: await signingIn }
}

t.test('a sign-in that waited for a change of its account gets tokens that say so and that live', async (t) => {
  const { w, response } = await overtaken(t)
  const { access_token: token } = response.json()
  await w.app.revocations.read()
  const me = await w.get('/v1/me', token)
  t.equal(me.statusCode, 200)
  t.match(me.json(), { roles: ['editor'], permissions: ['page.edit'] })
})

t.test('a sign-in whose session was ended meanwhile gets no tokens, which nothing would end', async (t) => {
  const { response } = await overtaken(t, (w) =>
    sql
      .raw(`
        create function overtake() returns trigger language plpgsql as $$
        begin
          update session set ended_at = created_at, ended_because = 'ended_by_admin' where id = new.id;
          return null;
        end $$;
        create trigger overtake after insert on session for each row execute function overtake()`)
      .execute(w.app.db)
  )
  t.match(response.json(), { code: 'invalid_credentials', status: 401 })
})
