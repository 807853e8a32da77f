import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { allow } from '../../src/domain/requirement.js'
import { guard } from '../../src/plugins/guard.js'
import { contract } from '../support/contract.js'
import { freshDatabase } from '../support/postgres.js'
import { countingLink } from '../support/query-count.js'
import { until } from '../support/until.js'
import { type Change, goodPassword, testOptions, type World, world } from '../support/world.js'

/** Something that is under way until the test ends it. */
function held<T>() {
  let end = (_value: T) => {}
  const over = new Promise<T>((resolve) => {
    end = resolve
  })
  return { over, end }
}

/** A service with two places for passwords, and a count of what it asks the database. */
async function counted(t: Test) {
  const { url } = await freshDatabase(t)
  const link = await countingLink(t, url)
  const faults: string[] = []
  t.teardown(() => {
    if (faults.length > 0) throw new Error(`responses that are not what openapi.yaml says:\n${faults.join('\n')}`)
  })
  const options = testOptions(link.url, () => new Date())
  const app = await buildApp({
    ...options,
    before: contract(faults),
    authenticators: { ...options.authenticators, order: ['session', 'token', 'bearer', 'basic'] },
    passwords: { ...options.passwords, maxWaiting: 1 },
    // Its looks at what is asked anyhow would be counted.
    statusListInterval: 60_000
  })
  t.teardown(() => app.close())
  await app.ready()
  for (const username of ['grace', 'disabled']) await app.flows.createAccount({ username, password: goodPassword })
  const login = (username: string) =>
    app.inject({ method: 'POST', url: '/v1/login', payload: { username, password: goodPassword } })
  return { app, link, login }
}

t.test('beyond the places for passwords nobody is looked up, and all get the same answer', async (t) => {
  const { app, link, login } = await counted(t)
  t.equal((await login('grace')).statusCode, 200)
  const places = [held<void>(), held<void>()]
  const work = places.map(({ over }) => app.passwords.admit(() => over))
  const before = link.statements()

  const body = { username: 'newcomer', password: goodPassword }
  const answers = [
    await login('grace'),
    await login('nobody at all'),
    await app.inject({ method: 'POST', url: '/v1/register', payload: body }),
    await app.inject({ method: 'POST', url: '/v1/register', payload: { ...body, invitation: 'none' } }),
    await app.inject({
      url: '/v1/me',
      headers: { authorization: `Basic ${Buffer.from(`grace:${goodPassword}`).toString('base64')}` }
    })
  ]
  for (const answer of answers) {
    t.match(answer.json(), { status: 503, code: 'overloaded' })
    t.match(answer.headers['content-type'], /^application\/problem\+json/)
    t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
    t.equal(answer.body, answers[0]!.body, 'whoever it was')
  }
  for (const url of ['/api/token/', '/api-token-auth/', '/auth/token/login/', '/auth/users/', '/api/register/']) {
    const answer = await app.inject({ method: 'POST', url, payload: { username: 'grace', password: goodPassword } })
    t.equal(answer.statusCode, 503, url)
    t.ok(answer.headers['retry-after'], url)
  }
  t.equal(link.statements(), before, 'the database was asked nothing')

  for (const place of places) place.end()
  await Promise.all(work)
  t.equal((await login('grace')).statusCode, 200, 'and then there is room again')
})

t.test('of many that come at once no more are looked up than have a place', async (t) => {
  const { link, login } = await counted(t)
  await login('grace')
  const start = link.statements()
  await login('grace')
  const each = link.statements() - start
  const before = link.statements()
  const answers = await Promise.all(Array.from({ length: 10 }, () => login('grace')))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 200).length, 2, 'both places were used')
  t.equal(statuses.filter((status) => status === 503).length, 8)
  t.equal(link.statements() - before, 2 * each, 'the others cost the database nothing')
})

t.test('a change of the own password has its place before the account is looked up', async (t) => {
  const { app, link, login } = await counted(t)
  const { access_token: token } = (await login('grace')).json()
  const places = [held<void>(), held<void>()]
  const work = places.map(({ over }) => app.passwords.admit(() => over))
  const before = link.statements()
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/me/password',
    headers: { authorization: `Bearer ${token}` },
    payload: { current_password: goodPassword, new_password: 'battery horse correct' }
  })
  t.match(answer.json(), { status: 503, code: 'overloaded' })
  t.equal(link.statements(), before)
  for (const place of places) place.end()
  await Promise.all(work)
})

/** A service with a route that is under way until the test answers it. */
async function busy(t: Test, change: Change = (options) => options) {
  const waiting: Array<(text: string) => void> = []
  const w = await world(t, change, async (app) => {
    await app.register(guard, { requirement: allow.allowAny(), authenticators: [] })
    const hold = () => new Promise<string>((resolve) => waiting.push(resolve))
    app.get('/slow', { config: { load: 'session' } }, hold)
    app.get('/stream', { config: { load: 'vital' } }, hold)
  })
  const underWay = () => w.app.overload.state().requests
  async function open(url: string, count: number) {
    const before = waiting.length
    for (let n = 0; n < count; n++) w.app.inject(url).catch(() => {})
    await until(() => waiting.length === before + count)
  }
  return {
    w,
    underWay,
    open,
    /** Brings the number of requests that are under way to this one. */
    fill: (count: number) => open('/slow', count - underWay()),
    finish: () => {
      for (const answer of waiting.splice(0)) answer('done')
    }
  }
}

const classesOf = async (w: World, token: string) => ({
  sign_in: (await w.post('/v1/login', { username: 'nobody', password: goodPassword })).statusCode,
  change: (await w.get('/v1/sessions', token)).statusCode,
  session: (await w.get('/v1/me', token)).statusCode,
  vital: (await w.get('/.well-known/jwks.json')).statusCode,
  health: (await w.get('/livez')).statusCode
})

t.test(
  'the more is under way, the more is refused: sign-ins, then changes, then the rest, and never what is vital',
  async (t) => {
    const { w, fill, finish, underWay } = await busy(t, (options) => ({
      ...options,
      overload: { ...options.overload, requests: 2 }
    }))
    const { access_token: token } = await w.login(await w.account())
    t.same(await classesOf(w, token), { sign_in: 401, change: 200, session: 200, vital: 200, health: 200 })
    await fill(2)
    t.same(await classesOf(w, token), { sign_in: 503, change: 200, session: 200, vital: 200, health: 200 })
    await fill(4)
    t.same(await classesOf(w, token), { sign_in: 503, change: 503, session: 200, vital: 200, health: 200 })
    await fill(8)
    t.same(await classesOf(w, token), { sign_in: 503, change: 503, session: 503, vital: 200, health: 200 })

    const refused = await w.get('/v1/me', token)
    t.match(refused.json(), { status: 503, code: 'overloaded' })
    t.match(refused.headers['retry-after'], /^[1-3]$/)
    t.ok(refused.headers['content-security-policy'], 'with the headers of every answer')
    const page = await w.app.inject({ url: '/v1/me', headers: { origin: 'https://app.test' } })
    t.equal(page.headers['access-control-allow-origin'], 'https://app.test', 'and those by which a page may read it')

    finish()
    t.ok(await until(() => underWay() === 0))
    t.same(await classesOf(w, token), { sign_in: 401, change: 200, session: 200, vital: 200, health: 200 })
  }
)

t.test('the streams of a hundred verifiers, open for hours, are no reason to refuse anybody', async (t) => {
  const { w, open, finish } = await busy(t, (options) => ({
    ...options,
    overload: { ...options.overload, requests: 2 }
  }))
  await open('/stream', 100)
  t.equal((await w.post('/v1/login', { username: 'nobody', password: goodPassword })).statusCode, 401)
  finish()
})

t.test('a request whose sender has hung up is under way no more', async (t) => {
  const { w, underWay } = await busy(t)
  const address = await w.app.listen({ host: '127.0.0.1', port: 0 })
  const leaving = new AbortController()
  const request = fetch(`${address}/slow`, { signal: leaving.signal }).catch(() => {})
  t.ok(await until(() => underWay() === 1))
  leaving.abort()
  await request
  t.ok(await until(() => underWay() === 0))
})

// Where it turns once between two looks, the probes have nothing to tell: each is the first of its time.
for (const [how, periods] of [
  ['is late', [1]],
  ['turns once between two looks at it', [50]]
] as const) {
  t.test(`while the event loop ${how} sign-ins are refused, and as soon as it is not they are let in`, async (t) => {
    const { w } = await busy(t, (options) => ({ ...options, overload: { delay: 40, requests: null, interval: 50 } }))
    const username = await w.account()
    await w.app.listen({ host: '127.0.0.1', port: 0 })
    const block = () => {
      const end = performance.now() + 120
      while (performance.now() < end);
    }
    const blocks = periods.map((period) => setInterval(block, period))
    const end = () => blocks.forEach(clearInterval)
    t.teardown(end)
    t.ok(await until(() => w.app.overload.state().refused > 0))
    t.match((await w.post('/v1/login', { username, password: goodPassword })).json(), {
      status: 503,
      code: 'overloaded'
    })
    t.ok(w.logs.some((line) => line.includes('"msg":"overloaded"')))
    end()
    t.ok(await until(() => w.app.overload.state().refused === 0))
    t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 200)
  })
}

t.test('what was refused at the door is counted, and told in one line instead of thousands', async (t) => {
  const { w, fill, finish } = await busy(t, (options) => ({
    ...options,
    overload: { ...options.overload, requests: 1 },
    metrics: { host: '127.0.0.1', port: 1 }
  }))
  await fill(1)
  for (let n = 0; n < 5; n++) t.equal((await w.post('/v1/login', { username: 'x', password: 'y' })).statusCode, 503)
  t.match(await w.app.metrics.metrics(), 'keyturn_overload_refused_total{class="sign_in"} 5')
  finish()
  await w.app.close()
  t.notOk(w.logs.some((line) => line.includes('/v1/login')))
  t.equal(w.logs.filter((line) => line.includes('"refused":{"sign_in":5}')).length, 1)
})
