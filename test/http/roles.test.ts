import { sql } from 'kysely'
import t from 'tap'
import { allow, guard } from '../../src/index.js'
import { until } from '../support/until.js'
import { goodPassword, type Tokens, type World, world } from '../support/world.js'

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
const status = async (w: World, token: string, url = '/v1/me') => (await w.get(url, token)).statusCode
const renew = async (w: World, tokens: Tokens): Promise<Tokens> => (await w.refresh(tokens.refresh_token)).json()

t.test('roles are made, changed, listed and removed by administrators alone', async (t) => {
  const w = await world(t)
  const [admin, member] = [await w.admin(), await w.login(await w.account())]
  const put = (who: Tokens, name: string, body: object) =>
    w.as(who.access_token, 'PUT', `/v1/admin/roles/${name}`, body)
  const role = { description: 'Writes.', permissions: ['articles.change', 'articles.add', 'articles.change'] }
  const made = await put(admin, 'editor', role)
  t.equal(made.statusCode, 201)
  t.same(made.json(), {
    role: { name: 'editor', description: 'Writes.', permissions: ['articles.add', 'articles.change'] }
  })
  const again = await put(admin, 'editor', { permissions: [] })
  t.equal(again.statusCode, 200)
  t.same(again.json(), { role: { name: 'editor', description: '', permissions: [] } })
  t.match((await w.get('/v1/admin/roles', admin.access_token)).json(), {
    roles: [{ name: 'admin' }, { name: 'editor' }]
  })

  for (const name of ['Editor', '1st', 'a b', 'x'.repeat(65), 'é']) {
    t.match((await put(admin, encodeURIComponent(name), role)).json(), { code: 'validation_failed' }, name)
  }
  t.match((await put(admin, 'editor', { permissions: ['a b'] })).json(), { errors: [{ pointer: '/permissions/0' }] })
  t.match((await put(admin, 'editor', {})).json(), { errors: [{ pointer: '/permissions' }] })

  const remove = (who: Tokens, name: string) => w.as(who.access_token, 'DELETE', `/v1/admin/roles/${name}`)
  t.match((await remove(admin, 'admin')).json(), { code: 'role_protected', status: 409 })
  t.equal((await remove(admin, 'editor')).statusCode, 204)
  t.equal((await remove(admin, 'editor')).statusCode, 404)

  for (const response of [
    await put(member, 'x', role),
    await remove(member, 'x'),
    await w.get('/v1/admin/roles', member.access_token)
  ]) {
    t.match(response.json(), { code: 'permission_denied', status: 403 })
  }
})

t.test('a role that is not there is given to nobody', async (t) => {
  const w = await world(t)
  await w.role('editor')
  const [admin, { user }] = [await w.admin(), await w.login(await w.account())]
  const roles = ['editor', 'typo']
  const refusals = [
    await w.as(admin.access_token, 'PUT', `/v1/admin/users/${user.id}/roles`, { roles }),
    await w.as(admin.access_token, 'POST', '/v1/admin/users', { username: 'x', roles }),
    await w.as(admin.access_token, 'POST', '/v1/admin/invitations', { roles })
  ]
  for (const refused of refusals) {
    t.match(refused.json(), { status: 400, errors: [{ pointer: '/roles/1', code: 'unknown_role' }] })
  }
  t.match(await w.app.flows.readUser(user.id), { roles: [] })
})

t.test('a role that is removed leaves nobody with it, nor an invitation that gave it', async (t) => {
  const w = await world(t)
  await w.role('editor', ['articles.change'])
  const ada = await w.login(await w.account())
  await w.app.flows.setUserRoles(ada.user.id, ['editor'])
  const { token: invitation } = await w.app.flows.invite({ roles: ['editor', 'admin'], lifetime: 60_000 })
  const before = await renew(w, ada)
  t.match(claimsOf(before.access_token), { roles: ['editor'], permissions: ['articles.change'] })

  await w.app.flows.deleteRole('editor')
  await w.app.revocations.read()
  t.equal(await status(w, before.access_token), 401)
  t.same(claimsOf((await renew(w, before)).access_token).roles, [])

  const invited = await w.post('/v1/register', { username: 'bob', password: goodPassword, invitation })
  t.same(invited.json().user.roles, ['admin'])
  await w.role('editor', ['articles.change'])
  t.same(claimsOf((await w.login('bob')).access_token).permissions, [], 'nor does a new one of its name come to them')
})

t.test('an account that is being made keeps its roles from being removed', async (t) => {
  const w = await world(t)
  await w.role('editor')
  await w.warm()
  const outcomes = await Promise.allSettled([
    ...Array.from({ length: 6 }, (_, n) =>
      w.app.flows.createAccount({ username: `u${n}`, password: goodPassword, roles: ['editor'] })
    ),
    w.app.flows.deleteRole('editor')
  ])
  t.match(outcomes.at(-1), { status: 'fulfilled' })
  const { rows } = await sql`select 1 from account where 'editor' = any (roles)`.execute(w.app.db)
  t.same(rows, [], 'made before: it was taken away; made after: it was refused')
})

t.test('a change is in every new token at once, and refuses those that were issued before', async (t) => {
  const w = await world(t)
  const other = { ...w, app: await w.replica() }
  await w.role('editor', ['articles.change'])
  const ada = await w.login(await w.account())
  const { flows } = w.app
  const changes: Array<[string, () => Promise<unknown>, object]> = [
    [
      'roles',
      () => flows.setUserRoles(ada.user.id, ['editor']),
      { roles: ['editor'], permissions: ['articles.change'] }
    ],
    [
      'what a role means',
      () => flows.putRole({ name: 'editor', permissions: ['articles.burn'] }),
      { permissions: ['articles.burn'] }
    ],
    ['permissions', () => flows.setUserPermissions(ada.user.id, ['own']), { permissions: ['articles.burn', 'own'] }],
    ['the end of a role', () => flows.deleteRole('editor'), { roles: [], permissions: ['own'] }]
  ]
  let now = ada
  for (const [title, change, expected] of changes) {
    const before = now.access_token
    await change()
    now = await renew(w, now)
    t.match(claimsOf(now.access_token), expected, title)
    const anew = await w.login(ada.user.username)
    t.match(claimsOf(anew.access_token), expected, title)
    for (const { app } of [w, other]) {
      await app.revocations.read()
      const response = await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${before}` } })
      t.match(response.json(), { code: 'token_revoked', status: 401 }, title)
      for (const token of [now.access_token, anew.access_token]) {
        const good = await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${token}` } })
        t.match(good.json(), expected, title)
      }
    }
  }
})

t.test('a change of one account or one role touches nobody else', async (t) => {
  const w = await world(t)
  await w.role('editor')
  await w.role('author')
  const [ada, bob] = [await w.login(await w.account()), await w.login(await w.account())]
  await w.app.flows.setUserRoles(bob.user.id, ['author'])
  const now = await renew(w, bob)
  await w.app.flows.setUserRoles(ada.user.id, ['editor'])
  await w.app.flows.putRole({ name: 'editor', permissions: ['x'] })
  await w.app.flows.deleteRole('editor')
  await w.app.revocations.read()
  t.equal(await status(w, now.access_token), 200)
})

t.test('a new role revokes nothing: nobody had it', async (t) => {
  const w = await world(t)
  await w.role('editor')
  t.same(await w.app.db.selectFrom('revocation').selectAll().execute(), [])
})

t.test('what is not there is not found, and leaves no entry', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  const nobody = '00000000-0000-4000-8000-000000000000'
  const changes: Array<() => Promise<unknown>> = [
    () => flows.setUserRoles(nobody, []),
    () => flows.setUserPermissions(nobody, []),
    () => flows.disableUser(nobody),
    () => flows.enableUser(nobody),
    () => flows.deleteRole('nothing')
  ]
  for (const change of changes) await t.rejects(change(), { code: 'not_found' })
  t.same(await w.app.db.selectFrom('revocation').selectAll().execute(), [])
})

t.test(
  'refreshes and sign-ins that race with changes of roles: what is accepted at the end says what holds then',
  async (t) => {
    const w = await world(t)
    const names = Array.from({ length: 10 }, (_, n) => `role-${n}`)
    for (const name of names) await w.role(name, [`${name}.use`])
    const username = await w.account()
    const sessions = await Promise.all(Array.from({ length: 10 }, () => w.login(username)))
    const { id } = sessions[0]!.user
    await w.warm()
    const issued: string[] = []
    const refreshing = sessions.map(async (session) => {
      let current = session
      for (let n = 0; n < 5; n++) {
        current = await renew(w, current)
        issued.push(current.access_token)
      }
    })
    const signingIn = Array.from({ length: 10 }, async () => issued.push((await w.login(username)).access_token))
    const changing = (async () => {
      for (const name of names) {
        await w.app.flows.setUserRoles(id, [name])
        const at = issued.length
        await w.app.revocations.read()
        for (const token of issued.slice(0, at)) {
          if (claimsOf(token).roles[0] !== name && (await status(w, token)) === 200)
            t.fail(`${claimsOf(token).roles} after ${name}`)
        }
      }
    })()
    await Promise.all([...refreshing, ...signingIn, changing])
    // A few that come after the last change, whatever the race was like.
    for (const session of await Promise.all([w.login(username), w.login(username)])) issued.push(session.access_token)
    await w.app.revocations.read()
    t.equal(issued.length, 62)
    for (const token of issued) {
      const holds = claimsOf(token).roles[0] === 'role-9'
      t.equal(await status(w, token), holds ? 200 : 401, `${claimsOf(token).roles}`)
      if (holds) t.same(claimsOf(token).permissions, ['role-9.use'])
    }
  }
)

t.test('refreshes that race with what a role means', async (t) => {
  const w = await world(t)
  await w.role('editor', ['p.first'])
  const username = await w.account()
  const { user } = await w.login(username)
  await w.app.flows.setUserRoles(user.id, ['editor'])
  const sessions = await Promise.all(Array.from({ length: 10 }, () => w.login(username)))
  await w.warm()
  const issued: string[] = []
  await Promise.all([
    ...sessions.map(async (session) => {
      let current = session
      for (let n = 0; n < 5; n++) {
        current = await renew(w, current)
        issued.push(current.access_token)
      }
    }),
    (async () => {
      for (let n = 0; n < 10; n++) await w.app.flows.putRole({ name: 'editor', permissions: [`p.${n}`] })
    })()
  ])
  await w.app.revocations.read()
  for (const token of issued) {
    const holds = claimsOf(token).permissions[0] === 'p.9'
    t.equal(await status(w, token), holds ? 200 : 401, `${claimsOf(token).permissions}`)
  }
})

t.test('a sign-in that had to wait for a change gets a token that says so, and is not refused for it', async (t) => {
  const w = await world(t)
  await w.role('editor')
  const username = await w.account()
  const { user } = await w.login(username)
  const waits = async () => {
    const { rows } = await sql`
      select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%update account set last_login_at%'`.execute(
      w.app.db
    )
    return rows.length > 0
  }
  let login: Promise<Tokens> | undefined
  await w.app.db.transaction().execute(async (trx) => {
    await trx
      .updateTable('account')
      .set({ roles: ['editor'] })
      .where('id', '=', user.id)
      .execute()
    login = w.login(username)
    t.ok(await until(waits))
    await trx
      .insertInto('revocation')
      .values({
        kind: 'account',
        subject: user.id,
        because: 'roles_changed',
        created_at: w.now(),
        expires_at: new Date(w.now().getTime() + 60_000)
      })
      .execute()
  })
  const { access_token: token } = await login!
  await w.app.revocations.read()
  t.same(claimsOf(token).roles, ['editor'])
  t.equal(await status(w, token), 200)
})

t.test(
  'what asks for a fresh credential does not believe roles that this replica has not heard the end of',
  async (t) => {
    for (const credential of ['an access token', 'an API token']) {
      await t.test(credential, async (t) => {
        const w = await world(t, undefined, async (app) => {
          await app.register(guard)
          app.get('/admin', { config: { requirement: allow.admin() } }, async () => 'in')
          app.get(
            '/fresh-admin',
            { config: { requirement: allow.all(allow.admin(), allow.fresh()) } },
            async () => 'in'
          )
        })
        const [admin] = [await w.admin(), await w.admin()]
        const { key } = await w.app.flows.createApiToken(admin.user.id, { name: 'x' })
        const authorization = credential === 'an API token' ? `Token ${key}` : `Bearer ${admin.access_token}`
        const statusOf = async (url: string) => (await w.app.inject({ url, headers: { authorization } })).statusCode
        t.equal(await statusOf('/fresh-admin'), 200)
        // As another replica would, without a notification.
        await w.app.db.transaction().execute(async (trx) => {
          await sql`alter table revocation disable trigger revocation_notify`.execute(trx)
          await trx.updateTable('account').set({ roles: [] }).where('id', '=', admin.user.id).execute()
          await trx
            .insertInto('revocation')
            .values({
              kind: 'account',
              subject: admin.user.id,
              because: 'roles_changed',
              created_at: w.now(),
              expires_at: new Date(w.now().getTime() + 60_000)
            })
            .execute()
        })
        t.equal(await statusOf('/admin'), 200, 'known by the next poll')
        t.equal(await statusOf('/fresh-admin'), 401)
        t.not(await statusOf('/admin'), 200, 'and to everybody, once somebody has asked')
      })
    }
  }
)
