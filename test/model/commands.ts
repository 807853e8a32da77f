/** What people, thieves, clocks and machines do: each does it to the real service, and holds it against the model. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { until } from '../support/until.js'
import {
  type Account,
  current,
  end,
  endAll,
  explanation,
  type Holder,
  held,
  judge,
  judgeAccess,
  lastPresentedAt,
  type Model,
  type Session,
  succeed,
  type Transport,
  type Verdict,
  whyOver
} from './model.js'
import { type Answer, leeway, maxOffset, type ReplicaId, type Service, textOf } from './service.js'

export type Command = fc.AsyncCommand<Model, Service>

/** A command by its sentence; after each the rows in the database are what the model says. */
function command(
  sentence: string,
  run: (model: Model, service: Service) => Promise<void>,
  check: (model: Model) => boolean = () => true
): Command {
  return {
    check,
    async run(model, service) {
      model.step++
      await run(model, service)
      await assertRows(model, service)
    },
    toString: () => sentence
  }
}

/** One row a session, at the one generation that is current; what has ended stays ended; time does not go back. */
async function assertRows(model: Model, service: Service): Promise<void> {
  const rows = await service.rows(model.sessions)
  assert.equal(rows.size, model.sessions.length, 'one row a session')
  for (const session of model.sessions) {
    const row = rows.get(session.id)!
    const expected = {
      generation: current(session),
      endedBecause: session.endedBecause,
      idleUntil: session.idleUntil,
      rotatedAt: lastPresentedAt(session)
    }
    assert.deepEqual(row, { id: session.id, ...expected }, 'the row is what the model says')
  }
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sid: string; exp: number }

/** Whoever gets an access token: it is remembered with its session, for the end. */
function noteAccessToken(model: Model, session: Session, { accessToken }: Answer): void {
  assert.ok(accessToken !== undefined, 'an access token came')
  const claims = claimsOf(accessToken)
  assert.equal(claims.sid, session.id)
  session.accessTokens.push({ text: accessToken, session, issuedAt: model.step, expiresAt: claims.exp * 1000 })
}

/** A generation has one text, whoever asks for it and however often. */
function noteRefreshToken(session: Session, generation: number, { refreshToken }: Answer): void {
  const known = session.texts.get(generation)
  if (known === undefined) session.texts.set(generation, refreshToken!)
  else assert.equal(refreshToken, known, 'one successor text for one generation')
}

const verdictOf = ({ status, code }: Answer) => (status === 200 ? 'successor' : code)

/** What an answer to a presented token changes; an honest holder is refused for a reason that it can be told. */
function note(model: Model, holder: Holder, generation: number, answer: Answer, now: number, time: number): void {
  const { session } = holder
  if (answer.status === 200) {
    succeed(model, session, generation, now)
    noteRefreshToken(session, generation + 1, answer)
    noteAccessToken(model, session, answer)
    return
  }
  if (answer.code === 'service_unavailable') return
  if (holder.honest) {
    const because = explanation(model, holder, time, 2 * maxOffset)
    assert.ok(because !== undefined, `${holder.name} was signed out by accident: ${answer.code}`)
  }
  if (answer.code === 'refresh_reused') end(session, 'refresh_reused')
}

/** The one of a list that a number means. */
const at = <T>(list: readonly T[], index: number): T => list[index % list.length]!
const hasHolders = (model: Model) => model.holders.length > 0

const replica = fc.constantFrom<ReplicaId>(0, 1)
const index = fc.nat({ max: 100 })
const other = (id: ReplicaId): ReplicaId => (id === 0 ? 1 : 0)

function login(accountIndex: number, id: ReplicaId, transport: Transport, withCookie: boolean): Command {
  return command(`login ${accountIndex % 2} by ${transport} on ${id}`, async (model, service) => {
    const account = at(model.accounts, accountIndex)
    const answer = await service.login(id, account.name, account.password, transport, withCookie)
    if (account.disabled) {
      assert.deepEqual([answer.status, answer.code], [401, 'invalid_credentials'])
      return
    }
    assert.equal(answer.status, 200)
    beginSession(model, service, account, transport, id, answer)
  })
}

function beginSession(
  model: Model,
  service: Service,
  account: Account,
  transport: Transport,
  id: ReplicaId,
  answer: Answer
): Session {
  const now = service.now(id)
  const expiresAt = now + model.lifetimes.session
  const session: Session = {
    id: claimsOf(answer.accessToken!).sid,
    account,
    transport,
    signedInAt: now,
    expiresAt,
    idleUntil: Math.min(now + model.lifetimes.idle, expiresAt),
    texts: new Map([[0, answer.refreshToken!]]),
    presentedAt: [],
    accessTokens: [],
    stolen: false,
    endedBecause: null
  }
  model.sessions.push(session)
  noteAccessToken(model, session, answer)
  model.holders.push({
    name: `owner ${model.holders.length}`,
    honest: true,
    session,
    generations: [0],
    sessionCookie: answer.sessionCookie
  })
  return session
}

function present(who: number, id: ReplicaId, lost: boolean): Command {
  return command(
    `${who} refreshes on ${id}${lost ? ', and the answer is lost' : ''}`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const generation = held(holder)
      const expected = judge(model, holder.session, generation, service.now(id))
      const answer = await service.refresh(id, holder.session, textOf(holder, generation))
      assert.equal(verdictOf(answer), expected)
      note(model, holder, generation, answer, service.now(id), service.time())
      if (answer.status === 200 && !lost) holder.generations.push(generation + 1)
    },
    hasHolders
  )
}

/** Tabs that share a token present it on both replicas at once. */
function tabs(who: number, count: number): Command {
  return command(
    `${who} refreshes from ${count * 2} tabs at once`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const { session } = holder
      const generation = held(holder)
      const ids = Array.from({ length: count * 2 }, (_, n): ReplicaId => (n % 2 === 0 ? 0 : 1))
      const expected = ids.map((id) => judge(model, session, generation, service.now(id)))
      const token = textOf(holder, generation)
      const answers = await Promise.all(ids.map((id) => service.refresh(id, session, token)))
      const verdicts = answers.map(verdictOf)
      const agreed = expected.every((one) => one === expected[0])
      if (agreed && expected[0] === 'refresh_reused') {
        assert.ok(verdicts.includes('refresh_reused'), 'one of them finds out')
        assertWithin(verdicts, ['refresh_reused', 'session_revoked'])
      } else if (agreed) assertWithin(verdicts, [expected[0]!])
      // Where the replicas' clocks stand on two sides of an edge, both are right, and an end is an end to the others.
      else assertWithin(verdicts, [...expected, 'session_revoked'])
      await noteRace(model, service, holder, generation, ids, answers)
      if (answers.some(({ status }) => status === 200)) holder.generations.push(generation + 1)
    },
    hasHolders
  )
}

/** One holder of each session refreshes at the same moment, so that strangers share a statement. */
function crowd(first: ReplicaId): Command {
  return command(
    `everybody refreshes at once, from ${first} on`,
    async (model, service) => {
      const one = new Map(model.holders.map((holder) => [holder.session, holder]))
      const asked = [...one.values()].map((holder, n) => ({
        holder,
        generation: held(holder),
        id: n % 3 === 0 ? other(first) : first
      }))
      const expected = asked.map(({ holder, generation, id }) =>
        judge(model, holder.session, generation, service.now(id))
      )
      const answers = await Promise.all(
        asked.map(({ holder, generation, id }) => service.refresh(id, holder.session, textOf(holder, generation)))
      )
      assert.deepEqual(answers.map(verdictOf), expected)
      asked.forEach(({ holder, generation, id }, n) => {
        note(model, holder, generation, answers[n]!, service.now(id), service.time())
        if (answers[n]!.status === 200) holder.generations.push(generation + 1)
      })
    },
    hasHolders
  )
}

function assertWithin(verdicts: readonly (string | undefined)[], allowed: readonly Verdict[]): void {
  const strange = verdicts.filter((verdict) => !allowed.includes(verdict as Verdict))
  assert.deepEqual(strange, [], `allowed here: ${[...new Set(allowed)]}`)
}

/** Notes answers of one moment; whose clock has won is read from the row, and must be one of theirs. */
async function noteRace(
  model: Model,
  service: Service,
  holder: Holder,
  generation: number,
  ids: readonly ReplicaId[],
  answers: readonly Answer[]
): Promise<void> {
  const { session } = holder
  const isRotation = generation === current(session)
  const [row] = (await service.rows([session])).values()
  const clocks = [...new Set(ids.map(service.now))]
  const winner =
    clocks.find((now) => row!.idleUntil === Math.min(now + model.lifetimes.idle, session.expiresAt)) ?? clocks[0]!
  answers.forEach((answer) => {
    note(model, holder, generation, answer, winner, service.time())
  })
  if (isRotation && session.presentedAt.length === generation + 1) {
    // Near the absolute end several clocks give one idle end.
    const possible = clocks.map((now) => Math.max(now, session.presentedAt[generation - 1] ?? session.signedInAt))
    assert.ok(possible.includes(row!.rotatedAt))
    session.presentedAt[generation] = row!.rotatedAt
  }
}

function steal(who: number, older: number): Command {
  return command(
    `a thief copies the token of ${who}${older > 0 ? `, ${older} before its last` : ''}`,
    async (model) => {
      const victim = at(model.holders, who)
      const { session, generations, sessionCookie } = victim
      session.stolen = true
      const generation = generations.at(-1 - (older % generations.length))!
      const name = `thief ${model.holders.length}`
      model.holders.push({ name, honest: false, session, generations: [generation], sessionCookie })
    },
    hasHolders
  )
}

/** A token taken out of a browser and sent as a script would send it. */
function presentOtherwise(who: number, id: ReplicaId): Command {
  return command(
    `${who} sends the token on ${id} by the other transport`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const wrong = holder.session.transport === 'body' ? 'cookie' : 'body'
      const answer = await service.refresh(id, holder.session, textOf(holder, held(holder)), wrong)
      assert.deepEqual([answer.status, answer.code], [401, 'token_invalid'])
    },
    hasHolders
  )
}

function logout(who: number, id: ReplicaId, by: 'refresh token' | 'access token'): Command {
  return command(
    `${who} logs out on ${id} by the ${by}`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const { session } = holder
      const answer =
        by === 'refresh token'
          ? await service.leave(id, '/v1/logout', session, textOf(holder, held(holder)))
          : await service.leaveByAccessToken(id, session.accessTokens.at(-1)!.text)
      assert.equal(answer.status, 204)
      end(session, 'logout')
    },
    hasHolders
  )
}

function logoutAll(who: number, id: ReplicaId): Command {
  return command(
    `${who} logs out everywhere on ${id}`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const { session } = holder
      const over = whyOver(session, service.now(id))
      const answer = await service.leave(id, '/v1/logout/all', session, textOf(holder, held(holder)))
      assert.equal(answer.status, 204)
      // What is over has no power over the others.
      if (over === null) endAll(model, session.account, 'logout_all')
    },
    hasHolders
  )
}

function administer(accountIndex: number, id: ReplicaId, what: 'disable' | 'enable' | 'end all'): Command {
  return command(`${what} account ${accountIndex % 2} on ${id}`, async (model, service) => {
    const account = at(model.accounts, accountIndex)
    await carryOut(model, service, account, id, what)
  })
}

async function carryOut(
  model: Model,
  service: Service,
  account: Account,
  id: ReplicaId,
  what: 'disable' | 'enable' | 'end all'
): Promise<void> {
  const { flows } = service.app(id)
  if (what === 'enable') {
    await flows.enableUser(account.id)
    account.disabled = false
  } else if (what === 'disable') {
    await flows.disableUser(account.id)
    account.disabled = true
    endAll(model, account, 'account_disabled')
  } else {
    await flows.endUserSessions(account.id)
    endAll(model, account, 'ended_by_admin')
  }
}

function changePassword(who: number, id: ReplicaId): Command {
  return command(
    `${who} changes the password on ${id}`,
    async (model, service) => {
      const { session } = at(model.holders, who)
      const { account } = session
      const token = session.accessTokens.at(-1)!
      await service.readRevocations()
      const verdict = judgeAccess(token, service.now(id), leeway)
      const next = `correct horse battery ${model.step}`
      const answer = await service.changePassword(id, token.text, account.password, next)
      if (verdict !== 'good') {
        assert.equal(answer.code, verdict)
        return
      }
      assert.equal(answer.status, 204, answer.code)
      account.password = next
      for (const one of model.sessions) if (one.account === account && one !== session) end(one, 'password_changed')
    },
    hasHolders
  )
}

/** A refresh on one replica, and on the other what ends its session: whoever is first, it is over for both afterwards. */
function race(who: number, id: ReplicaId, against: 'logout' | 'logout everywhere' | 'disable' | 'end all'): Command {
  return command(
    `${who} refreshes on ${id} while ${against} on ${other(id)}`,
    async (model, service) => {
      const holder = at(model.holders, who)
      const { session } = holder
      const generation = held(holder)
      const now = service.now(id)
      // On the edge of its end a race may go either way.
      if (whyOver(session, service.now(other(id))) !== null) return
      const expected = judge(model, session, generation, now)
      const token = textOf(holder, generation)
      const flow = service.app(other(id)).flows
      const account = session.account
      const ends = {
        logout: () => service.leave(other(id), '/v1/logout', session, token),
        'logout everywhere': () => service.leave(other(id), '/v1/logout/all', session, token),
        disable: () => flow.disableUser(account.id),
        'end all': () => flow.endUserSessions(account.id)
      }
      const [answer] = await Promise.all([service.refresh(id, session, token), ends[against]()])
      assertWithin(
        [verdictOf(answer)],
        [expected, 'session_revoked', ...(against === 'disable' ? ['account_disabled' as const] : [])]
      )
      if (answer.status === 200) {
        note(model, holder, generation, answer, now, service.time())
        holder.generations.push(generation + 1)
      }
      if (against === 'logout') end(session, 'logout')
      else if (against === 'disable') {
        account.disabled = true
        endAll(model, account, 'account_disabled')
      } else endAll(model, account, against === 'end all' ? 'ended_by_admin' : 'logout_all')
    },
    // Where the token is theft there are two ends, and either may be first.
    (model) => hasHolders(model) && isCurrent(at(model.holders, who))
  )
}

const isCurrent = (holder: Holder) => holder.session.endedBecause === null && held(holder) === current(holder.session)

/** Sign-ins on one replica while the account is disabled on the other: disabled wins, whoever was first. */
function loginRace(accountIndex: number, id: ReplicaId): Command {
  return command(`login ${accountIndex % 2} on ${id} while it is disabled on ${other(id)}`, async (model, service) => {
    const account = at(model.accounts, accountIndex)
    const { flows } = service.app(other(id))
    const login = () => service.login(id, account.name, account.password, 'body', false)
    const [, ...answers] = await Promise.all([flows.disableUser(account.id), login(), login(), login(), login()])
    for (const answer of answers) {
      if (answer.status === 200) beginSession(model, service, account, 'body', id, answer)
      else assert.deepEqual([answer.status, answer.code], [401, 'invalid_credentials'])
    }
    account.disabled = true
    endAll(model, account, 'account_disabled')
  })
}

function useAccessToken(who: number, which: number, id: ReplicaId): Command {
  return command(
    `access token ${which} of ${who} on ${id}`,
    async (model, service) => {
      const token = at(at(model.holders, who).session.accessTokens, which)
      await service.readRevocations()
      const verdict = await service.guard(id, { accessToken: token.text })
      assert.equal(verdict, judgeAccess(token, service.now(id), leeway))
    },
    hasHolders
  )
}

/**
 * A page is read with the session cookie, which counts as the session's use: once in half of the idle time, and once more
 * to reach the absolute end. For half a minute a replica remembers who a cookie speaks for, unless it is told of an end.
 */
function useSessionCookie(who: number, id: ReplicaId): Command {
  return command(
    `session cookie of ${who} on ${id}`,
    async (model, service) => {
      const { session, sessionCookie } = at(model.holders, who)
      const now = service.now(id)
      const remembers = service.remembers(id, sessionCookie!)
      if (remembers === undefined) return
      await service.readRevocations()
      const verdict = await service.guard(id, { sessionCookie: sessionCookie! })
      if (remembers && session.endedBecause === null && now < session.expiresAt) {
        assert.equal(verdict, 'good')
        return
      }
      const over = whyOver(session, now)
      assert.equal(verdict, over ?? 'good')
      if (over !== null) return
      service.remember(id, sessionCookie!)
      const extended = Math.min(now + model.lifetimes.idle, session.expiresAt)
      const gained = extended - session.idleUntil
      if (gained <= 0 || (gained < model.lifetimes.idle / 2 && extended < session.expiresAt)) return
      session.idleUntil = extended
      // Nobody waits for it but us.
      const isExtended = async () => (await service.rows([session])).get(session.id)!.idleUntil === extended
      assert.ok(await until(isExtended), 'the use of a page moves the idle end')
    },
    (model) => hasHolders(model) && at(model.holders, who).sessionCookie !== undefined
  )
}

const wait = (milliseconds: number): Command =>
  command(`${milliseconds / 1000} s go by`, async (_model, service) => service.wait(milliseconds))

const step = (id: ReplicaId, offset: number): Command =>
  command(`the clock of ${id} steps to ${offset / 1000} s`, async (_model, service) => service.setOffset(id, offset))

const restart = (id: ReplicaId): Command =>
  command(`replica ${id} restarts`, async (_model, service) => service.restart(id))

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const waits = [1, 2, 5, 15, 28, 29, 30, 31, 32, 33].map((n) => n * second)
waits.push(2 * minute, 9 * minute, 10 * minute, 10 * minute + 4 * second, hour, 8 * hour)
waits.push(day, 6 * day, 8 * day, 14 * day - second, 14 * day + 3 * second, 20 * day)

/** Everything that can happen, the common more often. */
export const commands: fc.Arbitrary<Command>[] = [
  {
    weight: 4,
    make: fc.tuple(index, replica, fc.constantFrom<Transport>('body', 'cookie'), fc.boolean()).map((x) => login(...x))
  },
  { weight: 9, make: fc.tuple(index, replica, fc.constant(false)).map((x) => present(...x)) },
  { weight: 5, make: fc.tuple(index, replica, fc.constant(true)).map((x) => present(...x)) },
  { weight: 4, make: fc.tuple(index, fc.integer({ min: 1, max: 3 })).map((x) => tabs(...x)) },
  { weight: 3, make: replica.map(crowd) },
  { weight: 4, make: fc.tuple(index, fc.nat({ max: 2 })).map((x) => steal(...x)) },
  { weight: 1, make: fc.tuple(index, replica).map((x) => presentOtherwise(...x)) },
  {
    weight: 1,
    make: fc
      .tuple(index, replica, fc.constantFrom('refresh token' as const, 'access token' as const))
      .map((x) => logout(...x))
  },
  { weight: 1, make: fc.tuple(index, replica).map((x) => logoutAll(...x)) },
  {
    weight: 1,
    make: fc.tuple(index, replica, fc.constantFrom('disable' as const, 'end all' as const)).map((x) => administer(...x))
  },
  { weight: 2, make: fc.tuple(index, replica, fc.constant('enable' as const)).map((x) => administer(...x)) },
  { weight: 1, make: fc.tuple(index, replica).map((x) => changePassword(...x)) },
  {
    weight: 1,
    make: fc
      .tuple(index, replica, fc.constantFrom('logout', 'logout everywhere', 'disable', 'end all'))
      .map(([who, id, against]) => race(who, id, against as 'logout'))
  },
  { weight: 1, make: fc.tuple(index, replica).map((x) => loginRace(...x)) },
  { weight: 4, make: fc.tuple(index, index, replica).map((x) => useAccessToken(...x)) },
  { weight: 2, make: fc.tuple(index, replica).map((x) => useSessionCookie(...x)) },
  { weight: 7, make: fc.constantFrom(...waits).map(wait) },
  { weight: 2, make: fc.tuple(replica, fc.integer({ min: -maxOffset, max: maxOffset })).map((x) => step(...x)) },
  { weight: 1, make: replica.map(restart) }
].flatMap(({ weight, make }) => Array.from({ length: weight }, () => make as fc.Arbitrary<Command>))
