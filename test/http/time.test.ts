import t from 'tap'
import { fromOwnPage, goodPassword, type Tokens, type World, world } from '../support/world.js'

const second = 1_000
const minute = 60 * second
const day = 24 * 60 * minute

const claimsOf = (token: string) => JSON.parse(atob(token.split('.')[1]!)) as { exp: number; iat: number }

/** Moves the clock to an instant, in milliseconds since 1970. */
const moveTo = (w: World, instant: number) => w.wait(instant - w.now().getTime())

/** A replica whose clock is off by so many milliseconds, and can step. */
async function replicaOff(w: World, by: number) {
  let offset = by
  const app = await w.replica((options) => ({ ...options, clock: () => new Date(w.now().getTime() + offset) }))
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  return {
    stepTo(milliseconds: number) {
      offset = milliseconds
    },
    login: async (username: string): Promise<Tokens> =>
      (await post('/v1/login', { username, password: goodPassword })).json(),
    refresh: (refresh_token: string) => post('/v1/refresh', { refresh_token }),
    me: (accessToken: string) => app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${accessToken}` } })
  }
}

const rotatedAt = async (w: World) =>
  (await w.app.db.selectFrom('session').select('rotated_at').executeTakeFirstOrThrow()).rotated_at

t.test('an access token is good until its exp and the leeway after it, to the millisecond', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  const exp = claimsOf(access_token).exp * 1000
  const leeway = 5 * second
  for (const [instant, expected] of [
    [exp - 1, 200],
    [exp, 200],
    [exp + leeway - 1, 200],
    [exp + leeway, 401],
    [exp + leeway + 1, 401]
  ] as const) {
    moveTo(w, instant)
    t.equal((await w.get('/v1/me', access_token)).statusCode, expected, `at exp ${instant - exp} ms`)
  }
  t.match((await w.get('/v1/me', access_token)).json(), { code: 'token_expired' })
})

t.test('without a leeway it is over at its exp', async (t) => {
  const w = await world(t, (options) => ({ ...options, leeway: 0 }))
  const { access_token } = await w.login(await w.account())
  const exp = claimsOf(access_token).exp * 1000
  moveTo(w, exp - 1)
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
  moveTo(w, exp)
  t.match((await w.get('/v1/me', access_token)).json(), { code: 'token_expired' })
})

t.test('what an answer says of its times is true to the second', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  w.wait(tokens.expires_in * second - 1)
  t.equal((await w.get('/v1/me', tokens.access_token)).statusCode, 200)
  const from = w.now().getTime() - (tokens.expires_in * second - 1)
  moveTo(w, from + tokens.refresh_token_timeout * second - 1)
  const next = await w.refresh(tokens.refresh_token)
  t.equal(next.statusCode, 200, 'a millisecond before the idle end')
  const { refresh_token, refresh_token_timeout }: Tokens = next.json()
  w.wait(refresh_token_timeout * second)
  t.match((await w.refresh(refresh_token)).json(), { code: 'session_expired' }, 'and at it')
})

t.test('the replay window includes its last millisecond', async (t) => {
  const w = await world(t)
  const username = await w.account()
  for (const [after, code] of [
    [30 * second, undefined],
    [30 * second + 1, 'refresh_reused']
  ] as const) {
    const { refresh_token } = await w.login(username)
    await w.refresh(refresh_token)
    w.wait(after)
    t.equal((await w.refresh(refresh_token)).json().code, code)
  }
})

t.test('a clock that steps back signs nobody out, and does not move a session’s past', async (t) => {
  const w = await world(t)
  let tokens = await w.login(await w.account())
  w.wait(10 * minute)
  tokens = (await w.refresh(tokens.refresh_token)).json()
  const before = await rotatedAt(w)
  for (const back of [second, minute, 60 * minute, day]) {
    w.wait(-back)
    const response = await w.refresh(tokens.refresh_token)
    t.equal(response.statusCode, 200, `${back / second} s back`)
    const again = await w.refresh(tokens.refresh_token)
    t.equal(again.json().refresh_token, response.json().refresh_token, 'and a lost answer is given again')
    tokens = response.json()
    t.equal((await w.get('/v1/me', tokens.access_token)).statusCode, 200)
    t.same(await rotatedAt(w), before)
  }
  w.wait(2 * day)
  t.equal((await w.refresh(tokens.refresh_token)).statusCode, 200)
  t.ok((await rotatedAt(w)) > before)
})

t.test('a session that begins before its account was made, by the clock, is one all the same', async (t) => {
  const w = await world(t)
  const username = await w.account()
  w.wait(-day)
  const tokens = await w.login(username)
  t.equal((await w.refresh(tokens.refresh_token)).statusCode, 200)
})

t.test('replicas whose clocks differ by the leeway accept each other’s tokens, to the second', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const ahead = await replicaOff(w, 5 * second)
  const behind = await replicaOff(w, -5 * second)
  const [fromAhead, fromBehind] = [await ahead.login(username), await behind.login(username)]
  t.equal((await w.get('/v1/me', fromAhead.access_token)).statusCode, 200)
  t.equal((await w.get('/v1/me', fromBehind.access_token)).statusCode, 200)
  t.equal((await ahead.me(fromBehind.access_token)).statusCode, 200)
  t.match((await behind.me(fromAhead.access_token)).json(), { code: 'token_invalid' }, 'ten seconds are too many')
})

t.test('a clock that steps between replicas moves rotated_at forwards alone', async (t) => {
  const w = await world(t)
  const other = await replicaOff(w, 0)
  let tokens = await w.login(await w.account())
  let last = await rotatedAt(w)
  for (const offset of [3, -4, 4, -2, 0, 1, -5].map((n) => n * second)) {
    other.stepTo(offset)
    w.wait(second)
    for (const refresh of [other.refresh, w.refresh]) {
      const response = await refresh(tokens.refresh_token)
      t.equal(response.statusCode, 200)
      t.equal(
        (await (refresh === w.refresh ? other.refresh : w.refresh)(tokens.refresh_token)).statusCode,
        200,
        'again elsewhere'
      )
      tokens = response.json()
      const now = await rotatedAt(w)
      t.ok(now >= last, `${now.toISOString()} after ${last.toISOString()}`)
      last = now
    }
  }
})

t.test('a page that comes back after a clock stepped finds its session', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const body = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
  const login = await w.post('/v1/login', body, fromOwnPage)
  const cookie = login.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  const page = () => w.app.inject({ url: '/v1/me', headers: { cookie } })
  w.wait(-60 * minute)
  t.equal((await page()).statusCode, 200)
  w.wait(10 * day)
  t.equal((await page()).statusCode, 200)
})
