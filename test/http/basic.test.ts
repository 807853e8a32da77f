import t from 'tap'
import { countingLink } from '../support/query-count.js'
import { goodPassword, world } from '../support/world.js'

const withBasic = (t: Parameters<typeof world>[0]) =>
  world(t, (options) => ({ ...options, authenticators: { order: ['bearer', 'basic'], custom: [] } }))
const basic = (text: string | Buffer) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

t.test('a name or an address and a password speak for an account, where that is configured', async (t) => {
  const w = await withBasic(t)
  await w.post('/v1/register', { username: 'Ada', password: goodPassword, email: 'ada@example.com' })
  for (const name of ['ada', 'ADA', 'ada@example.com']) {
    const me = await w.app.inject({ url: '/v1/me', headers: basic(`${name}:${goodPassword}`) })
    t.match(me.json(), { authenticator: 'basic', session_id: null, amr: ['pwd'], acr: 'aal1', expires_at: null })
  }
  t.same(await w.app.db.selectFrom('session').selectAll().execute(), [], 'without any session')
  const plain = await world(t)
  await plain.account('ada')
  const off = await plain.app.inject({ url: '/v1/me', headers: basic(`ada:${goodPassword}`) })
  t.match(off.json(), { code: 'authentication_required' })
  t.notMatch(off.headers['www-authenticate'], /Basic/)
})

t.test('whatever is wrong, the answer is one', async (t) => {
  const w = await withBasic(t)
  await w.account('ada')
  const bodies = new Set<string>()
  for (const text of [
    'ada:wrong',
    `nobody:${goodPassword}`,
    `ada\0:${goodPassword}`,
    `ada:${goodPassword}\0`,
    `ada@example.com\0:${goodPassword}`,
    `\u0001\u{1f4a9}@@:${goodPassword}`,
    `${'a'.repeat(2_000)}:x`,
    ':',
    Buffer.from([0xff, 0x3a, 0x61])
  ]) {
    const response = await w.app.inject({ url: '/v1/me', headers: basic(text) })
    t.equal(response.statusCode, 401, JSON.stringify(String(text).slice(0, 30)))
    t.equal(response.headers['www-authenticate'], 'Bearer realm="keyturn", Basic realm="keyturn", charset="UTF-8"')
    bodies.add(response.body)
  }
  t.equal(bodies.size, 1)
})

t.test('a browser that remembers a password does not obey another site with it', async (t) => {
  const w = await withBasic(t)
  await w.account('ada')
  const send = async (headers: Record<string, string>, method: 'POST' | 'GET' = 'POST') => {
    const url = method === 'GET' ? '/v1/me' : '/v1/me/password'
    const response = await w.app.inject({
      method,
      url,
      headers: { ...basic(`ada:${goodPassword}`), ...headers },
      ...(method === 'GET' ? {} : { payload: { current_password: 'wrong', new_password: 'x' } })
    })
    return response.json().code
  }
  const json = { 'x-auth-request': '1' }
  t.equal(await send({ 'sec-fetch-site': 'cross-site' }), 'csrf_failed')
  t.equal(await send({ 'sec-fetch-site': 'same-site', ...json }), 'csrf_failed')
  t.equal(await send({ origin: 'https://evil.example' }), 'csrf_failed')
  t.equal(await send({ origin: 'null', ...json }), 'csrf_failed')
  t.equal(await send({ origin: 'https://app.test', ...json }), 'password_incorrect')
  t.equal(await send({}), 'password_incorrect', 'a script says nothing of where it comes from')
  t.equal(await send({ 'sec-fetch-site': 'cross-site' }, 'GET'), undefined)
})

t.test('a name or a password that nobody can have costs no hash and no statement, on either face', async (t) => {
  const w = await world(t)
  await w.account('ada')
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    authenticators: { order: ['bearer', 'basic'], custom: [] },
    // What it would be told is written a little later, by a statement that is nobody's.
    audit: { ...options.audit, retention: null },
    database: { ...options.database, url: link.url }
  }))
  await app.revocations.read()
  let hashes = 0
  const { verify, verifyNothing } = app.passwords
  const counted =
    <Given extends unknown[], Result>(run: (...given: Given) => Result) =>
    (...given: Given) => {
      hashes++
      return run(...given)
    }
  Object.assign(app.passwords, { verify: counted(verify), verifyNothing: counted(verifyNothing) })
  const cost = async (text: string, method: 'GET' | 'POST', url: string, status: number) => {
    const before = { hashes, statements: link.statements() }
    const response = await app.inject({ method, url, headers: basic(text) })
    t.equal(response.statusCode, status, url)
    return { hashes: hashes - before.hashes, statements: link.statements() - before.statements }
  }
  const nothing = { hashes: 0, statements: 0 }
  for (const [method, url] of [
    ['GET', '/v1/me'],
    ['POST', '/api/auth/login/']
  ] as const) {
    for (const text of [`${'a'.repeat(301)}:${goodPassword}`, `${'a'.repeat(3_000)}:x`, `ada:${'x'.repeat(1_025)}`]) {
      t.same(await cost(text, method, url, 401), nothing, `${method} ${url} ${text.length}`)
    }
    t.same(await cost(`nobody:${goodPassword}`, method, url, 401), { hashes: 1, statements: 2 })
  }
})
