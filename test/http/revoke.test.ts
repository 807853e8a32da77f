import { sql } from 'kysely'
import t from 'tap'
import { clientWithKey, clientWithSecret, type Proof, postForm } from '../support/clients.js'
import { faultyLink } from '../support/faulty-link.js'
import { type World, world } from '../support/world.js'

const web: Proof = { fields: { client_id: 'web' }, headers: {} }
const revoke = (w: World, token: string, proof: Proof = web, more: Record<string, string> = {}) =>
  postForm(w.app, '/oauth/revoke', { token, ...more, ...proof.fields }, proof.headers)

const itself = async (w: World, proof: Proof): Promise<string> =>
  (await postForm(w.app, '/oauth/token', { grant_type: 'client_credentials', ...proof.fields }, proof.headers)).json()
    .access_token

/** What happened, as far as anybody can see it. */
async function traces(w: World) {
  const count = async (table: string) => {
    const { rows } = await sql<{ count: string }>`select count(*) from ${sql.table(table)}`.execute(w.app.db)
    return rows[0]!.count
  }
  const ended = await w.app.db.selectFrom('session').select('id').where('ended_at', 'is not', null).execute()
  return { ended: ended.length, revocations: await count('revocation'), tokens: await count('api_token') }
}

t.test('a refresh token ends its session, with all that was issued from it', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const { refresh_token: second, access_token: newer } = (await w.refresh(ada.refresh_token)).json()
  const response = await revoke(w, second)
  t.equal(response.statusCode, 200)
  t.equal(response.body, '')
  t.equal(response.headers['cache-control'], 'no-store')
  t.match((await w.refresh(second)).json(), { code: 'session_revoked' })
  await w.app.revocations.read()
  for (const token of [ada.access_token, newer])
    t.match((await w.get('/v1/me', token)).json(), { code: 'token_revoked' })
  const session = await w.app.db.selectFrom('session').select('ended_because').executeTakeFirstOrThrow()
  t.equal(session.ended_because, 'revoked_by_client')

  const grace = await w.login(await w.account())
  const { refresh_token: current } = (await w.refresh(grace.refresh_token)).json()
  w.wait(3_600_000)
  t.equal((await revoke(w, grace.refresh_token)).statusCode, 200)
  t.match((await w.refresh(current)).json(), { code: 'session_revoked' }, 'an old one ends it as well')
})

t.test('an access token ends alone', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const ada = await w.login(await w.account())
  const { refresh_token: second, access_token: newer } = (await w.refresh(ada.refresh_token)).json()
  t.equal((await revoke(w, ada.access_token)).statusCode, 200)
  for (const app of [w.app, replica]) {
    await app.revocations.read()
    const headers = { authorization: `Bearer ${ada.access_token}` }
    t.match((await app.inject({ url: '/v1/me', headers })).json(), { code: 'token_revoked' })
  }
  t.equal((await w.get('/v1/me', newer)).statusCode, 200)
  t.equal((await w.refresh(second)).statusCode, 200)
  const before = await traces(w)
  t.equal((await revoke(w, ada.access_token)).statusCode, 200)
  t.same(await traces(w), before, 'a second time there is nothing to end')

  const client = await clientWithSecret(w)
  const [one, other] = [await itself(w, client.basic), await itself(w, client.basic)]
  t.equal((await revoke(w, one, client.basic)).statusCode, 200)
  await w.app.revocations.read()
  t.match((await w.get('/v1/me', one)).json(), { code: 'token_revoked' })
  t.equal((await w.get('/v1/me', other)).statusCode, 200)
})

t.test('an API token is removed: a service’s by that service, a person’s by the public client', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  const [client, other] = [await clientWithSecret(w), await clientWithSecret(w)]
  const ada = await flows.createAccount({ username: 'ada' })
  const made = async (id: string) => (await flows.createApiToken(id, { name: 'x' })).key
  const works = async (key: string) => {
    await w.app.revocations.read()
    return (await w.app.inject({ url: '/v1/me', headers: { authorization: `Token ${key}` } })).statusCode === 200
  }
  const [own, hers] = [await made(client.accountId), await made(ada.id)]
  for (const proof of [other.basic, web]) t.equal((await revoke(w, own, proof)).statusCode, 200)
  for (const proof of [other.basic, client.basic]) t.equal((await revoke(w, hers, proof)).statusCode, 200)
  t.same([await works(own), await works(hers)], [true, true])
  await revoke(w, own, client.basic)
  await revoke(w, hers)
  t.same([await works(own), await works(hers)], [false, false])
  const key = (await flows.obtainAuthtoken(ada.id)).key
  const both = await Promise.all([revoke(w, key), revoke(w, key)])
  t.same(
    both.map(({ statusCode }) => statusCode),
    [200, 200],
    'whoever is slower is told the same'
  )
})

t.test('a wrong hint is ignored', async (t) => {
  const w = await world(t)
  for (const hint of ['refresh_token', 'access_token', 'nonsense', '']) {
    const ada = await w.login(await w.account())
    const made = await w.app.flows.createApiToken(ada.user.id, { name: 'x' })
    for (const token of [ada.access_token, made.key, ada.refresh_token]) {
      const before = await traces(w)
      t.equal((await revoke(w, token, web, { token_type_hint: hint })).statusCode, 200)
      t.notSame(await traces(w), before, hint)
    }
  }
})

t.test('of another client, unknown, over, garbage: 200, and nothing has happened', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  const [client, other, key] = [await clientWithSecret(w), await clientWithSecret(w), await clientWithKey(w)]
  const ada = await w.login(await w.account())
  const over = await w.login(await w.account())
  await flows.logout(over.refresh_token)
  const theirs = await itself(w, client.basic)
  const gone = (await flows.createApiToken(ada.user.id, { name: 'x' })).key
  await flows.deleteApiTokens(ada.user.id, 'personal')
  const texts: Array<[string, string, Proof[]]> = [
    ['a refresh token', ada.refresh_token, [client.basic, key.proof()]],
    ['an access token', ada.access_token, [client.basic, key.proof()]],
    ['an access token of a service', theirs, [web, other.basic, key.proof()]],
    ['a session that is over', over.refresh_token, [web]],
    ['an access token that is over', over.access_token, [web]],
    ['an unknown API token', '0'.repeat(40), [web, client.basic]],
    ['a removed API token', gone, [web]],
    ['a cut refresh token', ada.refresh_token.slice(0, -1), [web]],
    ['a changed access token', `${ada.access_token.slice(0, -4)}AAAA`, [web]],
    ['garbage', 'x', [web, client.basic]],
    ['a NUL', 'a\0b', [web]],
    ['SQL', "' or 1=1 --", [web]],
    ['a long text', 'x'.repeat(8192), [web]]
  ]
  const before = await traces(w)
  for (const [title, text, proofs] of texts) {
    for (const proof of proofs) {
      const response = await revoke(w, text, proof)
      t.equal(response.statusCode, 200, title)
      t.equal(response.body, '', title)
    }
  }
  w.wait(606_000)
  t.equal((await revoke(w, ada.access_token)).statusCode, 200, 'an expired access token')
  t.same(await traces(w), before)
  for (const [title, fields] of [
    ['none', {}],
    ['an empty one', { token: '' }],
    ['a token that is too long', { token: 'x'.repeat(8193) }]
  ] as const) {
    const response = await postForm(w.app, '/oauth/revoke', { ...fields, client_id: 'web' })
    t.equal(response.statusCode, 400, title)
    t.match(response.json(), { error: 'invalid_request', error_description: /token/ }, title)
  }
})

t.test('who is no client ends nothing', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  const client = await clientWithSecret(w)
  const wrong = { fields: { client_id: client.id, client_secret: 'x' }, headers: {} }
  for (const proof of [{ fields: {}, headers: {} }, wrong, { fields: { client_id: 'other' }, headers: {} }]) {
    t.match((await revoke(w, ada.refresh_token, proof)).json(), { error: 'invalid_client' })
  }
  t.equal((await w.refresh(ada.refresh_token)).statusCode, 200)
})

for (const fault of ['cut', 'hang'] as const) {
  t.test(`CVE-2020-15223: with the database ${fault}, nobody is told that a token is over`, async (t) => {
    const w = await world(t)
    const [client, key] = [await clientWithSecret(w), await clientWithKey(w)]
    const ada = await w.login(await w.account())
    const made = await w.app.flows.createApiToken(ada.user.id, { name: 'x' })
    const theirs = await itself(w, client.basic)
    const link = await faultyLink(t, w.url)
    const database = { timeout: 1_000, poolSize: 4, url: link.url }
    const app = await w.replica((options) => ({ ...options, database }))
    await link[fault]()
    const requests: Array<[string, string, Record<string, string>, Record<string, string>]> = [
      ['a refresh token', '/oauth/revoke', { token: ada.refresh_token, client_id: 'web' }, {}],
      ['an access token', '/oauth/revoke', { token: ada.access_token, client_id: 'web' }, {}],
      ['an API token', '/oauth/revoke', { token: made.key, client_id: 'web' }, {}],
      ['by a service', '/oauth/revoke', { token: theirs }, client.basic.headers],
      ['by an assertion', '/oauth/revoke', { token: theirs, ...key.proof().fields }, {}],
      [
        'a refresh',
        '/oauth/token',
        { grant_type: 'refresh_token', refresh_token: ada.refresh_token, client_id: 'web' },
        {}
      ],
      ['a token', '/oauth/token', { grant_type: 'client_credentials' }, client.basic.headers],
      ['a question', '/oauth/introspect', { token: theirs }, client.basic.headers]
    ]
    for (const [title, url, fields, headers] of requests) {
      const response = await postForm(app, url, fields, headers)
      t.equal(response.statusCode, 503, title)
      t.match(response.json(), { error: 'temporarily_unavailable' }, title)
      t.match(response.headers['retry-after'], /^\d+$/, title)
    }
    await link.mend()
    for (const token of [ada.access_token, theirs]) t.equal((await w.get('/v1/me', token)).statusCode, 200)
    const again = await postForm(w.app, '/oauth/revoke', { token: ada.refresh_token, client_id: 'web' })
    t.equal(again.statusCode, 200)
    t.match((await w.refresh(ada.refresh_token)).json(), { code: 'session_revoked' }, 'asked again, it is over')
  })
}
