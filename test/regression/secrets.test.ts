import t from 'tap'
import { fromOwnPage, goodPassword, type Tokens, world } from '../support/world.js'

/** What must not be written anywhere, and what must not get mixed up. */

t.test('GitHub and Twitter 2018, Okta 2023: no password, token or cookie is ever logged, at any level', async (t) => {
  const logs: string[] = []
  const w = await world(t, (options) => ({
    ...options,
    logger: { level: 'trace', stream: { write: (line: string) => void logs.push(line) } }
  }))
  const secrets = new Map<string, string>()
  const secret = (name: string, value: string) => {
    secrets.set(name, value)
    return value
  }
  const master = Buffer.alloc(32, 'test master key')
  for (const encoding of ['base64', 'base64url', 'hex'] as const)
    secret(`master key in ${encoding}`, master.toString(encoding))
  secret('password', goodPassword)
  secret('wrong password', 'wrong horse battery zero')
  secret('new password', 'battery horse correct')
  secret('short password', 'shortpw1')

  const registration = { username: 'grace', email: 'grace@example.com', password: goodPassword }
  await w.post('/v1/register', registration)
  await w.post('/v1/register', registration)
  await w.post('/v1/register', { ...registration, username: 'other', password: 'shortpw1' })
  await w.post('/v1/register', {
    username: secret('password as a name', 'my secret as a name'),
    password: goodPassword
  })
  await w.app.inject({
    method: 'POST',
    url: '/v1/login',
    headers: { 'content-type': 'application/json' },
    payload: `{"password":"${goodPassword}"`
  })
  await w.post('/v1/login', { username: 'grace', password: 'wrong horse battery zero' })
  await w.post('/v1/login', { username: 'nobody', password: 'wrong horse battery zero' })
  const first: Tokens = (await w.post('/v1/login', { username: 'grace', password: goodPassword })).json()
  secret('access token', first.access_token)
  secret('signature of an access token', first.access_token.split('.')[2]!)
  secret('refresh token', first.refresh_token)
  const next: Tokens = (await w.refresh(first.refresh_token)).json()
  secret('next access token', next.access_token)
  secret('next refresh token', next.refresh_token)
  await w.refresh(first.refresh_token)
  await w.refresh(`${next.refresh_token}x`)
  await w.get('/v1/me', next.access_token)
  await w.get('/v1/me', `${next.access_token}x`)
  await w.get(`/v1/me?access_token=${next.access_token}`)
  await w.get(`/v1/nowhere/${next.access_token}?password=${encodeURIComponent(goodPassword)}`)
  await w.get(`/${next.refresh_token}%`)
  await w.as(next.access_token, 'POST', '/v1/me/password', {
    current_password: 'wrong horse battery zero',
    new_password: 'battery horse correct'
  })
  await w.as(next.access_token, 'POST', '/v1/me/password', { current_password: goodPassword, new_password: 'shortpw1' })
  const cookie = await w.post(
    '/v1/login',
    { username: 'grace', password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  const [jar] = cookie.cookies as unknown as Array<{ name: string; value: string }>
  secret('cookie', jar!.value)
  const headers = { ...fromOwnPage, cookie: `${jar!.name}=${jar!.value}` }
  await w.post('/v1/refresh', {}, headers)
  await w.post('/v1/refresh', {}, { ...headers, 'sec-fetch-site': 'cross-site' })
  await w.post('/v1/refresh', { refresh_token: next.refresh_token }, headers)
  await w.post('/v1/logout', {}, headers)
  const admin = await w.admin()
  secret('access token of an administrator', admin.access_token)
  const invited = await w.as(admin.access_token, 'POST', '/v1/admin/invitations', { roles: ['editor'] })
  const { invitation } = invited.json()
  secret('invitation', invitation)
  await w.post('/v1/register', { username: 'invited', password: goodPassword, invitation })
  await w.post('/v1/register', { username: 'again', password: goodPassword, invitation })
  await w.app.keys.rotate()
  await w.as(next.access_token, 'POST', '/v1/me/password', {
    current_password: goodPassword,
    new_password: 'battery horse correct'
  })
  await w.as(next.access_token, 'DELETE', '/v1/me', { current_password: 'battery horse correct' })
  // The database goes away in the middle of it: errors of the driver are logged too.
  await w.app.db.destroy()
  await w.post('/v1/login', { username: 'grace', password: goodPassword })
  await w.post('/v1/register', { ...registration, username: 'late' })
  await w.refresh(next.refresh_token)

  const text = logs.join('')
  t.ok(logs.length > 30, `${logs.length} lines`)
  t.match(text, /refresh\.replayed/)
  t.match(text, /login\.failed/)
  for (const [name, value] of secrets) {
    t.notOk(text.includes(value), `no ${name}`)
    t.notOk(text.includes(encodeURIComponent(value)), `no ${name} as in a URL`)
  }
  t.notMatch(text, /ktr_[\w-]{20}/, 'no refresh token at all')
  t.notMatch(text, /eyJ[\w-]+\.[\w-]+/, 'no access token at all')
  t.notMatch(text, /\$argon2/, 'no hash')
  t.notMatch(text, /PRIVATE KEY/)
  for (const line of logs) JSON.parse(line)
})

t.test('nothing that lies in the database signs anybody in', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account('grace'))
  const { token: invitation } = await w.app.flows.invite({ roles: [], lifetime: 60_000 })
  const tables = await Promise.all(
    (['account', 'session', 'signing_key', 'invitation'] as const).map((table) =>
      w.app.db.selectFrom(table).selectAll().execute()
    )
  )
  const dump = JSON.stringify(tables, (_, value) =>
    value?.type === 'Buffer'
      ? Buffer.from(value.data).toString('latin1') + Buffer.from(value.data).toString('base64url')
      : value
  )
  for (const secret of [
    goodPassword,
    tokens.access_token,
    tokens.refresh_token,
    tokens.refresh_token.slice(4),
    invitation
  ]) {
    t.notOk(dump.includes(secret), `${secret.slice(0, 8)}…`)
  }
  t.notMatch(dump, /"d"|PRIVATE KEY/, 'private keys are sealed')
  t.match(dump, /\$argon2id\$/)
})

t.test(
  'GitHub 2021, OpenAI 2023: two hundred people at once each get their own, and nothing of it is kept',
  async (t) => {
    const w = await world(t, (options) => ({
      ...options,
      passwords: { ...options.passwords, maxWaiting: 1_000, maxWait: 60_000 }
    }))
    const names = Array.from({ length: 200 }, (_, n) => `user-${n}`)
    for (const name of names) await w.role(name)
    await Promise.all(
      names.map((username) => w.app.flows.createAccount({ username, password: goodPassword, roles: [username] }))
    )
    const mixed: string[] = []
    const uncached: string[] = []
    await Promise.all(
      names.map(async (username, n) => {
        const cookie = n % 2 === 0
        const login = await w.post(
          '/v1/login',
          { username, password: goodPassword, ...(cookie ? { refresh_transport: 'cookie' } : {}) },
          fromOwnPage
        )
        const jar = login.cookies[0] as unknown as { name: string; value: string } | undefined
        const refresh = cookie
          ? w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: `${jar!.name}=${jar!.value}` })
          : w.refresh(login.json().refresh_token)
        const [refreshed, me] = await Promise.all([refresh, w.get('/v1/me', login.json().access_token)])
        const profile = await w.get('/v1/me/profile', refreshed.json().access_token)
        const say = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
        const { id } = login.json().user
        for (const [where, holds] of [
          ['login', login.json().user.username === username && say(login.json().access_token).sub === id],
          ['refresh', refreshed.json().user.username === username && say(refreshed.json().access_token).sub === id],
          ['roles', say(refreshed.json().access_token).roles.join() === username],
          ['me', me.json().id === id && me.json().session_id === say(login.json().access_token).sid],
          ['profile', profile.json().user.username === username]
        ] as const) {
          if (!holds) mixed.push(`${username}: ${where}`)
        }
        for (const response of [login, refreshed, me]) {
          if (response.headers['cache-control'] !== 'no-store') uncached.push(username)
        }
      })
    )
    t.strictSame(mixed, [])
    t.strictSame(uncached, [], 'no-store on everything that has a token in it')
  }
)
