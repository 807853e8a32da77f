import t from 'tap'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

/** What the log says of attempts, and what nobody can make it say. */

interface Line {
  readonly level: number
  readonly time: number
  readonly msg: string
  readonly reqId?: string
  readonly code?: string
  readonly because?: string
}

const linesOf = (w: World) => w.logs.map((line) => JSON.parse(line) as Line)

t.test('each line of the log has its moment in UTC, is JSON, and names its request', async (t) => {
  const from = Date.now()
  const w = await world(t)
  await w.login(await w.account())
  await w.get('/v1/me')
  const lines = linesOf(w)
  t.ok(lines.length > 3)
  for (const { level, time, msg } of lines) {
    t.type(level, 'number')
    // Milliseconds since 1970, which are of no time zone.
    t.ok(time >= from && time <= Date.now(), msg)
  }
  const requests = lines.filter(({ msg }) => msg === 'request')
  t.ok(requests.length >= 3)
  for (const { reqId } of requests) t.match(reqId, /^[\w-]{8}-\w+$/)
})

t.test('nobody writes a line of their own into the log', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  const forged = JSON.stringify({ level: 30, time: 1, msg: 'login.succeeded' })
  const before = w.logs.length
  for (const text of [
    `x\n${forged}`,
    `x\r\n${forged}`,
    `\u001b[2Jx`,
    `x\u2028${forged}`,
    `","level":60,"msg":"x`,
    '\u0000'
  ]) {
    await w.post('/v1/login', { username: text, password: text })
    await w.post('/v1/register', { username: text, password: goodPassword })
    await w.get(`/v1/${encodeURIComponent(text)}?q=${encodeURIComponent(text)}`, access_token)
    await w.get('/v1/me', Buffer.from(text).toString('base64'))
    const header = Buffer.from(text).toString('latin1')
    await w.app.inject({
      url: '/v1/me',
      headers: { 'user-agent': header, 'x-request-id': header, 'x-forwarded-for': header }
    })
  }
  const lines = w.logs.slice(before)
  t.ok(lines.length >= 30)
  for (const line of lines) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
    t.notMatch(line.trimEnd(), /[\u0000-\u001f\u2028]/)
    const { time, level, msg } = JSON.parse(line) as Line
    t.ok(time > 1 && level < 50 && msg !== 'login.succeeded', msg)
  }
})

t.test('a refusal is told with its reason: guesses, replays, origins, limits and rights', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    rateLimits: { ...options.rateLimits, register: { max: 1, window: 60_000 } }
  }))
  const username = await w.account()
  const tokens = await w.login(username)
  const told = async (what: string, send: () => Promise<unknown>, expected: Partial<Line>) => {
    const before = w.logs.length
    await send()
    const lines = linesOf(w).slice(before)
    t.ok(
      lines.some((line) => Object.entries(expected).every(([name, value]) => line[name as keyof Line] === value)),
      `${what}: ${JSON.stringify(lines)}`
    )
  }
  const wrong = { username, password: 'wrong horse battery' }
  await told('a wrong password', () => w.post('/v1/login', wrong), { msg: 'login.failed', because: 'password' })
  await told('nobody', () => w.post('/v1/login', { ...wrong, username: 'nobody' }), {
    msg: 'login.failed',
    because: 'unknown'
  })
  await told('a limit', () => w.post('/v1/register', wrong), { code: 'rate_limited' })
  await told('no right', () => w.get('/v1/admin/users', tokens.access_token), { code: 'permission_denied' })
  await told('no token', () => w.get('/v1/me', 'x.y.z'), { code: 'token_invalid' })
  const cookie = (
    await w.post('/v1/login', { username, password: goodPassword, refresh_transport: 'cookie' }, fromOwnPage)
  ).cookies[0] as unknown as { name: string; value: string }
  const elsewhere = { ...fromOwnPage, 'sec-fetch-site': 'cross-site', cookie: `${cookie.name}=${cookie.value}` }
  await told('another site', () => w.post('/v1/refresh', {}, elsewhere), { code: 'csrf_failed' })
  const next = (await w.refresh(tokens.refresh_token)).json()
  await w.refresh(next.refresh_token)
  w.wait(60_000)
  await told('a stolen token', () => w.refresh(tokens.refresh_token), { msg: 'refresh.reuse_detected' })
})
