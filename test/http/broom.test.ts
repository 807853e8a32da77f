import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { until } from '../support/until.js'
import { type World, world } from '../support/world.js'

const day = 86_400_000
const count = async (w: World, table: string) => {
  const { rows } = await sql<{ n: string }>`select count(*) as n from ${sql.table(table)}`.execute(w.app.db)
  return Number(rows[0]!.n)
}

/** So many sessions of one account that all end at one moment. */
async function sessions(w: World, many: number, expiresAt: Date): Promise<void> {
  const { id } = await w.app.flows.createAccount({ username: `owner-${many}-${expiresAt.getTime()}`, roles: [] })
  await sql`
    insert into session (id, account_id, transport, client_id, amr, acr, created_at, rotated_at, idle_expires_at, expires_at)
    select gen_random_uuid(), ${id}, 'body', 'web', '{pwd}', 'aal1', d, d, ${expiresAt}, ${expiresAt}
    from generate_series(1, ${many}::int), (select ${expiresAt}::timestamptz - interval '1 day' as d) as begun`.execute(
    w.app.db
  )
}

t.test('what was over for a day is removed, in batches, and what is alive or just over stays', async (t) => {
  const w = await world(t)
  await sessions(w, 250, new Date(w.now().getTime() - 2 * day))
  await sessions(w, 3, new Date(w.now().getTime() - 1_000))
  const alive = await w.login(await w.account())
  const left = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token: left.refresh_token })

  t.same(await w.app.broom(), { session: 250 })
  t.equal(await count(w, 'session'), 5)
  t.match((await w.refresh(left.refresh_token)).json(), { code: 'session_revoked' })
  t.equal((await w.refresh(alive.refresh_token)).statusCode, 200)

  w.wait(day + 1_000)
  t.same(await w.app.broom(), { session: 4 }, 'a day later what had just ended goes too')
  t.match((await w.refresh(left.refresh_token)).json(), { code: 'session_revoked' }, 'and is refused as before')
})

t.test('revocations go once they have expired; the newest stays, where every reader’s cursor stands', async (t) => {
  const w = await world(t)
  for (let n = 0; n < 3; n++) {
    const { refresh_token } = await w.login(await w.account())
    await w.post('/v1/logout', { refresh_token })
  }
  t.same(await w.app.broom(), {})
  t.equal(await count(w, 'revocation'), 3)
  w.wait(day / 2)
  t.match(await w.app.broom(), { revocation: 2 })
  const { id } = await w.app.db.selectFrom('revocation').select('id').executeTakeFirstOrThrow()
  const { access_token } = await w.login(await w.account())
  t.equal(JSON.parse(atob(access_token.split('.')[1]!)).rev, Number(id), 'what tokens carry never goes back')
})

t.test('API tokens, invitations and identifiers that counted once go in their time', async (t) => {
  const w = await world(t)
  const admin = await w.admin()
  await w.as(admin.access_token, 'POST', '/v1/tokens', { name: 'short', expires_in: 60 })
  await w.as(admin.access_token, 'POST', '/v1/tokens', { name: 'for ever' })
  await w.app.flows.invite({ roles: [], lifetime: 60_000 })
  await w.app.db
    .insertInto('used_identifier')
    .values([
      { digest: Buffer.alloc(32, 1), expires_at: new Date(w.now().getTime() - 1) },
      { digest: Buffer.alloc(32, 2), expires_at: new Date(w.now().getTime() + 1) }
    ])
    .execute()
  t.same(await w.app.broom(), { used_identifier: 1 })
  w.wait(day + 61_000)
  t.match(await w.app.broom(), { api_token: 1, invitation: 1, used_identifier: 1 })
  t.equal(await count(w, 'api_token'), 1)
})

t.test('one replica sweeps at a time, and nobody waits for the other', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  await sessions(w, 50, new Date(w.now().getTime() - 2 * day))
  const other = new pg.Client({ connectionString: w.url })
  await other.connect()
  t.teardown(() => other.end())
  await other.query(`begin; select pg_advisory_xact_lock(hashtext('keyturn:broom'))`)
  t.same(await w.app.broom(), {}, 'somebody else has the broom')
  t.equal(await count(w, 'session'), 50)
  await other.query('rollback')
  const swept = await Promise.all([w.app.broom(), replica.broom()])
  t.equal(
    swept.reduce((sum, { session = 0 }) => sum + session, 0),
    50
  )
})

t.test('a row that somebody has locked is left for the next time', async (t) => {
  const w = await world(t)
  await sessions(w, 10, new Date(w.now().getTime() - 2 * day))
  const other = new pg.Client({ connectionString: w.url })
  await other.connect()
  t.teardown(() => other.end())
  await other.query('begin; select 1 from session limit 1 for update')
  t.same(await w.app.broom(), { session: 9 })
  await other.query('rollback')
  t.same(await w.app.broom(), { session: 1 })
})

t.test('it sweeps by itself', async (t) => {
  const w = await world(t, (options) => ({ ...options, broom: { ...options.broom, interval: 20 } }))
  await sessions(w, 10, new Date(w.now().getTime() - 2 * day))
  t.ok(await until(async () => (await count(w, 'session')) === 0))
})
