import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { HashQueue } from '../../src/hashing/queue.js'
import { countingLink } from '../support/query-count.js'
import { goodPassword, type World, world } from '../support/world.js'

/**
 * Who has an account is told neither by words nor by time. Time is what work takes, so the work is counted: statements, and
 * passwords that are hashed, with their parameters. `npm run fuzz` looks at the clock as well.
 */

const wrong = 'wrong horse battery'

/** Hashes in the order in which they are asked for, each by its kind and its cost. */
function hashesOf(t: Test): string[] {
  const jobs: string[] = []
  const run = HashQueue.prototype.run
  HashQueue.prototype.run = function (job) {
    jobs.push('hash' in job ? `${job.kind} ${job.hash.split('$').slice(0, 4).join('$')}` : job.kind)
    return run.call(this, job)
  }
  t.teardown(() => {
    HashQueue.prototype.run = run
  })
  return jobs
}

interface Seen {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly statements: number
  readonly hashes: readonly string[]
}

/** A service whose work is counted, and accounts in each state that an account can be in. */
async function counted(t: Test) {
  const w = await world(t)
  const link = await countingLink(t, w.url)
  const app = await w.replica((options) => ({
    ...options,
    logger: false,
    database: { ...options.database, url: link.url },
    // Nothing but what the requests themselves ask for passes the link.
    revocations: { ...options.revocations, pollInterval: 3_600_000 },
    signing: { ...options.signing, pollInterval: 3_600_000 },
    audit: { ...options.audit, retention: null }
  }))
  const hashes = hashesOf(t)
  const made = async (n: number) => {
    const username = `person-${n}`
    const { id } = await w.app.flows.createAccount({ username, email: `${username}@app.test`, password: goodPassword })
    return { username, id }
  }
  const [known, disabled, bare] = [await made(1), await made(2), await made(3)]
  // By the database itself: what a replica is told of it would be counted with what a sign-in asks.
  await w.app.db.updateTable('account').set({ disabled_at: w.now() }).where('id', '=', disabled.id).execute()
  await w.app.db
    .updateTable('account')
    .set({ password_hash: null, password_changed_at: null })
    .where('id', '=', bare.id)
    .execute()
  const people: Record<string, readonly [name: string, password: string]> = {
    known: [known.username, wrong],
    unknown: ['nobody-1', wrong],
    disabled: [disabled.username, wrong],
    'disabled, with its password': [disabled.username, goodPassword],
    'without a password': [bare.username, wrong]
  }
  const look = async (send: () => Promise<LightMyRequestResponse>): Promise<Seen> => {
    const before = link.statements()
    hashes.length = 0
    const { statusCode: status, body, headers } = await send()
    const { date: _date, 'x-request-id': _id, ...rest } = headers
    return { status, body, headers: rest, statements: link.statements() - before, hashes: [...hashes] }
  }
  return { w, app, people, look }
}

type Login = (app: World['app'], name: string, password: string) => Promise<LightMyRequestResponse>

const doors: Record<string, Login> = {
  'a sign-in by username': (app, username, password) =>
    app.inject({ method: 'POST', url: '/v1/login', payload: { username, password } }),
  'a sign-in by email': (app, name, password) =>
    app.inject({ method: 'POST', url: '/v1/login', payload: { email: `${name}@app.test`, password } }),
  'simplejwt’s sign-in': (app, username, password) =>
    app.inject({ method: 'POST', url: '/api/token/', payload: { username, password } }),
  'DRF’s token sign-in': (app, username, password) =>
    app.inject({ method: 'POST', url: '/api-token-auth/', payload: { username, password } })
}

t.test('a sign-in tells by no word and no work whether there is an account', async (t) => {
  for (const [door, login] of Object.entries(doors)) {
    await t.test(door, async (t) => {
      const { app, people, look } = await counted(t)
      // What is prepared at the first time is prepared for all.
      await look(() => login(app, 'nobody-0', wrong))
      const expected = await look(() => login(app, ...people.unknown!))
      t.equal(expected.hashes.length, 1, 'for nobody one password is checked')
      t.ok(expected.statements > 0)
      for (const [who, [name, password]] of Object.entries(people)) {
        t.same(await look(() => login(app, name, password)), expected, who)
      }
    })
  }
})

t.test('a sign-in tells by no word and no work whether it is an account that has to wait', async (t) => {
  for (const [door, login] of Object.entries(doors)) {
    await t.test(door, async (t) => {
      const { w, app, people, look } = await counted(t)
      for (const [name] of Object.values(people)) {
        for (let attempt = 0; attempt < 5; attempt++) await login(app, name, wrong)
      }
      const waiting = await look(() => login(app, ...people.unknown!))
      t.same(waiting.hashes, [], 'nothing is hashed for whoever has to wait')
      for (const [who, [name, password]] of Object.entries(people)) {
        t.same(await look(() => login(app, name, password)), waiting, who)
      }
      // After a hundred, an account is locked; so is a name that nobody has.
      await w.app.db.updateTable('password_guess').set({ failures: 100 }).execute()
      const locked = await look(() => login(app, ...people.unknown!))
      t.notSame(locked.body, waiting.body)
      for (const [who, [name, password]] of Object.entries(people)) {
        t.same(await look(() => login(app, name, password)), locked, `${who}, locked`)
      }
    })
  }
})
