import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { principal } from '../../src/domain/principal.js'
import { faultyLink } from '../support/faulty-link.js'
import { until } from '../support/until.js'
import { goodPassword, type World, world } from '../support/world.js'

const inAnHour = (w: World) => new Date(w.now().getTime() + 3_600_000)
const entry = (w: World, subject: string) => ({
  kind: 'account' as const,
  subject,
  because: 'roles_changed',
  created_at: w.now(),
  expires_at: inAnHour(w)
})
const knows = (app: World['app'], accountId: string) =>
  app.revocations.find(principal({ accountId, authenticator: 'bearer', revision: 0 })) !== undefined

/** A connection of the test's own, in the middle of a transaction. */
async function connection(t: Test, w: World): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: w.url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}
const insert = `insert into revocation (kind, subject, because, created_at, expires_at)
  values ('account', $1, 'roles_changed', '2030-01-01T12:00:00Z', '2030-01-01T13:00:00Z')`

const listeners = async (w: World) => {
  const { rows } = await sql<{ pid: number }>`
    select pid from pg_stat_activity
    where datname = current_database() and application_name = 'keyturn listener'`.execute(w.app.db)
  return rows.map(({ pid }) => pid)
}

t.test(
  'entries become visible in the order of their ids: a writer waits for the commit of the one before',
  async (t) => {
    const w = await world(t)
    const [one, other] = [await connection(t, w), await connection(t, w)]
    await one.query('begin')
    await one.query(insert, ['first'])
    await other.query('begin')
    let isThrough = false
    const second = other.query(insert, ['second']).then(async () => {
      isThrough = true
      await other.query('commit')
    })
    const isWaiting = async () => {
      const { rows } = await sql`select 1 from pg_locks where locktype = 'advisory' and not granted`.execute(w.app.db)
      return rows.length > 0 || isThrough
    }
    t.ok(await until(isWaiting))
    t.notOk(isThrough)
    await w.app.revocations.read()
    await one.query('commit')
    await second
    await w.app.revocations.read()
    t.ok(knows(w.app, 'first') && knows(w.app, 'second'))
  }
)

t.test('many who write at once, some of them undone: a reader that reads all the while passes none by', async (t) => {
  const w = await world(t)
  await w.warm()
  const writers = await Promise.all(Array.from({ length: 8 }, () => connection(t, w)))
  let isWriting = true
  const reading = (async () => {
    while (isWriting) await w.app.revocations.read()
  })()
  const committed: string[] = []
  await Promise.all(
    writers.map(async (client, at) => {
      for (let n = 0; n < 25; n++) {
        const subject = `account-${at}-${n}`
        await client.query('begin')
        await client.query(insert, [subject])
        if ((at + n) % 5 === 0) await client.query('rollback')
        else {
          await client.query('commit')
          committed.push(subject)
        }
      }
    })
  )
  isWriting = false
  await reading
  await w.app.revocations.read()
  t.equal(committed.length, 160)
  t.same(
    committed.filter((subject) => !knows(w.app, subject)),
    []
  )
})

t.test('whoever asks during a read waits for one that begins after', async (t) => {
  const w = await world(t)
  const gate = await connection(t, w)
  // A read that has seen the table as it was, and waits at a gate before it answers.
  await w.app.db.insertInto('revocation').values(entry(w, 'zoe')).execute()
  await gate.query(`
    alter table revocation rename to held_back;
    create view revocation as
      select r.* from held_back as r cross join lateral (select pg_advisory_xact_lock_shared(r.id * 0 + 1)) as gate;
    drop trigger revocation_notify on held_back;
    select pg_advisory_lock(1)`)
  const under = w.app.revocations.read()
  const isAtTheGate = async () => {
    const { rows } = await gate.query(`select 1 from pg_locks where locktype = 'advisory' and not granted`)
    return rows.length > 0
  }
  t.ok(await until(isAtTheGate))
  await gate.query(insert.replace('revocation', 'held_back'), ['ada'])
  const asked = w.app.revocations.read()
  await gate.query('select pg_advisory_unlock(1)')
  await Promise.all([under, asked])
  t.ok(knows(w.app, 'ada'))
})

t.test('a read that fails is an error to whoever asked, and the next one goes on', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const app = await w.replica((options) => ({ ...options, database: { ...options.database, url: link.url } }))
  await app.revocations.read()
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  await link.cut()
  await t.rejects(app.revocations.read(), { code: 'service_unavailable' })
  await link.mend()
  await app.revocations.read()
  t.ok(knows(app, 'ada'))
})

t.test('a replica starts with all that matters still, and with no more', async (t) => {
  const w = await world(t)
  await sql`
    insert into revocation (kind, subject, because, created_at, expires_at)
    select 'account', 'account-' || n, 'x', ${w.now()}::timestamptz, ${inAnHour(w)}::timestamptz
    from generate_series(1, 12000) as n`.execute(w.app.db)
  await w.app.db
    .insertInto('revocation')
    .values({ ...entry(w, 'past'), created_at: new Date(0), expires_at: w.now() })
    .execute()
  const app = await w.replica()
  t.ok(knows(app, 'account-1') && knows(app, 'account-5001') && knows(app, 'account-12000'), 'over several pages')
  t.notOk(knows(app, 'past'))
})

t.test('a database that lost its last commits is read anew: ids that it gives again are not passed by', async (t) => {
  const w = await world(t)
  for (const subject of ['ada', 'bob', 'eve'])
    await w.app.db.insertInto('revocation').values(entry(w, subject)).execute()
  await w.app.revocations.read()
  await sql`delete from revocation where subject <> 'ada'`.execute(w.app.db)
  await sql`alter table revocation alter column id restart with 2`.execute(w.app.db)
  await w.app.revocations.read()
  t.same(
    ['ada', 'bob', 'eve'].map((subject) => knows(w.app, subject)),
    [true, false, false],
    'what is lost is lost'
  )
  await w.app.db.insertInto('revocation').values(entry(w, 'joe')).execute()
  await w.app.revocations.read()
  t.ok(knows(w.app, 'joe'))
})

t.test('what has expired by itself is forgotten', async (t) => {
  const w = await world(t)
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  await w.app.revocations.read()
  t.ok(knows(w.app, 'ada'))
  w.wait(3_600_000)
  await w.app.revocations.read()
  t.notOk(knows(w.app, 'ada'))
})

t.test('an entry is remembered until the last token that it ends has expired everywhere', async (t) => {
  const w = await world(t)
  const ada = await w.login(await w.account())
  await w.app.flows.setUserPermissions(ada.user.id, ['x'])
  const row = await w.app.db.selectFrom('revocation').selectAll().executeTakeFirstOrThrow()
  const { exp } = JSON.parse(atob(ada.access_token.split('.')[1]!))
  const leeway = 5_000
  t.ok(row.expires_at.getTime() >= exp * 1000 + leeway, 'accepted until then by a clock that is right')
  t.equal(row.expires_at.getTime(), w.now().getTime() + 600_000 + 2 * leeway)
  for (const wait of [0, 599_000, 5_999]) {
    w.wait(wait)
    await w.app.revocations.read()
    t.equal((await w.get('/v1/me', ada.access_token)).statusCode, 401)
  }
})

t.test('a notification is enough: nobody has to poll', async (t) => {
  const w = await world(t)
  t.ok(await until(async () => (await listeners(w)).length === 1))
  await w.app.revocations.read()
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  t.ok(await until(() => knows(w.app, 'ada')))
})

t.test('without any notification the poll finds what is new', async (t) => {
  const w = await world(t, (options) => ({ ...options, revocations: { ...options.revocations, pollInterval: 20 } }))
  await sql`drop trigger revocation_notify on revocation`.execute(w.app.db)
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  t.ok(await until(() => knows(w.app, 'ada')))
})

t.test('a listener that is killed comes back as another', async (t) => {
  const w = await world(t)
  t.ok(await until(async () => (await listeners(w)).length === 1))
  const [pid] = await listeners(w)
  await sql`select pg_terminate_backend(${pid})`.execute(w.app.db)
  t.ok(await until(async () => (await listeners(w)).some((one) => one !== pid)))
  t.match(w.logs.join(''), /changes are polled for until the listener is back/)
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  t.ok(await until(() => knows(w.app, 'ada')))
})

t.test('what was written while nobody listened is read when the listener is back, without any poll', async (t) => {
  const w = await world(t)
  t.ok(await until(async () => (await listeners(w)).length === 1))
  const [pid] = await listeners(w)
  await sql`select pg_terminate_backend(${pid})`.execute(w.app.db)
  t.ok(await until(async () => (await listeners(w)).length === 0))
  await w.app.db.insertInto('revocation').values(entry(w, 'ada')).execute()
  t.ok(await until(() => knows(w.app, 'ada')))
})

t.test('a replica whose database is away knows that it does not know', async (t) => {
  const w = await world(t)
  const link = await faultyLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    database: { ...options.database, url: link.url },
    revocations: { ...options.revocations, pollInterval: 20 }
  }))
  t.ok(await until(() => app.revocations.isCurrent()))
  await link.cut()
  t.ok(await until(() => !app.revocations.isCurrent()))
  await link.mend()
  t.ok(await until(() => app.revocations.isCurrent()))
})

t.test('everything that ends something, all at once: nobody waits for each other in a circle', async (t) => {
  const w = await world(t)
  const { flows } = w.app
  const names = ['editor', 'author', 'reader']
  for (const name of names) await w.role(name, [`${name}.use`])
  await w.admin()
  const people = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const sessions = [await w.login(await w.account())]
      const { username, id } = sessions[0]!.user
      for (let n = 0; n < 5; n++) sessions.push(await w.login(username))
      const token = await flows.createApiToken(id, { name: 'x' })
      return { username, id, sessions, token: token.token.id }
    })
  )
  await w.warm()
  const work: Array<() => Promise<unknown>> = []
  for (const { username, id, sessions, token } of people) {
    work.push(
      () => flows.disableUser(id),
      () => flows.enableUser(id),
      () => flows.setUserRoles(id, ['editor', 'author']),
      () => flows.setUserRoles(id, ['reader', 'admin']),
      () => flows.setUserPermissions(id, ['x']),
      () => flows.endUserSessions(id),
      () => flows.deleteApiToken(id, token),
      () => flows.createApiToken(id, { name: 'y' }),
      () => flows.obtainAuthtoken(id),
      () => flows.login({ username, password: goodPassword }, 'body', { userAgent: null, address: null }),
      ...sessions.map(
        ({ refresh_token }) =>
          () =>
            flows.refresh(refresh_token, 'body')
      ),
      () => flows.logout(sessions[1]!.refresh_token),
      () => flows.logoutAllByRefreshToken(sessions[2]!.refresh_token)
    )
  }
  for (const name of names) work.push(() => flows.putRole({ name, permissions: [] }))
  work.push(() => flows.deleteRole('reader'))
  const unexpected: string[] = []
  for (let round = 0; round < 6; round++) {
    // Another order each time, by a fixed step, so that whoever locks first is another one.
    const step = [1, 7, 11, 13, 17, 23][round]!
    const order = work.map((_, at) => work[(at * step) % work.length]!)
    const outcomes = await Promise.allSettled(order.map((run) => run()))
    for (const outcome of outcomes) {
      if (
        outcome.status === 'rejected' &&
        !/^(not_found|session_|account_|invalid_|validation_|refresh_|limit_)/.test(outcome.reason.code)
      ) {
        unexpected.push(`${outcome.reason.code} ${outcome.reason.message}`)
      }
    }
    await w.role('reader')
  }
  t.same(unexpected, [])
})
