import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { waitAfter } from '../../src/domain/guessing.js'
import * as guesses from '../../src/storage/guesses.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

const wrong = 'wrong horse battery staple'
const hour = 3_600_000

const login = (w: Pick<World, 'app'>, username: string, password = goodPassword, cookie?: string) =>
  w.app.inject({
    method: 'POST',
    url: '/v1/login',
    headers: { ...fromOwnPage, ...(cookie === undefined ? {} : { cookie }) },
    payload: { username, password, ...(cookie === undefined ? {} : { refresh_transport: 'cookie' }) }
  })

const code = (response: LightMyRequestResponse) => (response.statusCode === 200 ? 'good' : response.json().code)

async function fail(w: World, username: string, times: number, cookie?: string): Promise<void> {
  for (let n = 0; n < times; n++) {
    const response = await login(w, username, wrong, cookie)
    if (code(response) !== 'invalid_credentials') throw new Error(response.body)
  }
}

/** Fails until the account is locked, as patiently as it takes. */
async function failPatiently(w: World, username: string): Promise<void> {
  for (let n = 0; n < 100; n++) {
    await fail(w, username, 1)
    w.wait(hour)
  }
}

/** The cookie of a browser in which somebody signed in. */
async function deviceOf(w: World, username: string): Promise<string> {
  const response = await login(w, username, goodPassword, '')
  const cookie = response.cookies.find(({ name }) => name === '__Host-Http-device')!
  return `${cookie.name}=${cookie.value}`
}

t.test('after five wrong passwords the next one waits, also the right one, and then that counts', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await fail(w, username, 5)
  const refused = await login(w, username)
  t.match(refused.json(), { status: 429, code: 'sign_in_delayed' })
  t.equal(refused.headers['retry-after'], '30')
  w.wait(29_000)
  t.equal((await login(w, username)).headers['retry-after'], '1')
  w.wait(1_000)
  t.equal(code(await login(w, username)), 'good')
  await fail(w, username, 5)
  t.equal(code(await login(w, username)), 'sign_in_delayed', 'the right one began the count anew')
})

t.test('each wait is twice the one before, and the database counts as the domain does', async (t) => {
  const w = await world(t)
  const rules = { free: 3, max: 100 }
  for (let failures = 1; failures <= 20; failures++) {
    const held = await guesses.record(w.app.db, 'somebody', rules, w.now())
    t.equal(held?.failures, failures)
    t.equal(held!.retryAt.getTime() - w.now().getTime(), waitAfter(failures, rules), `after ${failures}`)
    w.wait(hour)
  }
})

t.test('a name that nobody has is answered as one that somebody has', async (t) => {
  const w = await world(t)
  const username = await w.account()
  for (const name of [username, 'nobody']) await fail(w, name, 5)
  const [known, unknown] = [await login(w, username, wrong), await login(w, 'nobody', wrong)]
  const said = (response: LightMyRequestResponse) => ({ ...response.json(), instance: null, request_id: null })
  t.same(said(unknown), said(known))
  t.equal(unknown.headers['retry-after'], known.headers['retry-after'])
  w.wait(30_000)
  for (const name of [username, 'nobody']) {
    await fail(w, name, 1)
    t.equal((await login(w, name, wrong)).headers['retry-after'], '60')
  }
  const rows = await w.app.db.selectFrom('password_guess').select('who').execute()
  t.notOk(JSON.stringify(rows).includes('nobody'), 'whose names are not kept')
})

t.test('the username and the address of one account are guessed at together', async (t) => {
  const w = await world(t)
  await w.app.flows.createAccount({ username: 'ada', email: 'ada@example.com', password: goodPassword })
  await fail(w, 'ada', 3)
  for (let n = 0; n < 2; n++) await w.post('/v1/login', { email: 'ADA@example.com', password: wrong })
  t.equal(code(await login(w, 'ada')), 'sign_in_delayed')
})

t.test('forty guesses at once are no more than five, at every door', async (t) => {
  type Guess = (w: World, username: string, password: string) => Promise<string>
  const told = (promise: Promise<unknown>) =>
    promise.then(
      () => 'good',
      (error: { code: string }) => error.code
    )
  const doors: Record<string, Guess> = {
    'a sign-in': async (w, username, password) => code(await login(w, username, password)),
    'a password with each request': (w, username, password) =>
      told(w.app.flows.authenticatePassword({ username, password }, null)),
    'the password of who is signed in': async (w, username, password) => {
      const { id } = await w.app.flows.findUser(username)
      return await told(w.app.flows.confirmOwnPassword(id, password))
    }
  }
  for (const [door, guess] of Object.entries(doors)) {
    await t.test(door, async (t) => {
      const w = await world(t)
      const username = await w.account()
      await w.warm()
      const passwords = Array.from({ length: 40 }, (_, n) => (n === 39 ? goodPassword : wrong))
      const answers = await Promise.all(passwords.map((password) => guess(w, username, password)))
      const refused = ['invalid_credentials', 'password_incorrect', 'sign_in_delayed']
      t.ok(
        answers.every((one) => refused.includes(one)),
        `the right one among them too: ${answers.at(-1)}`
      )
      const [held] = await w.app.db.selectFrom('password_guess').select('failures').execute()
      t.equal(held?.failures, 5, 'and none locks the account')
    })
  }
})

t.test('many sign-ins at once with the right password are no guesses', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const answers = await Promise.all(Array.from({ length: 30 }, () => login(w, username)))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  t.equal((await w.app.db.selectFrom('password_guess').selectAll().execute()).length, 0)
})

t.test('after a hundred in a row only an administrator helps', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await failPatiently(w, username)
  const refused = await login(w, username)
  t.match(refused.json(), { status: 403, code: 'sign_in_locked' })
  t.equal(code(await login(w, 'nobody', wrong)), 'invalid_credentials')
  w.wait(365 * 24 * hour)
  t.equal(code(await login(w, username)), 'sign_in_locked')
  const { id } = await w.app.db
    .selectFrom('account')
    .select('id')
    .where('username', '=', username)
    .executeTakeFirstOrThrow()
  const { access_token: admin } = await w.admin()
  t.equal((await w.as(admin, 'POST', `/v1/admin/users/${id}/unlock`)).statusCode, 200)
  t.equal(code(await login(w, username)), 'good')
})

t.test('whom nobody is, nobody unlocks', async (t) => {
  const w = await world(t)
  const { access_token: admin } = await w.admin()
  for (const id of ['x', '%00', '00000000-0000-4000-8000-000000000000']) {
    t.match((await w.as(admin, 'POST', `/v1/admin/users/${id}/unlock`)).json(), { status: 404, code: 'not_found' }, id)
  }
})

t.test('where its owner has signed in before, what strangers try locks nobody out', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const device = await deviceOf(w, username)
  await failPatiently(w, username)
  t.equal(code(await login(w, username)), 'sign_in_locked')
  t.equal(code(await login(w, username, goodPassword, device)), 'good')
  t.equal(code(await login(w, username)), 'sign_in_locked', 'which lets no stranger in')
})

t.test('a device has a count of its own, and its cookie opens nothing', async (t) => {
  const w = await world(t)
  const [ada, bob] = [await w.account(), await w.account()]
  const device = await deviceOf(w, ada)
  t.equal((await w.app.inject({ url: '/v1/me', headers: { cookie: device } })).statusCode, 401)
  await fail(w, ada, 5, device)
  t.equal(code(await login(w, ada, goodPassword, device)), 'sign_in_delayed')
  t.equal(code(await login(w, ada)), 'good', 'elsewhere they may try')
  await fail(w, bob, 5, device)
  t.equal(code(await login(w, bob)), 'sign_in_delayed', 'it is no device of somebody else')
  await fail(w, 'carl', 5, device)
  t.equal(code(await login(w, 'carl', wrong, `${device}x`)), 'sign_in_delayed')
})

t.test('a browser keeps its cookie, and gets another one with another account', async (t) => {
  const w = await world(t)
  const [ada, bob] = [await w.account(), await w.account()]
  const device = await deviceOf(w, ada)
  const valueIn = (response: LightMyRequestResponse) =>
    response.cookies.find(({ name }) => name === '__Host-Http-device')?.value
  const again = await login(w, ada, goodPassword, device)
  t.equal(`__Host-Http-device=${valueIn(again)}`, device)
  t.match(
    String(again.headers['set-cookie']),
    /__Host-Http-device=ktd_[\w-]+; Max-Age=31536000; Path=\/; HttpOnly; Secure; SameSite=Strict/
  )
  t.not(`__Host-Http-device=${valueIn(await login(w, bob, goodPassword, device))}`, device)
  t.notOk(valueIn(await w.post('/v1/login', { username: ada, password: goodPassword })), 'only browsers get one')
})

t.test('whoever stole a session cannot guess the password with it', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const { access_token: token } = await w.login(username)
  const change = (current: string) =>
    w.as(token, 'POST', '/v1/me/password', { current_password: current, new_password: 'another horse battery' })
  for (let n = 0; n < 5; n++) t.equal((await change(wrong)).json().code, 'password_incorrect')
  t.equal((await change(goodPassword)).json().code, 'sign_in_delayed')
  t.equal(code(await login(w, username)), 'good', 'nor keep its owner from signing in')
  w.wait(30_000)
  t.equal((await change(goodPassword)).statusCode, 204)
})

t.test('clients of Django are told in its words', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await fail(w, username, 5)
  const response = await w.post('/api/token/', { username, password: goodPassword })
  t.equal(response.statusCode, 429)
  t.same(response.json(), { detail: 'Request was throttled. Expected available in 30 seconds.' })
  const basic = await w.app.inject({
    url: '/v1/me',
    headers: { authorization: `Basic ${btoa(`${username}:${goodPassword}`)}` }
  })
  t.equal(basic.statusCode, 401, 'where Basic is off it is nobody’s')
})

t.test('names that nobody has are swept, and what an account has against it stays', async (t) => {
  const w = await world(t)
  const [username, gone] = [await w.account(), await w.account()]
  const device = await deviceOf(w, gone)
  await fail(w, username, 1)
  await fail(w, 'nobody', 1)
  await fail(w, gone, 1)
  await fail(w, gone, 1, device)
  await w.app.db.deleteFrom('account').where('username', '=', gone).execute()
  w.wait(25 * hour)
  t.match(await w.app.broom(), { password_guess: 3 })
  t.equal((await w.app.db.selectFrom('password_guess').selectAll().execute()).length, 1)
})
