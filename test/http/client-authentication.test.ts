import t from 'tap'
import {
  assertionClaims,
  basicOf,
  byAssertion,
  clientWithKey,
  clientWithSecret,
  keyPair,
  type Proof,
  postForm,
  sign
} from '../support/clients.js'
import { countingLink } from '../support/query-count.js'
import { until } from '../support/until.js'
import { issuer, type World, world } from '../support/world.js'

const endpoints = ['/oauth/token', '/oauth/revoke', '/oauth/introspect'] as const
type Endpoint = (typeof endpoints)[number]

/** What an endpoint is asked for where it does not matter. */
const asked: Record<Endpoint, Record<string, string>> = {
  '/oauth/token': { grant_type: 'client_credentials' },
  '/oauth/revoke': { token: 'x' },
  '/oauth/introspect': { token: 'x' }
}

const ask = (w: World, endpoint: Endpoint, { fields, headers }: Proof) =>
  postForm(w.app, endpoint, { ...asked[endpoint], ...fields }, headers)

const alone = (id: string): Proof => ({ fields: { client_id: id }, headers: {} })

t.test('each kind of client proves itself in its own ways, at every endpoint', async (t) => {
  const w = await world(t)
  const permissions = ['keyturn.introspect']
  const secret = await clientWithSecret(w, { permissions })
  const key = await clientWithKey(w, { permissions })
  const other = await clientWithSecret(w, { permissions })
  const rows: Array<[string, () => Proof, Partial<Record<Endpoint, string>> | string]> = [
    ['a secret by Basic', () => secret.basic, 'good'],
    ['a secret in the form', () => secret.post, 'good'],
    ['an assertion', () => key.proof(), 'good'],
    ['an assertion with the id', () => byAssertion(key.assertion(), { client_id: key.id }), 'good'],
    ['an assertion for the token endpoint', () => key.proof({ aud: `${issuer}/oauth/token` }), 'good'],
    [
      'the public client',
      () => alone('web'),
      { '/oauth/token': 'unauthorized_client', '/oauth/revoke': 'good', '/oauth/introspect': 'invalid_client' }
    ],
    ['a client with a secret, by its id alone', () => alone(secret.id), 'invalid_client'],
    ['a client with keys, by its id alone', () => alone(key.id), 'invalid_client'],
    ['nobody', () => ({ fields: {}, headers: {} }), 'invalid_client'],
    ['an unknown client, by its id alone', () => alone('nobody'), 'invalid_client'],
    [
      "another client's secret",
      () => ({ fields: { client_id: secret.id, client_secret: other.secret }, headers: {} }),
      'invalid_client'
    ],
    [
      'a secret of a client with keys',
      () => ({ fields: { client_id: key.id, client_secret: other.secret }, headers: {} }),
      'invalid_client'
    ],
    [
      'an assertion of a client with a secret',
      () => byAssertion(sign(key.key, assertionClaims(w, secret.id))),
      'invalid_client'
    ],
    [
      'a secret of the public client',
      () => ({ fields: { client_id: 'web', client_secret: other.secret }, headers: {} }),
      'invalid_client'
    ],
    [
      'Basic without a secret',
      () => ({ fields: {}, headers: { authorization: basicOf(secret.id, '') } }),
      'invalid_client'
    ],
    ['Basic and form', () => ({ ...secret.post, headers: secret.basic.headers }), 'invalid_request'],
    ['Basic and assertion', () => ({ fields: key.proof().fields, headers: secret.basic.headers }), 'invalid_request'],
    [
      'form and assertion',
      () => ({ fields: { ...secret.post.fields, ...key.proof().fields }, headers: {} }),
      'invalid_request'
    ],
    [
      'Basic and another id',
      () => ({ fields: { client_id: other.id }, headers: secret.basic.headers }),
      'invalid_request'
    ],
    ['a secret without an id', () => ({ fields: { client_secret: secret.secret }, headers: {} }), 'invalid_request'],
    [
      'an assertion without its type',
      () => ({ fields: { client_assertion: key.assertion() }, headers: {} }),
      'invalid_request'
    ]
  ]
  for (const [title, proof, expected] of rows) {
    for (const endpoint of endpoints) {
      const wanted = typeof expected === 'string' ? expected : expected[endpoint]
      const response = await ask(w, endpoint, proof())
      const told = response.statusCode === 200 ? 'good' : response.json().error
      t.equal(told, wanted, `${title}: ${endpoint}`)
      t.equal(response.headers['cache-control'], 'no-store')
      if (told === 'invalid_client') {
        t.equal(response.statusCode, 401, `${title}: ${endpoint}`)
        t.match(response.headers['www-authenticate'], /Basic realm="keyturn"$/, `${title}: ${endpoint}`)
      }
    }
  }
})

t.test('whatever is wrong with a client, the words are the same', async (t) => {
  const w = await world(t)
  const secret = await clientWithSecret(w)
  const key = await clientWithKey(w)
  const gone = await clientWithSecret(w)
  const disabled = await clientWithSecret(w)
  const disabledKey = await clientWithKey(w)
  const noAccount = await clientWithSecret(w)
  await w.app.flows.deleteClient(gone.id)
  await w.app.flows.updateClient(disabled.id, { disabled: true })
  await w.app.flows.updateClient(disabledKey.id, { disabled: true })
  await w.app.flows.disableUser(noAccount.accountId)
  const unknown = secret.id.slice(0, -1) + (secret.id.endsWith('0') ? '1' : '0')
  const byPost = (id: string, text: string): Proof => ({ fields: { client_id: id, client_secret: text }, headers: {} })
  const es = keyPair('ES256', 'one')
  const proofs: Array<[string, Proof]> = [
    ['unknown', byPost(unknown, secret.secret)],
    ['gone', gone.basic],
    ['disabled', disabled.basic],
    ['disabled, with a key', disabledKey.proof()],
    ['its account disabled', noAccount.post],
    ['garbage', byPost('x', 'y')],
    ['an id in SQL', byPost("' or 1=1 --", secret.secret)],
    ['an id with NUL', byPost('ktc_\0', secret.secret)],
    ['a digest', byPost(secret.id, '00'.repeat(32))],
    ['a cut secret', byPost(secret.id, secret.secret.slice(0, -1))],
    ['a longer secret', byPost(secret.id, `${secret.secret}0`)],
    ['no assertion', byAssertion('x.y.z')],
    ["another's key", byAssertion(sign(es, assertionClaims(w, key.id)))],
    ['an unknown client', byAssertion(sign(key.key, assertionClaims(w, unknown)))],
    ['an unknown key', byAssertion(key.assertion({}, { kid: 'two' }))],
    ['another algorithm', byAssertion(key.assertion({}, { alg: 'EdDSA' }))],
    ['a changed signature', byAssertion(`${key.assertion().slice(0, -4)}AAAA`)],
    ['expired', key.proof({ exp: w.now().getTime() / 1000 - 5 })],
    ['for a week', key.proof({ exp: w.now().getTime() / 1000 + 604_800 })],
    ['without an end', key.proof({ exp: undefined })],
    ['for somebody else', key.proof({ aud: 'https://other.test' })],
    ['for us and somebody else', key.proof({ aud: [issuer, 'https://other.test'] })],
    ['without jti', key.proof({ jti: undefined })],
    ['of another issuer', key.proof({ iss: secret.id })],
    ['with another id beside it', byAssertion(key.assertion(), { client_id: secret.id })]
  ]
  const bodies = new Set<string>()
  for (const [title, proof] of proofs) {
    for (const endpoint of endpoints) {
      const response = await ask(w, endpoint, proof)
      t.equal(response.statusCode, 401, `${title}: ${endpoint}`)
      bodies.add(response.body)
    }
  }
  t.same(
    [...bodies].map((body) => JSON.parse(body).error),
    ['invalid_client']
  )
  t.notMatch(w.logs.join(''), new RegExp(secret.secret), 'no secret is in the log')
  await w.app.flows.updateClient(disabled.id, { disabled: false })
  t.equal((await ask(w, '/oauth/token', disabled.basic)).statusCode, 200, 'enabled again')
})

t.test('every algorithm of the metadata works', async (t) => {
  const w = await world(t)
  const metadata = (await w.get('/.well-known/oauth-authorization-server')).json()
  const algorithms = metadata.token_endpoint_auth_signing_alg_values_supported
  t.same(algorithms, ['ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256'])
  for (const alg of algorithms) {
    const client = await clientWithKey(w, {}, alg)
    t.equal((await ask(w, '/oauth/token', client.proof())).statusCode, 200, alg)
    t.equal((await ask(w, '/oauth/token', byAssertion(client.assertion({}, { kid: undefined })))).statusCode, 200, alg)
  }
})

t.test('an assertion counts once: again, elsewhere, at another replica and at the same time', async (t) => {
  const w = await world(t)
  const client = await clientWithKey(w)
  const replica = await w.replica()
  const proof = client.proof()
  t.equal((await ask(w, '/oauth/token', proof)).statusCode, 200)
  for (const endpoint of endpoints)
    t.match((await ask(w, endpoint, proof)).json(), { error: 'invalid_client' }, endpoint)
  const elsewhere = await postForm(replica, '/oauth/token', { ...asked['/oauth/token'], ...proof.fields })
  t.match(elsewhere.json(), { error: 'invalid_client' })
  t.match(
    (
      await ask(
        w,
        '/oauth/token',
        client.proof({ jti: JSON.parse(atob(proof.fields.client_assertion!.split('.')[1]!)).jti })
      )
    ).json(),
    { error: 'invalid_client' },
    'the same jti in another assertion'
  )
  const another = await clientWithKey(w)
  const jti = 'the same for two'
  t.equal((await ask(w, '/oauth/token', client.proof({ jti }))).statusCode, 200)
  t.equal((await ask(w, '/oauth/token', another.proof({ jti }))).statusCode, 200, 'each client has its own')

  await w.warm()
  for (let round = 0; round < 5; round++) {
    const raced = client.proof()
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        postForm(at % 2 === 0 ? w.app : replica, '/oauth/token', { ...asked['/oauth/token'], ...raced.fields })
      )
    )
    t.same(
      outcomes.map(({ statusCode }) => statusCode).sort(),
      [200, ...Array(7).fill(401)],
      'of eight at once one is let in'
    )
  }
})

t.test('whoever cannot sign does not use up a jti', async (t) => {
  const w = await world(t)
  const client = await clientWithKey(w)
  const claims = assertionClaims(w, client.id)
  const forged = sign(keyPair('ES256', 'one'), claims)
  t.equal((await ask(w, '/oauth/token', byAssertion(forged))).statusCode, 401)
  const { count } = await w.app.db
    .selectFrom('used_identifier')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .executeTakeFirstOrThrow()
  t.equal(count, '0')
  t.equal((await ask(w, '/oauth/token', byAssertion(sign(client.key, claims)))).statusCode, 200)
})

t.test('a request that cannot be read says what to do', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const body = new URLSearchParams({ ...client.post.fields, grant_type: 'client_credentials', token: 'x' }).toString()
  const rows: Array<[string, string, Record<string, string>, number]> = [
    ['JSON', '{}', { 'content-type': 'application/json' }, 415],
    ['a text', body, { 'content-type': 'text/plain' }, 415],
    ['too much', `${body}&more=${'x'.repeat(17_000)}`, {}, 413],
    ['the id twice', `${body}&client_id=${client.id}`, {}, 400],
    ['the secret twice', `${body}&client_secret=${client.secret}`, {}, 400],
    ['whatever twice', `${body}&more=1&more=2`, {}, 400]
  ]
  for (const endpoint of endpoints) {
    for (const [title, payload, headers, status] of rows) {
      const response = await postForm(w.app, endpoint, payload, headers)
      t.equal(response.statusCode, status, `${title}: ${endpoint}`)
      t.match(response.json(), { error: 'invalid_request', error_description: /\S/ }, `${title}: ${endpoint}`)
    }
    for (const name of ['client_secret', 'client_assertion', 'token', 'refresh_token', 'access_token', 'password']) {
      const response = await postForm(w.app, `${endpoint}?${name}=x`, body)
      t.match(response.json(), { error: 'invalid_request' }, `${name} in the query: ${endpoint}`)
    }
    const get = await w.app.inject({ url: `${endpoint}?${body}` })
    t.equal(get.statusCode, 405, endpoint)
  }
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const response = await postForm(w.app, '/oauth/token', `${name}=x&${body}`)
    t.equal(response.statusCode, 200, name)
  }
  const empty = await postForm(w.app, '/oauth/token', `${body}&client_assertion=&scope=&more=`)
  t.equal(empty.statusCode, 200, 'a parameter without a value is none (RFC 6749 §3.2)')
})

t.test('a token and a client in one request are two credentials', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { permissions: ['keyturn.introspect'] })
  const { access_token: token } = (await ask(w, '/oauth/token', client.basic)).json()
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await postForm(w.app, '/oauth/introspect', { token: 'x' }, headers)).statusCode, 200)
  const both = await postForm(w.app, '/oauth/introspect', { token: 'x', ...client.post.fields }, headers)
  t.match(both.json(), { error: 'invalid_request' })
  for (const endpoint of ['/oauth/token', '/oauth/revoke'] as const) {
    t.match((await ask(w, endpoint, { fields: {}, headers })).json(), { error: 'invalid_client' }, endpoint)
  }
})

t.test('garbage costs no statement, and an unknown client as much as a known one', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const other = await clientWithSecret(w)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    // What happened is written down a moment later, by statements of its own.
    audit: { ...options.audit, retention: null }
  }))
  await w.app.db.updateTable('client').set({ last_used_at: w.now() }).execute()
  const cost = async (proof: Proof) => {
    const before = link.statements()
    await postForm(app, '/oauth/revoke', { token: 'x', ...proof.fields }, proof.headers)
    return link.statements() - before
  }
  await cost(client.basic)
  const byPost = (id: string, secret: string): Proof => ({
    fields: { client_id: id, client_secret: secret },
    headers: {}
  })
  t.equal(await cost(alone('web')), 0)
  t.equal(await cost(byPost('x', other.secret)), 0)
  t.equal(await cost(byPost(client.id, 'x')), 0)
  t.equal(await cost(byAssertion('x.y.z')), 0)
  t.equal(await cost(client.basic), 1)
  t.equal(await cost(byPost(client.id, other.secret)), 1)
  t.equal(await cost(byPost(`ktc_${'0'.repeat(22)}`, other.secret)), 1)
})

t.test('the last use is noted to the minute', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  const used = async () => (await w.app.flows.readClient(client.id)).client.lastUsedAt
  t.equal(await used(), null)
  await ask(w, '/oauth/token', client.basic)
  // Nobody waits for it but we.
  t.ok(await until(async () => (await used()) !== null))
  const first = await used()
  w.wait(59_000)
  await ask(w, '/oauth/token', client.basic)
  t.same(await used(), first)
})
