import t from 'tap'
import { clientWithSecret, keyPair, postForm } from '../support/clients.js'
import { world } from '../support/world.js'

t.test('an administrator registers a service, and the secret is told this once', async (t) => {
  const w = await world(t)
  const { access_token: root } = await w.admin()
  await w.role('editor', ['articles.change'])
  const input = { name: 'billing', scopes: ['b', 'a', 'a'], roles: ['editor'], permissions: ['x'], audience: ['api'] }
  const made = await w.as(root, 'POST', '/v1/admin/clients', input)
  t.equal(made.statusCode, 201)
  const { client, client_secret: secret } = made.json()
  t.match(secret, /^kts_[0-9A-Za-z]{49}$/)
  t.match(client, {
    id: /^ktc_[0-9A-Za-z]{22}$/,
    name: 'billing',
    authentication: 'secret',
    jwks: null,
    scopes: ['a', 'b'],
    audience: ['api'],
    roles: ['editor'],
    permissions: ['x'],
    disabled: false,
    last_used_at: null
  })
  t.same((await w.as(root, 'GET', `/v1/admin/clients/${client.id}`)).json(), { client })
  t.same((await w.as(root, 'GET', '/v1/admin/clients')).json(), { clients: [client] })
  t.match((await w.as(root, 'GET', `/v1/admin/users/${client.account_id}`)).json(), { user: { username: client.id } })
  const row = await w.app.db.selectFrom('client').selectAll().executeTakeFirstOrThrow()
  t.notMatch(JSON.stringify(row), secret)
  t.notMatch(w.logs.join(''), secret)
})

t.test('a service with keys has no secret, nor gets one beside them', async (t) => {
  const w = await world(t)
  const { access_token: root } = await w.admin()
  const one = keyPair('ES256', 'one')
  const made = (
    await w.as(root, 'POST', '/v1/admin/clients', { name: 'x', jwks: { keys: [{ ...one.jwk, more: 1 }] } })
  ).json()
  t.notOk('client_secret' in made)
  t.match(made.client, { authentication: 'keys', jwks: { keys: [one.jwk] } })
  const url = `/v1/admin/clients/${made.client.id}`
  const refused = await w.as(root, 'POST', `${url}/secret`)
  t.equal(refused.statusCode, 409)
  t.match(refused.json(), { code: 'client_has_keys' })
  const two = keyPair('EdDSA', 'two')
  const changed = await w.as(root, 'PATCH', url, { jwks: { keys: [one.jwk, two.jwk] } })
  t.match(changed.json().client.jwks.keys.length, 2)

  const secret = await clientWithSecret(w)
  const turned = await w.as(root, 'PATCH', `/v1/admin/clients/${secret.id}`, { jwks: { keys: [two.jwk] } })
  t.match(turned.json(), { client: { authentication: 'keys' } })
  const fields = { grant_type: 'client_credentials' }
  t.equal((await postForm(w.app, '/oauth/token', fields, secret.basic.headers)).statusCode, 401, 'the secret is over')
})

t.test('another secret ends the old one at once', async (t) => {
  const w = await world(t)
  const { access_token: root } = await w.admin()
  const client = await clientWithSecret(w)
  const answer = (await w.as(root, 'POST', `/v1/admin/clients/${client.id}/secret`)).json()
  t.match(answer, { client: { id: client.id }, client_secret: /^kts_/ })
  const fields = { grant_type: 'client_credentials', client_id: client.id }
  t.equal((await postForm(w.app, '/oauth/token', fields, client.basic.headers)).statusCode, 401)
  const next = await postForm(w.app, '/oauth/token', { ...fields, client_secret: answer.client_secret })
  t.equal(next.statusCode, 200)
})

t.test('a service is changed, disabled, enabled and removed', async (t) => {
  const w = await world(t)
  const { access_token: root } = await w.admin()
  const client = await clientWithSecret(w)
  const url = `/v1/admin/clients/${client.id}`
  const change = async (body: object) => (await w.as(root, 'PATCH', url, body)).json()
  t.match(await change({ name: 'other', scopes: ['x'], audience: [] }), { client: { name: 'other', scopes: ['x'] } })
  t.match(await change({ disabled: true }), { client: { disabled: true, scopes: ['x'] } })
  t.match(await change({ disabled: true }), { client: { disabled: true } }, 'again changes nothing')
  t.match((await w.as(root, 'GET', `/v1/admin/users/${client.accountId}`)).json(), { user: { disabled: true } })
  t.match(await change({ disabled: false }), { client: { disabled: false } })
  t.equal((await w.as(root, 'DELETE', url)).statusCode, 204)
  for (const method of ['GET', 'DELETE'] as const) t.equal((await w.as(root, method, url)).statusCode, 404, method)
  t.equal((await w.as(root, 'GET', `/v1/admin/users/${client.accountId}`)).statusCode, 404, 'its account with it')
})

t.test('what is wrong is told where it is', async (t) => {
  const w = await world(t)
  const { access_token: root } = await w.admin()
  const client = await clientWithSecret(w)
  const { jwk } = keyPair('ES256')
  const rows: Array<[string, object, string]> = [
    ['nothing', {}, '/name'],
    ['an empty name', { name: '' }, '/name'],
    ['a long name', { name: 'x'.repeat(101) }, '/name'],
    ['a control character', { name: 'a\u0000' }, '/name'],
    ['another member', { name: 'x', secret: 'y' }, '/secret'],
    ['a scope with a space', { name: 'x', scopes: ['a b'] }, '/scopes/0'],
    ['an audience that is none', { name: 'x', audience: ['other'] }, '/audience/0'],
    ['a role that is none', { name: 'x', roles: ['nobody'] }, '/roles/0'],
    ['a permission that is none', { name: 'x', permissions: ['a b'] }, '/permissions/0'],
    ['no keys', { name: 'x', jwks: { keys: [] } }, '/jwks/keys'],
    ['a private key', { name: 'x', jwks: { keys: [{ ...jwk, d: 'x' }] } }, '/jwks/keys/0'],
    ['no point of the curve', { name: 'x', jwks: { keys: [{ ...jwk, x: jwk.y }] } }, '/jwks/keys/0'],
    ['a symmetric key', { name: 'x', jwks: { keys: [{ kty: 'oct', k: 'x', alg: 'HS256' }] } }, '/jwks/keys/0']
  ]
  for (const [title, body, pointer] of rows) {
    const response = await w.as(root, 'POST', '/v1/admin/clients', body)
    t.equal(response.statusCode, 400, title)
    t.match(response.json(), { code: 'validation_failed', errors: [{ pointer }] }, title)
  }
  t.equal((await w.app.flows.listClients()).length, 1, 'nothing was made')
  for (const body of [{}, { roles: [] }, { disabled: 'yes' }, { audience: ['other'] }]) {
    t.match((await w.as(root, 'PATCH', `/v1/admin/clients/${client.id}`, body)).json(), { code: 'validation_failed' })
  }
  for (const id of ['x', `ktc_${'0'.repeat(22)}`, client.accountId, '%00', "ktc_'"]) {
    const url = `/v1/admin/clients/${id}`
    t.match((await w.as(root, 'GET', url)).json(), { code: 'not_found' }, id)
    t.match((await w.as(root, 'PATCH', url, { name: 'x' })).json(), { code: 'not_found' }, id)
    t.match((await w.as(root, 'DELETE', url)).json(), { code: 'not_found' }, id)
    t.match((await w.as(root, 'POST', `${url}/secret`)).json(), { code: 'not_found' }, id)
  }
})

t.test('whoever administers by a key alone makes no credentials', async (t) => {
  const w = await world(t)
  const root = await w.admin()
  const client = await clientWithSecret(w)
  const { key } = await w.app.flows.createApiToken(root.user.id, { name: 'x' })
  const send = (method: 'GET' | 'POST' | 'PATCH', url: string, payload?: object) =>
    w.app.inject({ method, url, headers: { authorization: `Token ${key}` }, ...(payload ? { payload } : {}) })
  t.equal((await send('GET', '/v1/admin/clients')).statusCode, 200)
  t.equal((await send('POST', '/v1/admin/clients', { name: 'x' })).statusCode, 401)
  t.equal((await send('POST', `/v1/admin/clients/${client.id}/secret`)).statusCode, 401)
  t.equal((await send('PATCH', `/v1/admin/clients/${client.id}`, { name: 'x' })).statusCode, 401)
})

t.test('the last administrator stays, whoever it is', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w, { roles: ['admin'] })
  await t.rejects(w.app.flows.updateClient(client.id, { disabled: true }), { code: 'last_administrator' })
  await t.rejects(w.app.flows.deleteClient(client.id), { code: 'last_administrator' })
  await w.admin()
  await w.app.flows.deleteClient(client.id)
})

t.test('those who change one service at once take turns', async (t) => {
  const w = await world(t)
  const client = await clientWithSecret(w)
  await w.warm()
  const secrets = await Promise.all(Array.from({ length: 6 }, () => w.app.flows.rotateClientSecret(client.id)))
  const good = await Promise.all(
    secrets.map(async ({ secret }) => {
      const fields = { grant_type: 'client_credentials', client_id: client.id, client_secret: secret! }
      return (await postForm(w.app, '/oauth/token', fields)).statusCode === 200
    })
  )
  t.equal(good.filter(Boolean).length, 1, 'one secret is left')
  const both = [
    ...Array.from({ length: 4 }, () => w.app.flows.updateClient(client.id, { disabled: true })),
    ...Array.from({ length: 4 }, () => w.app.flows.disableUser(client.accountId))
  ]
  t.equal(
    (await Promise.allSettled(both)).filter(({ status }) => status === 'rejected').length,
    0,
    'nobody waits in a circle'
  )
})
