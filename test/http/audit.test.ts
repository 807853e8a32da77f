import { sql } from 'kysely'
import t from 'tap'
import { type AuditEventName, auditEvents } from '../../src/domain/audit-event.js'
import { goodPassword, type World, world } from '../support/world.js'

const wrong = 'quite another password'
const day = 86_400_000

interface Row {
  event: string
  outcome: string
  account_id: string | null
  actor_id: string | null
  session_id: string | null
  client_id: string | null
  source: string
  address: string | null
  user_agent: string | null
  amr: string[]
  reason: string | null
  details: Record<string, unknown>
}

/** Everything that was written since the service had its first key, the oldest first. */
async function rows(w: World, event?: AuditEventName): Promise<Row[]> {
  await w.app.audit.flush()
  const { rows } = await sql<Row>`
    select * from audit_event
    where event <> 'key.created' and (${event ?? null}::text is null or event = ${event ?? null})
    order by id`.execute(w.app.db)
  return rows
}

const names = async (w: World) => (await rows(w)).map(({ event }) => event)

t.test('a sign-in says who, on which device, from where and by which factors', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const response = await w.app.inject({
    method: 'POST',
    url: '/v1/login',
    payload: { username, password: goodPassword },
    headers: { 'user-agent': 'Check/1.0\u001b[31m' },
    remoteAddress: '::ffff:203.0.113.9'
  })
  const { user } = response.json()
  const session = await w.app.db.selectFrom('session').select('id').executeTakeFirstOrThrow()
  t.match(await rows(w, 'login.succeeded'), [
    {
      outcome: 'success',
      account_id: user.id,
      actor_id: null,
      session_id: session.id,
      client_id: 'web',
      source: 'request',
      address: '203.0.113.9',
      user_agent: 'Check/1.0[31m',
      amr: ['pwd'],
      details: { new_device: true }
    }
  ])
  t.match(await rows(w, 'account.created'), [{ account_id: user.id, address: '127.0.0.1' }])
})

t.test('refusals are written: unknown, wrong, disabled, delayed, locked', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    flows: { ...options.flows, guessing: { free: 2, max: 3 } }
  }))
  const { user } = await w.login(await w.account('ada'))
  const attempt = (username: string, password = wrong) => w.post('/v1/login', { username, password })
  await attempt('nobody')
  await attempt('ada')
  await attempt('ada')
  await attempt('ada', goodPassword)
  w.wait(31_000)
  await attempt('ada')
  w.wait(day)
  await attempt('ada', goodPassword)
  const refusals = (await rows(w)).filter(({ outcome }) => outcome === 'failure')
  t.same(
    refusals.map(({ event, account_id, reason }) => [event, account_id, reason]),
    [
      ['login.failed', null, 'unknown'],
      ['login.failed', user.id, 'password'],
      ['login.delayed', user.id, null],
      ['login.failed', user.id, 'password'],
      ['login.refused', user.id, 'delayed'],
      ['login.locked', user.id, null],
      ['login.failed', user.id, 'password'],
      ['login.refused', user.id, 'locked']
    ]
  )
})

t.test('a device is new until the account has signed in with it', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const signIn = async (headers: Record<string, string>, address = '192.0.2.1', payload: object = {}) => {
    const response = await w.app.inject({
      method: 'POST',
      url: '/v1/login',
      remoteAddress: address,
      headers: { 'content-type': 'application/json', ...headers },
      payload: { username, password: goodPassword, ...payload }
    })
    return response.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  }
  const browser = { 'user-agent': 'Browser/1', 'x-auth-request': '1', 'sec-fetch-site': 'same-origin' }
  await signIn(browser)
  await signIn(browser)
  await signIn(browser, '192.0.2.2')
  const cookie = await signIn({ ...browser, 'user-agent': 'Browser/2' }, '192.0.2.3', { refresh_transport: 'cookie' })
  await signIn({ ...browser, cookie }, '192.0.2.4', { refresh_transport: 'cookie' })
  const news = (await rows(w, 'login.succeeded')).map(({ details }) => details.new_device)
  t.same(news, [true, false, true, true, false])
})

t.test('a refresh writes nothing; a copied token is written with the session that it ended', async (t) => {
  const w = await world(t)
  const { refresh_token, user } = await w.login(await w.account())
  const before = await names(w)
  const second = (await w.refresh(refresh_token)).json()
  await w.refresh(refresh_token)
  await w.refresh(second.refresh_token)
  t.same(await names(w), before, 'neither a rotation nor a replay in its window is an event')
  w.wait(60_000)
  t.match((await w.refresh(refresh_token)).json(), { code: 'refresh_reused' })
  t.match((await rows(w)).slice(before.length), [
    { event: 'session.ended', account_id: user.id, reason: 'refresh_reused' },
    { event: 'refresh.reuse_detected', account_id: user.id, outcome: 'failure' }
  ])
  const [session] = await w.app.db.selectFrom('session').select('id').execute()
  t.equal((await rows(w, 'session.ended'))[0]!.session_id, session!.id)
})

t.test('what an administrator does to others names them both, and the owner learns that it was one', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const { user, access_token } = await w.login(await w.account())
  await w.role('editor')
  const on = (path: string, method: 'POST' | 'PUT' | 'DELETE' = 'POST', body?: object) =>
    w.as(admin.access_token, method, `/v1/admin/users/${user.id}/${path}`, body)
  await on('unlock')
  await on('roles', 'PUT', { roles: ['editor'] })
  await on('sessions', 'DELETE')
  await on('disable')
  await on('enable')
  const by = { account_id: user.id, actor_id: admin.user.id, source: 'request', address: '127.0.0.1' }
  t.match(
    (await rows(w)).filter(({ actor_id }) => actor_id !== null),
    [
      { event: 'user.unlocked', ...by },
      { event: 'user.roles_changed', ...by, details: { roles: ['editor'] } },
      { event: 'session.ended_all', ...by, reason: 'ended_by_admin', details: { sessions: 1 } },
      { event: 'user.disabled', ...by },
      { event: 'user.enabled', ...by }
    ]
  )
  t.equal((await w.get('/v1/me/security-events', access_token)).statusCode, 401, 'its session is over')
  const again = await w.login(user.username)
  const own = (await w.get('/v1/me/security-events', again.access_token)).json().events
  t.match(own[1], { event: 'user.enabled', by_administrator: true, address: null, user_agent: null, session_id: null })
  t.notOk(JSON.stringify(own).includes(admin.user.id), 'and not which one')
})

t.test('the owner sees what to look at, by pages, and nothing of anybody else', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await w.login(await w.account())
  const { access_token, refresh_token } = await w.login(username)
  for (let n = 0; n < 5; n++) await w.post('/v1/login', { username, password: wrong })
  await w.as(access_token, 'POST', '/v1/me/password', {
    current_password: goodPassword,
    new_password: 'another good password'
  })
  const stolen = refresh_token
  const next = (await w.refresh(refresh_token)).json()
  await w.refresh(next.refresh_token)
  w.wait(60_000)
  await w.refresh(stolen)
  w.wait(3_600_000)
  const again = (await w.post('/v1/login', { username, password: 'another good password' })).json()

  const seen: Array<{ event: string; attention: boolean }> = []
  let cursor = ''
  for (let pages = 0; pages < 20; pages++) {
    const { events, next_cursor } = (await w.get(`/v1/me/security-events?limit=4${cursor}`, again.access_token)).json()
    seen.push(...events)
    if (next_cursor === undefined) break
    cursor = `&cursor=${next_cursor}`
  }
  const told = seen.filter(({ attention }) => attention).map(({ event }) => event)
  t.same(told, ['refresh.reuse_detected', 'password.changed', 'login.delayed', 'login.succeeded'])
  const all = (await rows(w)).filter(({ account_id }) => account_id === again.user.id)
  t.same(
    seen.map(({ event }) => event),
    all.map(({ event }) => event).reverse(),
    'all of them, each once, the newest first'
  )
  t.match((await w.get('/v1/me/security-events?cursor=AAAA', again.access_token)).json(), {
    code: 'validation_failed'
  })
})

t.test('administrators, and whoever has the permission, look for events; nobody else does', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const { user } = await w.login(await w.account())
  await w.post('/v1/login', { username: user.username, password: wrong })
  const ask = async (query: string, token = admin.access_token) =>
    (await w.get(`/v1/admin/audit-events${query}`, token)).json()
  t.match(await ask(`?account=${user.id}&outcome=failure`), {
    events: [{ event: 'login.failed', account_id: user.id, actor_id: null, reason: 'password', source: 'request' }]
  })
  t.match(await ask('?event=account.created&limit=1'), { events: [{ account_id: user.id }], next_cursor: String })
  t.match(await ask('?event=audit.read'), { events: [{ account_id: null, actor_id: admin.user.id }, {}] })
  t.equal((await ask(`?since=${new Date(w.now().getTime() + 1).toISOString()}`)).events.length, 0)
  t.equal((await ask(`?until=${w.now().toISOString()}`)).events.length, 0)
  t.match(await ask('?event=nonsense'), { code: 'validation_failed' })
  t.match(await ask('?account=me'), { code: 'validation_failed' })
  t.match(await ask('?since=yesterday'), { code: 'validation_failed' })

  const other = await w.login(await w.account())
  t.match(await ask('', other.access_token), { code: 'permission_denied' })
  await w.as(admin.access_token, 'PUT', `/v1/admin/users/${other.user.id}/permissions`, {
    permissions: ['keyturn.audit']
  })
  const monitor = (await w.refresh(other.refresh_token)).json()
  t.match(await ask('?limit=1', monitor.access_token), { events: [{ event: 'user.permissions_changed' }] })
  t.match((await w.get('/v1/admin/users', monitor.access_token)).json(), { code: 'permission_denied' })
})

t.test('a change that is rolled back leaves no event', async (t) => {
  const w = await world(t)
  const { access_token, user } = await w.admin()
  const before = await names(w)
  const refused = await w.as(access_token, 'POST', `/v1/admin/users/${user.id}/disable`)
  t.match(refused.json(), { code: 'last_administrator' })
  await w.account('taken')
  const next = await names(w)
  t.match(await w.post('/v1/register', { username: 'taken', password: goodPassword }), { statusCode: 409 })
  t.same(await names(w), next)
  t.same(next, [...before, 'account.created'])
  const other = await w.login('taken')
  const all = await names(w)
  await sql`alter table revocation add constraint full_disk check (id < 0) not valid`.execute(w.app.db)
  t.equal((await w.as(access_token, 'POST', `/v1/admin/users/${other.user.id}/disable`)).statusCode, 500)
  t.same(await names(w), all, 'nor one that fails after its event was written')
})

t.test('a change whose event cannot be written is not made', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  const { user, refresh_token } = await w.login(await w.account())
  await w.app.audit.flush()
  await sql`alter table audit_event add constraint full_disk check (happened_at < '2000-01-01') not valid`.execute(
    w.app.db
  )
  t.equal((await w.as(admin.access_token, 'POST', `/v1/admin/users/${user.id}/disable`)).statusCode, 500)
  t.equal((await w.post('/v1/logout', { refresh_token })).statusCode, 500)
  await sql`alter table audit_event drop constraint full_disk`.execute(w.app.db)
  t.equal((await w.refresh(refresh_token)).statusCode, 200, 'neither was the account disabled nor its session ended')
})

t.test('one event that Postgres refuses holds up no other, and is counted', async (t) => {
  const w = await world(t)
  const username = await w.account()
  await w.app.audit.flush()
  await sql`alter table audit_event add constraint no_failures check (outcome = 'success') not valid`.execute(w.app.db)
  await w.post('/v1/login', { username, password: wrong })
  await w.login(username)
  t.same(await names(w), ['account.created', 'login.succeeded'])
  t.equal(w.app.audit.dropped(), 1)
  t.match(await w.app.metrics.getSingleMetricAsString('keyturn_audit_dropped_total'), /keyturn_audit_dropped_total 1/)
})

t.test('a flood of refusals is bounded, and leaves room for what people did', async (t) => {
  const w = await world(t)
  const { add } = w.app.audit
  const event = {
    event: 'login.failed',
    at: w.now(),
    accountId: null,
    actorId: null,
    sessionId: null,
    clientId: null,
    source: 'request',
    address: null,
    userAgent: null,
    amr: [],
    reason: null,
    details: {},
    chained: false
  } as const
  const id = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
  for (let n = 0; n < 20_000; n++) add({ ...event, id: id(n), outcome: 'failure' })
  add({ ...event, id: id(30_000), event: 'login.succeeded', outcome: 'success' })
  t.equal(w.app.audit.dropped(), 15_000)
  t.equal(w.app.audit.waiting(), 5_001)
  t.equal((await rows(w)).length, 5_001)
  t.equal(w.app.audit.waiting(), 0)
})

t.test('what happened just before the end is written', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  await w.account('ada')
  w.wait(1)
  await replica.inject({ method: 'POST', url: '/v1/login', payload: { username: 'ada', password: goodPassword } })
  await replica.close()
  t.same(await names(w), ['account.created', 'login.succeeded'])
})

t.test('switched off, nothing is written and all else works', async (t) => {
  const w = await world(t, (options) => ({ ...options, audit: { ...options.audit, retention: null } }))
  const { refresh_token, access_token } = await w.login(await w.account())
  t.same((await w.get('/v1/me/security-events', access_token)).json(), { events: [] })
  t.equal((await w.post('/v1/logout', { refresh_token })).statusCode, 204)
  t.same(await names(w), [])
})

t.test('the broom removes what is older than it is kept, and nothing else', async (t) => {
  const w = await world(t, (options) => ({ ...options, audit: { ...options.audit, retention: 30 * day } }))
  const username = await w.account()
  for (let n = 0; n < 120; n++) await w.post('/v1/login', { username: `nobody-${n}`, password: wrong })
  await w.app.audit.flush()
  w.wait(30 * day)
  t.match(await w.app.broom(), { audit_event: undefined })
  w.wait(1)
  await w.login(username)
  await w.app.audit.flush()
  t.match(await w.app.broom(), { audit_event: 122 }, 'in batches')
  t.same(await names(w), ['login.succeeded'])
})

t.test('every event of the catalogue is told by somebody, and nothing else is', async (t) => {
  const { readdir, readFile } = await import('node:fs/promises')
  const folder = new URL('../../src/flows/', import.meta.url)
  const told = new Set<string>()
  for (const file of await readdir(folder)) {
    const text = await readFile(new URL(file, folder), 'utf8')
    for (const [name] of text.matchAll(/'[a-z_]+\.[a-z_]+'/g)) told.add(name.slice(1, -1))
  }
  t.same(
    Object.keys(auditEvents).filter((name) => !told.has(name)),
    []
  )
})

t.test('docs/audit.md lists every event', async (t) => {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(new URL('../../docs/audit.md', import.meta.url), 'utf8')
  const lines = Object.entries(auditEvents).map(([name, { says, outcome, attention, details = [] }]) => {
    const mark = attention === undefined ? '' : attention === true ? 'yes' : `where \`${attention}\``
    return `| \`${name}\` | ${outcome} | ${says} | ${details.map((one) => `\`${one}\``).join(', ')} | ${mark} |`
  })
  const [, table = ''] = text.split('| event | outcome | what happened | `details` | attention |\n')
  t.same(table.trimEnd().split('\n').slice(1), lines, 'these are the lines of its table')
})
