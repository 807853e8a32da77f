import { sql } from 'kysely'
import t from 'tap'
import { until } from '../support/until.js'
import { type Change, goodPassword, type World, world } from '../support/world.js'

const day = 86_400_000
const chained: Change = (options) => ({ ...options, audit: { ...options.audit, chain: true } })

let names = 0

/** Makes so many events that nobody waits for. */
async function fail(w: World, many: number): Promise<void> {
  for (let n = 0; n < many; n++) await w.post('/v1/login', { username: `nobody-${names++}`, password: goodPassword })
  await w.app.audit.flush()
}

/** Does something that the table itself would refuse, as its owner can. */
async function tamper(w: World, statement: ReturnType<typeof sql>): Promise<void> {
  await w.app.db.transaction().execute(async (trx) => {
    await sql`alter table audit_event disable trigger user`.execute(trx)
    await statement.execute(trx)
    await sql`alter table audit_event enable trigger user`.execute(trx)
  })
}

const positions = async (w: World) => {
  const { rows } = await sql<{ position: string | null }>`select position from audit_event order by position`.execute(
    w.app.db
  )
  return rows.map(({ position }) => (position === null ? null : Number(position)))
}

t.test('rows are added, and neither changed nor removed', async (t) => {
  const w = await world(t)
  await fail(w, 3)
  const { db } = w.app
  for (const statement of [
    sql`update audit_event set reason = null`,
    sql`update audit_event set chained = true`,
    sql`update audit_event set chained = true, position = 1, link = decode(repeat('00', 32), 'hex')`,
    sql`delete from audit_event`,
    sql`truncate audit_event`
  ]) {
    await t.rejects(statement.execute(db), { message: /audit_event is append-only/, code: '23001' })
  }
  const before = (at: Date) =>
    db.transaction().execute(async (trx) => {
      await sql`select set_config('keyturn.audit_removes_before', ${at.toISOString()}, true)`.execute(trx)
      await sql`delete from audit_event`.execute(trx)
    })
  await t.rejects(before(w.now()), { message: /append-only/ }, 'nor by whoever names a moment, what is not older')
  t.equal((await positions(w)).length, 4)
})

t.test('a link is given once, and nothing else with it', async (t) => {
  const w = await world(t, chained)
  await fail(w, 2)
  const link = sql`decode(repeat('00', 32), 'hex')`
  await t.rejects(
    sql`update audit_event set position = 1, link = ${link}, reason = 'x' where event = 'key.created'`.execute(
      w.app.db
    ),
    { message: /append-only/ }
  )
  await w.app.audit.link()
  t.same(await positions(w), [1, 2, 3])
  await t.rejects(sql`update audit_event set link = ${link} where position = 2`.execute(w.app.db), {
    message: /append-only/
  })
  await t.rejects(sql`update audit_event set position = null, link = null where position = 2`.execute(w.app.db), {
    message: /append-only/
  })
})

t.test('several replicas that link at once make one chain', async (t) => {
  const w = await world(t, chained)
  const replica = await w.replica(chained)
  await w.warm()
  for (let round = 0; round < 5; round++) {
    await fail(w, 10)
    await Promise.all([w.app.audit.link(), replica.audit.link(), w.app.audit.link(), replica.audit.link()])
  }
  await w.app.audit.link()
  t.same(
    await positions(w),
    Array.from({ length: 51 }, (_, n) => n + 1)
  )
  t.match(await replica.audit.verify(undefined), { intact: 51, broken: null, unlinked: 0, unchained: 0 })
})

t.test('an event that is committed late is linked behind what was there', async (t) => {
  const w = await world(t, chained)
  await fail(w, 2)
  const late = { id: '00000000-0000-7000-8000-000000000001' }
  await w.app.audit.link()
  await sql`
    insert into audit_event (id, event, outcome, happened_at, source, chained)
    values (${late.id}, 'login.failed', 'failure', ${w.now()}, 'service', true)`.execute(w.app.db)
  t.match(await w.app.audit.verify(undefined), { intact: 3, unlinked: 1, broken: null })
  await w.app.audit.link()
  t.match(await w.app.audit.verify(undefined), { intact: 4, unlinked: 0, broken: null })
})

t.test('what was done to the rows is found', async (t) => {
  for (const [what, statement, position, because] of [
    ['a row that was changed', sql`update audit_event set address = '10.0.0.1' where position = 3`, 3, 'changed'],
    ['a row that is gone', sql`delete from audit_event where position = 3`, 3, 'missing'],
    ['a beginning that is gone', sql`delete from audit_event where position < 3`, 1, 'missing'],
    ['an end that is gone', sql`delete from audit_event where position > 3`, 4, 'missing'],
    [
      'a beginning that somebody moved',
      sql`with gone as (delete from audit_event where position < 3 returning position, link)
        update audit_chain set first_position = 2, first_link = (select link from gone where position = 2)`,
      3,
      'ends'
    ],
    ['a record that is gone', sql`delete from audit_chain`, 1, 'ends']
  ] as const) {
    const w = await world(t, chained)
    await fail(w, 5)
    await w.app.audit.link()
    t.match(await w.app.audit.verify(undefined), { intact: 6, broken: null })
    await tamper(w, statement)
    t.match(await w.app.audit.verify(undefined), { broken: { position, because } }, what)
  }
})

t.test('a copy of before is found by whoever noted the head', async (t) => {
  const w = await world(t, chained)
  await fail(w, 2)
  await w.app.audit.link()
  const { rows } = await sql<Record<string, unknown>>`select * from audit_chain`.execute(w.app.db)
  await fail(w, 2)
  await w.app.audit.link()
  const { last } = await w.app.audit.verify(undefined)
  t.match(await w.app.audit.verify(last), { broken: null })
  const { last_position, last_link, mac } = rows[0] as { last_position: string; last_link: Buffer; mac: Buffer }
  await tamper(
    w,
    sql`with cut as (delete from audit_event where position > ${last_position})
      update audit_chain set last_position = ${last_position}, last_link = ${last_link}, mac = ${mac}`
  )
  t.match(await w.app.audit.verify(undefined), { broken: null }, 'in itself it is whole')
  t.match(await w.app.audit.verify(last), { broken: { position: last.position, because: 'missing' } })
})

t.test('retention takes the beginning of the chain, and what is left is whole', async (t) => {
  const w = await world(t, (options) => chained({ ...options, audit: { ...options.audit, retention: 30 * day } }))
  const replica = await w.replica((options) =>
    chained({ ...options, audit: { ...options.audit, retention: 30 * day } })
  )
  await fail(w, 150)
  await w.app.audit.link()
  const { last: noted } = await w.app.audit.verify(undefined)
  w.wait(20 * day)
  await fail(w, 3)
  await w.app.audit.link()
  w.wait(11 * day)
  const swept = await Promise.all([w.app.broom(), replica.broom()])
  t.equal(
    swept.reduce((sum, { audit_event = 0 }) => sum + audit_event, 0),
    151
  )
  t.same(await positions(w), [152, 153, 154])
  t.match(await replica.audit.verify(undefined), { intact: 3, broken: null })
  t.match(await replica.audit.verify(noted), { broken: null }, 'the chain begins behind what was noted')
  w.wait(30 * day)
  await w.app.broom()
  t.match(await w.app.audit.verify(undefined), { intact: 0, last: { position: 154 }, broken: null })
  await fail(w, 1)
  await w.app.audit.link()
  t.same(await positions(w), [155])
  t.match(await w.app.audit.verify(undefined), { intact: 1, broken: null })
})

t.test('what is old and stands behind something younger waits for it', async (t) => {
  const w = await world(t, (options) => chained({ ...options, audit: { ...options.audit, retention: 30 * day } }))
  await fail(w, 1)
  await w.app.audit.link()
  await sql`
    insert into audit_event (id, event, outcome, happened_at, source, chained)
    values (gen_random_uuid(), 'login.failed', 'failure', ${new Date(w.now().getTime() - 60 * day)}, 'service', true)`.execute(
    w.app.db
  )
  await w.app.audit.link()
  t.match(await w.app.broom(), { audit_event: undefined })
  w.wait(31 * day)
  t.match(await w.app.broom(), { audit_event: 3 })
})

t.test('with the chain a service that listens links by itself', async (t) => {
  const w = await world(t, (options) => chained({ ...options, audit: { ...options.audit, linkInterval: 20 } }))
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  await fail(w, 3)
  t.ok(await until(async () => (await positions(w)).every((position) => position !== null)))
})

t.test('a chain outlives the master key', async (t) => {
  const w = await world(t, chained)
  await fail(w, 2)
  await w.app.audit.link()
  const next = await w.replica((options) =>
    chained({
      ...options,
      masterKey: Buffer.alloc(32, 'another master key'),
      previousMasterKeys: [options.masterKey]
    })
  )
  await next.sealedValues.reseal()
  await next.audit.link()
  t.match(await next.audit.verify(undefined), { intact: 3, broken: null })
})
