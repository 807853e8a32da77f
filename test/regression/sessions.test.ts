import t from 'tap'
import { buildApp } from '../../src/app.js'
import { faultyLink } from '../support/faulty-link.js'
import { freshDatabase } from '../support/postgres.js'
import { until } from '../support/until.js'
import { fromOwnPage, goodPassword, type Tokens, testOptions, type World, world } from '../support/world.js'

/** Attacks on refresh tokens, on the end of sessions and on what the service remembers of an account. */

const second = 1000
const newPassword = 'battery horse correct'

const sessionsOf = async (w: World) =>
  await w.app.db.selectFrom('session').select(['generation', 'ended_because']).orderBy('created_at').execute()

async function cookieLogin(w: World, username: string) {
  const body = { username, password: goodPassword, refresh_transport: 'cookie' }
  const response = await w.post('/v1/login', body, fromOwnPage)
  const [cookie] = response.cookies as unknown as Array<{ name: string; value: string }>
  return { response, value: cookie!.value, jar: { ...fromOwnPage, cookie: `${cookie!.name}=${cookie!.value}` } }
}

t.test(
  'CVE-2026-1035 and CVE-2026-53517: fifty refreshes of one token at once, on two replicas, leave one successor',
  async (t) => {
    const w = await world(t)
    const replica = await w.replica()
    const { refresh_token } = await w.login(await w.account())
    await w.warm()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        n % 2 === 0
          ? w.refresh(refresh_token)
          : replica.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })
      )
    )
    const successors = new Set(
      answers.filter(({ statusCode }) => statusCode === 200).map((answer) => answer.json().refresh_token)
    )
    t.equal(successors.size, 1, 'never a second branch')
    t.same(await sessionsOf(w), [{ generation: '1', ended_because: null }])
    const [successor] = [...successors] as string[]
    t.equal((await w.refresh(successor!)).statusCode, 200)
    t.match((await w.refresh(refresh_token)).json(), { code: 'refresh_reused' }, 'the parent comes back after the race')
    t.equal((await w.refresh(successor!)).statusCode, 401)
  }
)

t.test('reuse grace: a predecessor gets its one successor again, and is theft once that was used', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  const successor: Tokens = (await w.refresh(first.refresh_token)).json()
  for (let n = 0; n < 5; n++) {
    t.equal((await w.refresh(first.refresh_token)).json().refresh_token, successor.refresh_token)
  }
  const next: Tokens = (await w.refresh(successor.refresh_token)).json()
  t.match((await w.refresh(first.refresh_token)).json(), { code: 'refresh_reused' })
  t.match((await w.refresh(next.refresh_token)).json(), { code: 'session_revoked' }, 'the whole family is over')
})

t.test(
  'CVE-2026-9802 and Keycloak 52666: an ended session stays ended on other processes and after a restart',
  async (t) => {
    const w = await world(t)
    const first = await w.login(await w.account())
    const next: Tokens = (await w.refresh(first.refresh_token)).json()
    const last: Tokens = (await w.refresh(next.refresh_token)).json()
    const { refresh_token: left } = await w.login(await w.account())
    t.equal((await w.post('/v1/logout', { refresh_token: left })).statusCode, 204)

    const restarted = await w.replica()
    const there = (refresh_token: string) =>
      restarted.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })
    t.match((await there(left)).json(), { code: 'session_revoked' })
    t.match(
      (await there(first.refresh_token)).json(),
      { code: 'refresh_reused' },
      'reuse is seen by a process that saw no use'
    )
    for (const token of [first, next, last]) t.equal((await w.refresh(token.refresh_token)).statusCode, 401)
  }
)

t.test('CVE-2024-22513 and CVE-2025-14559: a disabled account gets tokens in no way', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const [body, replayed] = [await w.login(username), await w.login(username)]
  const { jar } = await cookieLogin(w, username)
  await w.refresh(replayed.refresh_token)
  await w.app.flows.disableUser(body.user.id)

  t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 401, 'login')
  t.equal((await w.refresh(body.refresh_token)).statusCode, 401, 'refresh')
  t.equal((await w.refresh(replayed.refresh_token)).statusCode, 401, 'replay')
  t.equal((await w.post('/v1/refresh', {}, jar)).statusCode, 401, 'cookie')
  await t.rejects(w.app.flows.mintToken(body.user.id, 60_000), { code: 'account_disabled' }, 'mint')
  const change = { current_password: goodPassword, new_password: newPassword }
  const who = { accountId: body.user.id, sessionId: null }
  await t.rejects(w.app.flows.changePassword(who, goodPassword, newPassword), { code: 'password_incorrect' })
  await w.app.revocations.read()
  t.equal((await w.as(body.access_token, 'POST', '/v1/me/password', change)).statusCode, 401, 'a change of password')
  t.equal((await w.get('/v1/me', body.access_token)).statusCode, 401, 'and the access token is over at once')

  await w.app.flows.enableUser(body.user.id)
  for (const token of [body, replayed])
    t.equal((await w.refresh(token.refresh_token)).statusCode, 401, 'enabled again, the old sessions stay over')
  t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 200)
})

t.test(
  'CVE-2025-53942: an account that is disabled while somebody signs in or refreshes has no live session afterwards',
  async (t) => {
    const w = await world(t)
    const username = await w.account()
    const { user, refresh_token } = await w.login(username)
    await w.warm()
    for (let round = 0; round < 5; round++) {
      await Promise.all([
        ...Array.from({ length: 5 }, () => w.post('/v1/login', { username, password: goodPassword })),
        w.refresh(refresh_token),
        w.app.flows.disableUser(user.id)
      ])
      const alive = await w.app.db
        .selectFrom('session')
        .select('id')
        .where('account_id', '=', user.id)
        .where('ended_at', 'is', null)
        .execute()
      t.equal(alive.length, 0, `round ${round}`)
      await w.app.flows.enableUser(user.id)
    }
  }
)

t.test('CVE-2026-22706: a change of password ends every other session, whatever it was begun with', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const [here, there] = [await w.login(username), await w.login(username)]
  const { jar } = await cookieLogin(w, username)
  const rotated: Tokens = (await w.refresh(there.refresh_token)).json()
  const change = { current_password: goodPassword, new_password: newPassword }
  t.equal((await w.as(here.access_token, 'POST', '/v1/me/password', change)).statusCode, 204)
  for (const token of [there, rotated])
    t.match((await w.refresh(token.refresh_token)).json(), { code: 'session_revoked' })
  t.equal((await w.post('/v1/refresh', {}, jar)).statusCode, 401)
  t.equal((await w.refresh(here.refresh_token)).statusCode, 200)
  t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 401)
})

t.test(
  'CVE-2025-3930 and CVE-2024-34709: logout, an end by the owner and deletion revoke, for every generation',
  async (t) => {
    const w = await world(t)
    const ends: Array<[string, (tokens: Tokens) => Promise<unknown>]> = [
      ['logout', ({ refresh_token }) => w.post('/v1/logout', { refresh_token })],
      ['logout by the access token', ({ access_token }) => w.as(access_token, 'POST', '/v1/logout')],
      ['logout everywhere', ({ refresh_token }) => w.post('/v1/logout/all', { refresh_token })],
      ['deletion', ({ access_token }) => w.as(access_token, 'DELETE', '/v1/me', { current_password: goodPassword })],
      ['an administrator', ({ user }) => w.app.flows.endUserSessions(user.id)],
      [
        'the list of devices',
        async ({ access_token }) => {
          const { sessions } = (await w.get('/v1/sessions', access_token)).json()
          for (const { id } of sessions) await w.as(access_token, 'DELETE', `/v1/sessions/${id}`)
        }
      ]
    ]
    for (const [title, end] of ends) {
      const first = await w.login(await w.account())
      const next: Tokens = (await w.refresh(first.refresh_token)).json()
      await end(next)
      for (const token of [first, next]) {
        t.match((await w.refresh(token.refresh_token)).json(), { code: 'session_revoked', status: 401 }, title)
      }
    }
  }
)

t.test(
  'CVE-2020-15223: a logout that the database did not take is a 503, keeps its cookie and can be repeated',
  async (t) => {
    const { url } = await freshDatabase(t)
    const link = await faultyLink(t, url)
    const options = testOptions(link.url, () => new Date())
    const app = await buildApp({ ...options, database: { url: link.url, poolSize: 10, timeout: 1_000 } })
    t.teardown(() => app.close())
    await app.ready()
    await app.flows.createAccount({ username: 'grace', password: goodPassword })
    const send = (path: string, payload: object, headers: Record<string, string> = {}) =>
      app.inject({ method: 'POST', url: path, payload, headers })
    const body = { username: 'grace', password: goodPassword }
    const login = await send('/v1/login', { ...body, refresh_transport: 'cookie' }, fromOwnPage)
    const [cookie] = login.cookies as unknown as Array<{ name: string; value: string }>
    const jar = { ...fromOwnPage, cookie: `${cookie!.name}=${cookie!.value}` }
    const bearer = { authorization: `Bearer ${login.json().access_token}` }

    await link.cut()
    for (const [path, headers] of [
      ['/v1/logout', jar],
      ['/v1/logout/all', jar],
      ['/v1/logout', bearer],
      ['/v1/logout/all', bearer]
    ] as const) {
      const failed = await send(path, {}, headers)
      t.equal(failed.statusCode, 503, path)
      t.ok(failed.headers['retry-after'])
      t.equal(failed.headers['set-cookie'], undefined, 'the cookie is not cleared')
      t.equal(failed.headers['clear-site-data'], undefined)
    }
    await link.mend()
    // It may have been asked nothing for a while, and is asked again as soon as it answers.
    let done = await send('/v1/logout', {}, jar)
    await until(async () => {
      if (done.statusCode === 503) done = await send('/v1/logout', {}, jar)
      return done.statusCode !== 503
    })
    t.equal(done.statusCode, 204)
    t.match(done.headers['set-cookie'], /Max-Age=0/)
    t.equal((await send('/v1/refresh', {}, jar)).statusCode, 401)
  }
)

t.test('CVE-2026-27840: a refresh token cut short or made longer is refused at every length', async (t) => {
  const w = await world(t)
  const { refresh_token } = await w.login(await w.account())
  await w.refresh(refresh_token)
  const before = await sessionsOf(w)
  for (let length = 1; length < refresh_token.length; length++) {
    t.equal((await w.refresh(refresh_token.slice(0, length))).statusCode, 401, `first ${length}`)
    t.equal((await w.refresh(refresh_token.slice(-length))).statusCode, 401, `last ${length}`)
  }
  for (const more of ['A', '=', '.', ' ', '\n', 'A'.repeat(4), refresh_token, 'A'.repeat(400)]) {
    t.equal((await w.refresh(refresh_token + more)).statusCode, 401, `and ${more.length} more`)
    t.equal((await w.post('/v1/logout', { refresh_token: refresh_token + more })).statusCode, 204)
  }
  t.same(await sessionsOf(w), before, 'nothing rotated, nothing ended')
})

t.test('a refresh token that was made under another master key is refused', async (t) => {
  const w = await world(t)
  const stranger = await world(t, (options) => ({ ...options, masterKey: Buffer.alloc(32, 'another master key') }))
  const { refresh_token } = await stranger.login(await stranger.account())
  t.match((await w.refresh(refresh_token)).json(), { code: 'token_invalid', status: 401 })
})

t.test('RFC 9700 §4.14.2: a refresh widens nothing, and the sign-in does not get younger', async (t) => {
  const w = await world(t)
  const first = await w.login(await w.account())
  for (const extra of [
    { scope: 'admin' },
    { audience: 'other' },
    { resource: 'x' },
    { roles: ['admin'] },
    { client_id: 'x' }
  ]) {
    const response = await w.post('/v1/refresh', { refresh_token: first.refresh_token, ...extra })
    t.equal(response.statusCode, 400, Object.keys(extra).join())
  }
  w.wait(60 * second)
  const next: Tokens = (await w.refresh(first.refresh_token)).json()
  const say = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
  for (const claim of ['iss', 'sub', 'aud', 'scope', 'roles', 'client_id', 'auth_time', 'amr', 'acr', 'sid']) {
    t.same(say(next.access_token)[claim], say(first.access_token)[claim], claim)
  }
  t.not(say(next.access_token).jti, say(first.access_token).jti)
})
