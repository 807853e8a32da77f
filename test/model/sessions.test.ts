import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { world } from '../support/world.js'
import { commands } from './commands.js'
import { current, explanation, held, judge, judgeAccess, type Model, succeed } from './model.js'
import { leeway, maxOffset, type ReplicaId, type Service, textOf, twoReplicas } from './service.js'

const day = 86_400_000

/**
 * MODEL_RUNS runs as many histories instead of the few of an ordinary run. A history that failed prints its seed, path and
 * replay path; MODEL_REPLAY="seed|path|replayPath" runs that one again.
 */
const runs = Number(process.env.MODEL_RUNS ?? 40)
const [seed, path, replayPath] = process.env.MODEL_REPLAY?.split('|') ?? []
const replay = {
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(path === undefined ? {} : { path })
}

/** Two accounts of this history's own that nobody is signed in to. */
async function freshModel(service: Service, lostResponse: 'recover' | 'strict'): Promise<Model> {
  service.resetClocks()
  const accounts = []
  for (const n of [0, 1]) {
    const name = `person-${n}-${Math.random().toString(36).slice(2)}`
    const password = 'correct horse battery'
    const { id } = await service.app(0).flows.createAccount({ username: name, password })
    accounts.push({ name, id, password, disabled: false, endedAllAt: 0 })
  }
  return {
    rules: { replayWindow: 30_000, lostResponse },
    lifetimes: { idle: 14 * day, session: 30 * day },
    accounts,
    sessions: [],
    holders: [],
    step: 0
  }
}

/** At the end of a history: what is over stays over for everybody and everywhere, and whoever is honest goes on. */
async function settle(model: Model, service: Service): Promise<void> {
  await service.readRevocations()
  const replicas: ReplicaId[] = [0, 1]
  for (const session of model.sessions) {
    for (const id of replicas) {
      for (const token of session.accessTokens) {
        const expected = judgeAccess(token, service.now(id), leeway)
        assert.equal(await service.guard(id, { accessToken: token.text }), expected, 'no access token outlives its end')
      }
      if (session.endedBecause === null) continue
      for (const text of session.texts.values()) {
        const { status, code } = await service.refresh(id, session, text)
        assert.deepEqual([status, code], [401, 'session_revoked'], 'no end is undone')
      }
    }
  }
  for (const holder of model.holders.filter(({ honest }) => honest)) {
    const { session } = holder
    if (session.endedBecause !== null || session.stolen) continue
    const now = service.now(1)
    const expected = judge(model, session, held(holder), now)
    const { status, code } = await service.refresh(1, session, textOf(holder, held(holder)))
    assert.equal(status === 200 ? 'successor' : code, expected)
    if (status === 200) succeed(model, session, held(holder), now)
    else assert.ok(explanation(model, holder, service.time(), 2 * maxOffset), 'whoever is honest goes on')
  }
  const rows = await service.rows(model.sessions)
  for (const session of model.sessions) assert.equal(rows.get(session.id)?.generation, current(session))
}

for (const lostResponse of ['recover', 'strict'] as const) {
  t.test(`any history on two replicas is what the model says, where lost responses are ${lostResponse}`, async (t) => {
    const service = await twoReplicas(await world(t), lostResponse)
    const histories = fc.commands(commands, {
      maxCommands: 30,
      size: 'max',
      ...(replayPath === undefined ? {} : { replayPath })
    })
    const property = fc.asyncProperty(histories, async (history) => {
      const model = await freshModel(service, lostResponse)
      await fc.asyncModelRun(() => ({ model, real: service }), history)
      await settle(model, service)
    })
    await fc.assert(property, { numRuns: runs, ...replay })
    t.pass(`${runs} histories`)
  })
}
