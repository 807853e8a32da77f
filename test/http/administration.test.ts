import t from 'tap'
import { goodPassword, world } from '../support/world.js'

t.test('administration is for administrators', async (t) => {
  const w = await world(t)
  const user = await w.login(await w.account())
  for (const url of ['/v1/admin/users', `/v1/admin/users/${user.user.id}`]) {
    const stranger = await w.get(url)
    t.match(stranger.json(), { code: 'authentication_required', status: 401 })
    t.equal(
      stranger.headers['www-authenticate'],
      'Token realm="keyturn", Bearer realm="keyturn"',
      'without credentials there is no error to name'
    )
    const refused = await w.get(url, user.access_token)
    t.match(refused.json(), { code: 'permission_denied', status: 403 })
    t.match(refused.headers['www-authenticate'], /error="insufficient_scope"/)
  }
})

t.test('users are listed and searched by cursor', async (t) => {
  const w = await world(t)
  const { access_token } = await w.admin()
  for (const username of ['anna', 'Anton', 'bert', 'an_d']) {
    w.wait(1)
    await w.account(username)
  }
  w.wait(1)
  await w.post('/v1/register', { username: 'zoe', password: goodPassword, email: 'anton@example.com' })

  const seen: string[] = []
  let cursor: string | undefined
  do {
    const query = new URLSearchParams({ limit: '2', ...(cursor === undefined ? {} : { cursor }) })
    const page = (await w.get(`/v1/admin/users?${query}`, access_token)).json()
    seen.push(...page.users.map(({ username }: { username: string }) => username))
    cursor = page.next_cursor
  } while (cursor !== undefined)
  t.same(seen.slice(1), ['anna', 'Anton', 'bert', 'an_d', 'zoe'])

  const search = async (q: string) =>
    (await w.get(`/v1/admin/users?${new URLSearchParams({ q })}`, access_token))
      .json()
      .users.map(({ username }: { username: string }) => username)
  t.same(await search('ANT'), ['Anton', 'zoe'])
  t.same(await search('an_'), ['an_d'], 'what is a wildcard in SQL is none here')
  t.same(await search("'; drop table account --"), [])
  for (const query of ['cursor=nonsense', 'limit=0', 'limit=101', 'limit=ten', 'sort=name']) {
    t.match((await w.get(`/v1/admin/users?${query}`, access_token)).json(), { code: 'validation_failed' }, query)
  }
  t.match(
    (await w.get('/v1/admin/users?limit=101', access_token)).json().errors,
    [{ pointer: '/query/limit', detail: /1 to 100; 50 by default\.$/ }],
    'what it has to be is said in words, not by a pattern alone'
  )
})

t.test('a user is made, read, disabled and enabled', async (t) => {
  const w = await world(t)
  const { access_token } = await w.admin()
  const admin = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: object) =>
    w.as(access_token, method, `/v1/admin${url}`, body)
  await w.role('editor')

  const made = await admin('POST', '/users', { username: 'grace', password: goodPassword, roles: ['editor'] })
  t.equal(made.statusCode, 201)
  const { id } = made.json().user
  t.match((await admin('GET', `/users/${id}`)).json(), { user: { username: 'grace', roles: ['editor'] } })

  const tokens = await w.login('grace')
  t.match((await admin('POST', `/users/${id}/disable`)).json(), { user: { disabled: true } })
  t.match((await w.refresh(tokens.refresh_token)).json(), { code: 'session_revoked', status: 401 })
  t.equal((await w.post('/v1/login', { username: 'grace', password: goodPassword })).statusCode, 401)
  t.match((await admin('POST', `/users/${id}/enable`)).json(), { user: { disabled: false } })
  t.match((await w.refresh(tokens.refresh_token)).json(), { code: 'session_revoked' }, 'what was ended stays over')

  const again = await w.login('grace')
  t.same((await admin('DELETE', `/users/${id}/sessions`)).json(), { ended: 1 })
  t.equal((await w.refresh(again.refresh_token)).statusCode, 401)
  for (const url of ['/users/00000000-0000-4000-8000-000000000000', '/users/nobody']) {
    t.equal((await admin('GET', url)).statusCode, 404)
  }
})

t.test('a change of roles is in the next token', async (t) => {
  const w = await world(t)
  const { access_token } = await w.admin()
  const tokens = await w.login(await w.account())
  await w.role('a')
  await w.role('b')
  const roles = await w.as(access_token, 'PUT', `/v1/admin/users/${tokens.user.id}/roles`, { roles: ['b', 'a', 'b'] })
  t.match(roles.json(), { user: { roles: ['a', 'b'] } })
  const next = (await w.refresh(tokens.refresh_token)).json()
  t.same((await w.get('/v1/me', next.access_token)).json().roles, ['a', 'b'])
  t.equal(
    (await w.as(access_token, 'PUT', `/v1/admin/users/${tokens.user.id}/roles`, { roles: ['not a role'] })).statusCode,
    400
  )
})

t.test('the last administrator stays, also when two remove each other at once', async (t) => {
  const w = await world(t)
  const [one, two] = [await w.admin(), await w.admin()]
  await w.warm()
  const answers = await Promise.all([
    w.as(one.access_token, 'POST', `/v1/admin/users/${two.user.id}/disable`),
    w.as(two.access_token, 'POST', `/v1/admin/users/${one.user.id}/disable`)
  ])
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 409])
  const last = answers[0]!.statusCode === 200 ? one : two
  t.match((await w.as(last.access_token, 'PUT', `/v1/admin/users/${last.user.id}/roles`, { roles: [] })).json(), {
    code: 'last_administrator',
    status: 409
  })
  t.match((await w.as(last.access_token, 'DELETE', '/v1/me', { current_password: goodPassword })).json(), {
    code: 'last_administrator'
  })
})
