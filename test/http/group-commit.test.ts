import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { until } from '../support/until.js'
import { type Tokens, type World, world } from '../support/world.js'

/** Sessions of accounts of their own. */
async function signIn(w: World, many: number): Promise<Tokens[]> {
  const usernames = await Promise.all(Array.from({ length: many }, () => w.account()))
  return await Promise.all(usernames.map((username) => w.login(username)))
}

async function connection(t: Test, w: World): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: w.url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

const claims = (token: string) => JSON.parse(atob(token.split('.')[1]!))
const sessionOf = (tokens: Tokens) => claims(tokens.access_token).sid as string

/** Counts the statements that change sessions from now on. */
async function tally(w: World, db: pg.Client): Promise<() => Promise<number>> {
  await sql`create table tally (statements int not null)`.execute(w.app.db)
  await sql`insert into tally values (0)`.execute(w.app.db)
  await db.query(`
    create function tally() returns trigger language plpgsql as $$
      begin update tally set statements = statements + 1; return null; end $$;
    create trigger tally before update on session for each statement execute function tally()`)
  return async () => (await db.query('select statements from tally')).rows[0].statements
}

t.test('forty sessions refresh at once: each gets its own successor, and they share statements', async (t) => {
  const w = await world(t)
  const before = await signIn(w, 40)
  await w.warm()
  const statements = await tally(w, await connection(t, w))
  const answers = await Promise.all(before.map((tokens) => w.refresh(tokens.refresh_token)))
  for (const [at, answer] of answers.entries()) {
    t.equal(answer.statusCode, 200)
    const after = answer.json() as Tokens
    t.equal(sessionOf(after), sessionOf(before[at]!))
    t.equal(claims(after.access_token).sub, before[at]!.user.id)
    t.not(after.refresh_token, before[at]!.refresh_token)
  }
  const shared = await statements()
  t.ok(shared < 40, `${shared} statements`)
  const again = await Promise.all(answers.map((answer) => w.refresh(answer.json().refresh_token)))
  t.ok(again.every(({ statusCode }) => statusCode === 200))
})

t.test('a session that somebody has locked makes none of the others wait', async (t) => {
  const w = await world(t)
  const tokens = await signIn(w, 20)
  await w.warm()
  const other = await connection(t, w)
  await other.query('begin')
  await other.query('select 1 from session where id = $1 for update', [sessionOf(tokens[10]!)])
  const answered = new Set<number>()
  const answers = tokens.map(async ({ refresh_token }, at) => {
    const response = await w.refresh(refresh_token)
    answered.add(at)
    return response
  })
  t.ok(await until(() => answered.size === 19), 'the others are done')
  t.notOk(answered.has(10))
  await other.query('rollback')
  t.ok((await Promise.all(answers)).every(({ statusCode }) => statusCode === 200))
})

t.test('what is wrong with one is no fault of those beside it', async (t) => {
  const w = await world(t)
  const tokens = await signIn(w, 12)
  await w.warm()
  // Its generation can go no higher: the row's constraint refuses the whole statement.
  await sql`
    alter table session add constraint never check (generation = 0 or id <> ${sql.lit(sessionOf(tokens[5]!))})`.execute(
    w.app.db
  )
  await w.post('/v1/logout', { refresh_token: tokens[3]!.refresh_token })
  await w.app.flows.disableUser(tokens[7]!.user.id)
  const answers = await Promise.all(tokens.map(({ refresh_token }) => w.refresh(refresh_token)))
  const refused = new Map([
    [3, 'session_revoked'],
    [5, 'internal_error'],
    [7, 'session_revoked']
  ])
  for (const [at, answer] of answers.entries()) {
    if (refused.has(at)) t.match(answer.json(), { code: refused.get(at) }, String(at))
    else t.equal(answer.statusCode, 200, String(at))
  }
})

t.test('tokens of one session and of others in one burst: one rotates, the rest get its successor', async (t) => {
  const w = await world(t)
  const replica = await w.replica()
  const [one, ...others] = (await signIn(w, 9)) as [Tokens, ...Tokens[]]
  await w.warm()
  const burst = Array.from({ length: 32 }, (_, at) => (at % 4 === 0 ? others[at / 4]! : one))
  const answers = await Promise.all(
    burst.map((tokens, at) =>
      (at % 2 === 0 ? w.app : replica).inject({
        method: 'POST',
        url: '/v1/refresh',
        payload: { refresh_token: tokens.refresh_token }
      })
    )
  )
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  const successors = burst.flatMap((tokens, at) => (tokens === one ? [answers[at]!.json().refresh_token] : []))
  t.equal(new Set(successors).size, 1)
  const { generation } = await w.app.db
    .selectFrom('session')
    .select('generation')
    .where('id', '=', sessionOf(one))
    .executeTakeFirstOrThrow()
  t.equal(generation, '1')
})

const signOut = (w: World, tokens: Tokens) => w.post('/v1/logout', { refresh_token: tokens.refresh_token })

/** Why and by what a session ended, as its row, the feed and the audit tell. */
async function endOf(db: pg.Client, tokens: Tokens) {
  const { rows } = await db.query(
    `select s.ended_because,
      (select array_agg(r.because) from revocation as r where r.kind = 'session' and r.subject = s.id::text) as told,
      (select array_agg(e.account_id = s.account_id and e.reason = s.ended_because)
        from audit_event as e where e.event = 'session.ended' and e.session_id = s.id) as audited
    from session as s where s.id = $1`,
    [sessionOf(tokens)]
  )
  return rows[0]
}
const signedOut = { ended_because: 'logout', told: ['logout'], audited: [true] }
const alive = { ended_because: null, told: null, audited: null }

t.test('forty sessions sign out at once: each end is told once, and they share statements', async (t) => {
  const w = await world(t)
  const tokens = await signIn(w, 41)
  const stays = tokens.pop()!
  await w.warm()
  const db = await connection(t, w)
  const statements = await tally(w, db)
  const answers = await Promise.all(tokens.map((one) => signOut(w, one)))
  t.ok(answers.every(({ statusCode }) => statusCode === 204))
  const shared = await statements()
  t.ok(shared < 40, `${shared} statements`)
  for (const one of tokens) t.same(await endOf(db, one), signedOut)
  t.same(await endOf(db, stays), alive)
  t.equal((await w.refresh(stays.refresh_token)).statusCode, 200)
  t.match((await w.refresh(tokens[7]!.refresh_token)).json(), { code: 'session_revoked' })
})

t.test('a sign-out that must wait makes none of the others wait, and what is wrong with one is its own', async (t) => {
  const w = await world(t)
  const tokens = await signIn(w, 20)
  await w.warm()
  const other = await connection(t, w)
  await other.query(
    `alter table session add constraint never check (ended_at is null or id <> '${sessionOf(tokens[4]!)}')`
  )
  await other.query('begin')
  await other.query('select 1 from session where id = $1 for update', [sessionOf(tokens[10]!)])
  const answered = new Map<number, number>()
  const answers = tokens.map(async (one, at) => {
    const { statusCode } = await signOut(w, one)
    answered.set(at, statusCode)
  })
  t.ok(await until(() => answered.size === 19), 'the others are done')
  t.notOk(answered.has(10))
  await other.query('rollback')
  await Promise.all(answers)
  for (const [at, one] of tokens.entries()) {
    t.equal(answered.get(at), at === 4 ? 500 : 204, String(at))
    t.same(await endOf(other, one), at === 4 ? alive : signedOut, String(at))
  }
})

t.test('sign-outs of one session in one burst with others, and of a session that is not theirs', async (t) => {
  const w = await world(t)
  const [one, another, ...others] = (await signIn(w, 10)) as [Tokens, Tokens, ...Tokens[]]
  // By the flows themselves: these come together however long a request takes.
  const { logout, endOwn } = w.app.flows
  const theirs = endOwn(one.user.id, sessionOf(another)).catch((error) => error)
  const leaving = [...Array.from({ length: 8 }, () => one), ...others].map((tokens) => logout(tokens.refresh_token))
  t.match(await theirs, { code: 'not_found' })
  t.ok((await Promise.all(leaving)).every(Boolean))
  const db = await connection(t, w)
  t.same(await endOf(db, another), alive)
  for (const tokens of [one, ...others]) t.same(await endOf(db, tokens), signedOut)
})
