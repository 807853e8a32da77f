import fp from 'fastify-plugin'
import t from 'tap'
import { faultyLink } from '../support/faulty-link.js'
import { countingLink } from '../support/query-count.js'
import { until } from '../support/until.js'
import { fromOwnPage, goodPassword, type Tokens, type World, world } from '../support/world.js'

const second = 1000
const day = 86_400 * second

const generations = async (w: World) =>
  (await w.app.db.selectFrom('session').select(['generation', 'ended_because']).execute()).map((row) => [
    Number(row.generation),
    row.ended_because
  ])

t.test('a refresh answers with new tokens of the same sign-in', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  w.wait(60 * second)
  const next = await w.refresh(first.refresh_token)

  t.equal(next.statusCode, 200)
  t.equal(next.headers['cache-control'], 'no-store')
  const tokens: Tokens = next.json()
  t.not(tokens.refresh_token, first.refresh_token)
  t.not(tokens.access_token, first.access_token)
  t.equal(tokens.authorization_expires_in, 30 * 86_400 - 60, 'the absolute end does not move')
  t.equal(tokens.refresh_token_timeout, 14 * 86_400, 'the idle end does')

  const [before, after] = await Promise.all(
    [first, tokens].map(async (one) => (await w.get('/v1/me', one.access_token)).json())
  )
  for (const claim of ['id', 'session_id', 'auth_time', 'amr', 'acr']) t.same(after[claim], before[claim], claim)
})

t.test('a token sent again gets the very same successor, and counts once', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  const next: Tokens = (await w.refresh(first.refresh_token)).json()
  w.wait(29 * second)
  const again = await w.refresh(first.refresh_token)

  t.equal(again.statusCode, 200)
  t.equal(again.json().refresh_token, next.refresh_token)
  t.same(await generations(w), [[1, null]])
})

t.test('of fifty simultaneous refreshes of one token one rotates, and all get the same successor', async (t) => {
  const w = await world(t)
  const { refresh_token } = await w.login(await w.account())
  await w.warm()

  const answers = await Promise.all(Array.from({ length: 50 }, () => w.refresh(refresh_token)))
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  t.equal(new Set(answers.map((answer) => answer.json().refresh_token)).size, 1)
  t.same(await generations(w), [[1, null]])
  t.equal(
    w.logs.filter((line) => line.includes('refresh.replayed')).length,
    49,
    'one rotation, and 49 who got the same'
  )
  const successor: Tokens = answers[0]!.json()
  t.equal((await w.refresh(successor.refresh_token)).statusCode, 200, 'and the session goes on')
})

t.test('a token two generations old ends its session everywhere', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const first = await w.login(await w.account())
  const second: Tokens = (await w.refresh(first.refresh_token)).json()
  const third: Tokens = (await w.refresh(second.refresh_token)).json()

  const thief = await w.refresh(first.refresh_token)
  t.match(thief.json(), { code: 'refresh_reused', status: 401 })
  t.same(await generations(w), [[2, 'refresh_reused']], 'the end is committed though the answer is an error')

  t.match((await w.refresh(third.refresh_token)).json(), { code: 'session_revoked', status: 401 })
  const elsewhere = await replica.inject({
    method: 'POST',
    url: '/v1/refresh',
    payload: { refresh_token: third.refresh_token }
  })
  t.match(elsewhere.json(), { code: 'session_revoked', status: 401 })
})

t.test('a request that got stuck while its client went on by another replica ends no session', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  let hasCome = false
  const stuck = await w.replica(({ before, ...options }) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null },
    before: fp(async (app) => {
      if (before) await app.register(before)
      app.addHook('preHandler', async () => {
        hasCome = true
      })
    })
  }))
  const first = await w.login(await w.account())
  const payload = { refresh_token: first.refresh_token }
  link.hang()
  const late = stuck.inject({ method: 'POST', url: '/v1/refresh', payload })
  t.ok(await until(() => hasCome), 'it is on its way to the database: what comes now comes later')
  w.wait(1_000)
  const next = (await w.refresh(first.refresh_token)).json() as Tokens
  w.wait(1_000)
  const newest = (await w.refresh(next.refresh_token)).json() as Tokens
  await link.mend()
  t.match((await late).json(), { code: 'service_unavailable' })
  t.equal((await w.refresh(newest.refresh_token)).statusCode, 200, 'the session goes on')

  const asked = await stuck.inject({ method: 'POST', url: '/v1/refresh', payload })
  t.match(asked.json(), { code: 'refresh_reused' }, 'whoever asks again with it has a copy')
})

t.test('a predecessor that comes back after the window ends the session', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  const next: Tokens = (await w.refresh(first.refresh_token)).json()
  w.wait(31 * second)
  t.match((await w.refresh(first.refresh_token)).json(), { code: 'refresh_reused' })
  t.match((await w.refresh(next.refresh_token)).json(), { code: 'session_revoked' })
})

t.test('in a cookie, an answer that was lost for hours costs nobody the session', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const login = await w.post(
    '/v1/login',
    { username, password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  const cookieOf = (response: typeof login) => response.cookies[0] as unknown as { name: string; value: string }
  const present = (value: string) =>
    w.post('/v1/refresh', {}, { ...fromOwnPage, cookie: `${cookieOf(login).name}=${value}` })

  const lost = await present(cookieOf(login).value)
  w.wait(8 * 3600 * second)
  const again = await present(cookieOf(login).value)
  t.equal(again.statusCode, 200)
  t.equal(cookieOf(again).value, cookieOf(lost).value)
  t.ok(
    w.logs.some((line) => line.includes('refresh.replayed') && line.includes('"late":true')),
    'and it is recorded'
  )

  t.equal((await present(cookieOf(again).value)).statusCode, 200)
  t.match(
    (await present(cookieOf(login).value)).json(),
    { code: 'refresh_reused' },
    'once the successor was used it is theft'
  )
})

t.test('a session ends when it is idle for too long, and at its absolute end', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const idle = await w.login(username)
  w.wait(14 * day)
  t.match((await w.refresh(idle.refresh_token)).json(), { code: 'session_expired', status: 401 })

  let tokens = await w.login(username)
  for (const days of [10, 10, 9]) {
    w.wait(days * day)
    tokens = (await w.refresh(tokens.refresh_token)).json()
  }
  t.equal(tokens.authorization_expires_in, 86_400)
  t.equal(tokens.refresh_token_timeout, 86_400, 'the idle end never lies behind the absolute one')
  w.wait(day - 100 * second)
  tokens = (await w.refresh(tokens.refresh_token)).json()
  t.equal(tokens.expires_in, 100, 'no access token outlives its session')
  w.wait(100 * second)
  t.match((await w.refresh(tokens.refresh_token)).json(), { code: 'session_expired' })
})

t.test('a replica whose clock is behind rotates all the same', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  w.wait(-120 * second)
  t.equal((await w.refresh(first.refresh_token)).statusCode, 200)
})

t.test('a database that lost its last commits signs nobody out', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  const second: Tokens = (await w.refresh(first.refresh_token)).json()
  const third: Tokens = (await w.refresh(second.refresh_token)).json()
  await w.app.db.updateTable('session').set({ generation: 1 }).execute()
  t.equal((await w.refresh(third.refresh_token)).statusCode, 200)
  t.same(await generations(w), [[3, null]])
})

t.test('an account that is disabled gets no tokens, also where its sessions were not ended', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  const next: Tokens = (await w.refresh(tokens.refresh_token)).json()
  await w.app.db.updateTable('account').set({ disabled_at: w.now() }).execute()
  for (const { refresh_token } of [next, tokens]) {
    t.match((await w.refresh(refresh_token)).json(), { code: 'account_disabled', status: 401 })
  }
  t.same(await generations(w), [[1, null]])
})

t.test('a token that was in a cookie is not taken from a body', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const login = await w.post(
    '/v1/login',
    { username, password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  t.notMatch(login.json(), { refresh_token: String })
  const [cookie] = login.cookies as unknown as Array<{ value: string }>
  t.match((await w.refresh(cookie!.value)).json(), { code: 'token_invalid', status: 401 })
  t.same(await generations(w), [[0, null]], 'and nothing is rotated')
})

t.test('garbage costs no query', async (t) => {
  const w = await world(t)
  const { refresh_token } = await w.login(await w.account())
  await w.app.db.destroy()
  for (const garbage of [
    'x',
    'ktr_',
    `${refresh_token.slice(0, -1)}${refresh_token.endsWith('_') ? '-' : '_'}`,
    `${refresh_token}A`,
    refresh_token.toLowerCase()
  ]) {
    t.match((await w.refresh(garbage)).json(), { code: 'token_invalid', status: 401 }, garbage.slice(0, 8))
  }
})

t.test('a refresh is one statement, one round trip, and a look at the token is none', async (t) => {
  const w = await world(t)
  const link = await countingLink(t, w.url)
  const counted = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url, poolSize: 1 },
    audit: { ...options.audit, retention: null }
  }))
  const refresh = async (refresh_token: string): Promise<Tokens> =>
    (await counted.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })).json()
  const first = await refresh((await w.login(await w.account())).refresh_token)

  const before = link.statements()
  const { access_token } = await refresh(first.refresh_token)
  t.equal(link.statements() - before, 1)
  const me = await counted.inject({ url: '/v1/me', headers: { authorization: `Bearer ${access_token}` } })
  t.equal(me.statusCode, 200)
  t.equal(link.statements() - before, 1)
})

t.test('a page without a session may ask at every load', async (t) => {
  const w = await world(t)
  const response = await w.app.inject({ method: 'POST', url: '/v1/refresh' })
  t.equal(response.statusCode, 204)
  t.equal(response.body, '')
})
