// What is measured: cells, each of which yields figures by their names. `group` is what `--only` chooses by.

import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { keyturnLoads, startKeyturn, trivialHash } from './keyturn.js'
import { bareHashes, bareSignatures, bareUpdates } from './limits.js'
import { loadTogether } from './load.js'
import { pssMiB } from './processes.js'

/** OWASP's parameters, which are Keyturn's own. */
const owasp = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const hashMiB = owasp.memoryCost / 1024
const crowd = 32
const few = 8

export const groups = {
  limits: 'argon2id, ES256, a one-row update, empty routes',
  login: 'sign-ins',
  register: 'registrations',
  refresh: 'refreshes with 32 clients and with one',
  me: 'who am I, by each credential',
  introspect: 'introspections',
  logout: 'sign-outs',
  discovery: 'JWKS and the feed of revocations',
  isolation: 'verifications and refreshes while others sign in',
  overload: 'ten times as many sign-ins as can be done',
  start: 'start and idle memory',
  purge: 'expired rows removed while others refresh',
  processes: 'one, two and four processes'
}

/** Names of figures that bounds and peers share. */
export const figure = {
  login: (by) => (by === undefined ? 'login, 32 clients' : `login, ${by}, 32 clients`),
  loginBesideHash: (by) => `login with a trivial hash, ${by === undefined ? '' : `${by}, `}${few} clients`,
  refresh: (clients, by) => `refresh, ${by === undefined ? '' : `${by}, `}${clients} client${clients === 1 ? '' : 's'}`,
  introspect: (by) => (by === undefined ? 'introspect' : `introspect, ${by}`),
  logout: (by) => (by === undefined ? 'logout' : `logout, ${by}`),
  empty: 'empty Fastify route',
  hashes: 'argon2id alone, all cores',
  emptyAndVerify: '1 ÷ (empty Fastify route + one ES256 verification)'
}

/**
 * The cells of the groups that were chosen. `bench` holds what was started and made for them. In a quick run, which only
 * shows that all works, sign-ins may be refused: other checks may keep the machine busy for longer than the queue waits.
 *
 * Cells with the same `beside` are measured one after the other, since they are compared: the machine is now faster, now
 * slower, for minutes.
 */
export function makeCells(bench, seconds, { quick = false } = {}) {
  const { made, signIns, madeSignIns, costly, cheap, empty, bareHttp, peers, postgresPid } = bench
  const loads = keyturnLoads({ made, cheap })
  const signInLoads = keyturnLoads({ made: madeSignIns, costly, cheap: costly })
  const perSecond = (most) => Math.ceil(most * seconds)
  const together = (list, more) => loadTogether(postgresPid, list, { seconds, ...more })
  const cells = []
  const add = (group, run, options = {}) => cells.push({ group, beside: group, run, ...options })
  /** A cell of one load alone, under one name. */
  const ask = (group, name, makeLoad, { clients = crowd, beside = group, awake = false, ...more } = {}) =>
    add(
      group,
      async () => {
        const [result] = await together([{ clients, awake, ...(await makeLoad()) }], more)
        return { [name]: result }
      },
      { beside }
    )

  add('limits', async () => ({ [figure.hashes]: await bareHashes(seconds, owasp) }), { beside: 'login' })
  add(
    'limits',
    async () => {
      const { signed, verified } = bareSignatures(seconds)
      return { 'ES256 signatures, one core': signed, 'ES256 verifications, one core': verified }
    },
    { beside: 'me' }
  )
  for (const clients of [crowd, 1]) {
    add('limits', async () => ({
      [`one-row update, ${clients} client${clients === 1 ? '' : 's'}`]: await bareUpdates(made.pool, clients, seconds)
    }))
  }
  // One core is the service's, and nobody else needs the other one.
  const withoutDatabase = { beside: 'me', awake: true }
  ask('limits', figure.empty, () => ({ service: empty, request: { path: '/' } }), withoutDatabase)
  ask('limits', 'node:http alone', () => ({ service: bareHttp, request: { path: '/' } }), withoutDatabase)

  const hashing = (load) => (quick ? { ...load, expect: [...(load.expect ?? [200]), 503] } : load)
  ask('login', figure.login(), () => hashing(signInLoads.login()), { watchMemory: true })
  ask('login', figure.loginBesideHash(), () => loads.loginBesideHash(), {
    clients: few,
    beside: 'login beside the hash'
  })
  ask('register', 'register, 32 clients', () => hashing(signInLoads.register(perSecond(2_000))))
  for (const clients of [crowd, 1]) {
    ask('refresh', figure.refresh(clients), () => loads.refresh(clients), { clients, beside: figure.refresh(clients) })
  }
  ask('me', 'me, a token seen before', () => loads.me(), withoutDatabase)
  ask('me', 'me, a new token each time', () => loads.meFresh(), withoutDatabase)
  ask('me', 'me, an API token', () => loads.meApiToken(), withoutDatabase)
  ask('me', 'me, a session cookie', () => loads.meSession(), withoutDatabase)
  ask('introspect', figure.introspect(), () => loads.introspect())
  ask('logout', figure.logout(), () => loads.logout(perSecond(12_000)))
  ask('discovery', 'JWKS', () => loads.jwks())
  ask('discovery', 'feed, nothing new', () => loads.feed())

  for (const peer of peers) {
    const { name } = peer
    if (peer.login) ask('login', figure.login(name), () => peer.login())
    if (peer.loginBesideHash) {
      const more = { clients: few, beside: 'login beside the hash' }
      ask('login', figure.loginBesideHash(name), () => peer.loginBesideHash(), more)
    }
    for (const clients of peer.refresh ? [crowd, 1] : []) {
      const more = { clients, beside: figure.refresh(clients) }
      ask('refresh', figure.refresh(clients, name), () => peer.refresh(clients), more)
    }
    if (peer.introspect) ask('introspect', figure.introspect(name), () => peer.introspect())
    if (peer.logout) ask('logout', figure.logout(name), () => peer.logout(perSecond(peer.mostLogouts)))
  }

  const isolation = async () => {
    // What is asked for here it has been asked for before, as in a service that has run for a while.
    await together([
      { ...signInLoads.me(), clients: few },
      { ...signInLoads.refresh(few), clients: few }
    ])
    const probes = () => [
      { ...signInLoads.me(), perSecond: 100 },
      { ...signInLoads.refresh(crowd), perSecond: 40 }
    ]
    const [verify, refresh] = await together(probes())
    const [verifyUnder, refreshUnder, login] = await together([...probes(), { ...signInLoads.login(), clients: crowd }])
    return {
      'verify, nothing else': verify,
      'refresh, nothing else': refresh,
      'verify, while 32 clients sign in': verifyUnder,
      'refresh, while 32 clients sign in': refreshUnder,
      'login, beside the two': login
    }
  }
  add('isolation', isolation, { beside: 'login' })

  const transactions = async () => {
    // Backends tell what they did a second later at most.
    await delay(1_200)
    const { rows } = await madeSignIns.pool.query(
      'select (xact_commit + xact_rollback)::float8 as count from pg_stat_database where datname = current_database()'
    )
    return rows[0].count
  }
  add('overload', async () => {
    const atFirst = await transactions()
    const [unloaded] = await together([{ ...signInLoads.login(), clients: crowd }])
    const before = await transactions()
    const flood = { ...signInLoads.login(), perSecond: Math.round(unloaded.rate * 10), expect: [200, 503] }
    const [flooded] = await together([flood], { watchMemory: true })
    const { 200: good, 503: refused = 0 } = flooded.statuses
    const spent = (await transactions()) - before
    const allowed = bench.idleMiB + hashMiB * availableParallelism()
    return {
      'login, up to the flood': unloaded,
      'login, 10 × as many as can be done': flooded,
      'refused sign-in': {
        transactions: (spent - ((before - atFirst) / unloaded.answered) * good) / refused,
        memory: flooded.peakMiB / allowed
      }
    }
  })

  add(
    'start',
    async () => {
      const started = await startKeyturn(signIns)
      const { startMs } = started
      await delay(1_000)
      const idleMiB = pssMiB(started.pids)
      await started.stop()
      return { start: { startMs, idleMiB } }
    },
    { once: true }
  )

  add(
    'purge',
    async () => {
      await made.addExpired(perSecond(150_000))
      await made.tidy()
      const probe = () => ({ ...loads.refresh(128), perSecond: 200 })
      const sweeper = await made.openSweeper()
      const [before] = await together([probe()])
      let rate
      const sweep = async () => {
        const from = performance.now()
        const count = await sweeper.sweep()
        rate = count / ((performance.now() - from) / 1000)
      }
      const [[during]] = await Promise.all([together([probe()]), sweep()])
      await sweeper.close()
      await made.tidy()
      return { 'refresh, up to the sweep': before, 'refresh, during the sweep': during, 'rows swept': { rate } }
    },
    { once: true }
  )

  for (const processes of [1, 2, 4]) {
    // Started, warmed up and ended here: idle ones would follow the revocations of those that are measured.
    add(
      'processes',
      async () => {
        const several = await startKeyturn({ ...bench, processes }, trivialHash)
        const by = `${processes} process${processes === 1 ? '' : 'es'}`
        const both = [
          [figure.refresh(crowd, by), () => loads.refresh(crowd, several)],
          [`me, a new token each time, ${by}`, () => loads.meFresh(several)]
        ]
        const results = {}
        try {
          for (const [name, makeLoad] of both) {
            await together([{ clients: crowd, ...makeLoad() }])
            const [result] = await together([{ clients: crowd, ...makeLoad() }])
            results[name] = result
          }
        } finally {
          await several.stop()
        }
        return results
      },
      { once: true }
    )
  }
  return cells
}
