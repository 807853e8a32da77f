// What goes wrong, one after the other. Each is over when its promise is settled; what it broke is mended by then.
import { fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openSmallDisk } from './disk.js'

const minute = 60_000
/** Milliseconds after which the proxy tries a replica again that did not answer (`fail_timeout`). */
const proxyForgives = 2_100

/** Repeats until the fault's time is over. */
async function meanwhile(hold, every, work) {
  const end = performance.now() + hold
  while (performance.now() < end) {
    await work()
    await delay(Math.min(every, Math.max(0, end - performance.now())))
  }
}

/** Ends every connection of the service, and lets it have one in all, as where others have taken what there is. */
async function starve(topology, hold) {
  await topology.query('alter role app connection limit 1')
  try {
    await topology.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'`)
    await delay(hold)
  } finally {
    await topology.query('alter role app connection limit -1')
  }
}

async function restartServer({ topology: { postgres, replicas }, outage, hold }, signal) {
  const back = replicas.map(outage)
  await postgres.kill(signal)
  await delay(hold / 4)
  await postgres.restart()
  for (const end of back) end()
}

async function breakLink({ topology, outage, hold }, how) {
  const [, replica] = topology.replicas
  const back = outage(replica)
  await replica.link[how]()
  await delay(hold)
  await replica.link.mend()
  back()
}

async function cutNetwork({ topology, outage, hold }) {
  const [, replica] = topology.replicas
  const back = outage(replica)
  await replica.network.cut()
  await delay(hold)
  await replica.network.mend()
  back()
}

async function restartReplica(replica, options) {
  await replica.kill('SIGTERM')
  await replica.start(options)
}

/** Restarts the replicas one after the other, the next once the proxy asks the one before again. */
async function rollReplicas(replicas, options) {
  for (const replica of replicas) {
    await restartReplica(replica, options)
    await delay(proxyForgives)
  }
}

async function shiftClock({ topology, hold }, milliseconds) {
  const [, replica] = topology.replicas
  await restartReplica(replica, { shift: milliseconds })
  await delay(hold)
  await restartReplica(replica)
}

/** The primary dies while its standby lags behind, and the standby takes its place; later it gets one of its own. */
async function promote({ topology, tally, outage, hold }) {
  const { postgres, replicas } = topology
  const back = replicas.map(outage)
  // What the primary commits from here on the standby never gets: none of it may be acknowledged.
  postgres.link.hang()
  await delay(Math.min(hold / 2, 800))
  await postgres.kill('SIGKILL')
  const killedAt = performance.now()
  await postgres.promote()
  tally.note = `the standby took over ${Math.round(performance.now() - killedAt)} ms after the primary was killed`
  for (const end of back) end()
  await delay(hold)
  await postgres.addStandby()
}

async function loseStandby({ topology: { postgres }, hold }) {
  await postgres.killStandby('SIGKILL')
  await delay(hold)
  await postgres.restartStandby()
}

async function fillDisk({ topology: { postgres, replicas, undo }, folder, outage, hold }) {
  const back = replicas.map(outage)
  await postgres.kill('SIGINT')
  const disk = openSmallDisk(folder, postgres.dataFolder, 48)
  undo.push(async () => disk.unmount())
  await postgres.restart()
  await delay(hold / 4)
  disk.fill()
  // Asks for the next file of the log until there is no room for one, and Postgres gives up.
  let isUp = true
  for (let n = 0; isUp; n++) {
    if (n === 100) throw new Error('the disk was full, and Postgres did not notice')
    isUp = await postgres.query('select pg_switch_wal()', [], 'postgres').catch(() => false)
    await delay(50)
  }
  await delay(hold)
  disk.makeRoom()
  // What is left of it, if it did not end by itself.
  await postgres.kill('SIGKILL')
  disk.moveBack()
  await postgres.restart()
  for (const end of back) end()
}

/** What a password costs in this fault: so much that this machine can be asked for fifty times what it can do. */
const dearPasswords = { AUTH_HASH_MEMORY: '65536', AUTH_HASH_ITERATIONS: '3', AUTH_HASH_CONCURRENCY: '1' }
const times = 50
/** Milliseconds within which 99 of 100 are to be answered meanwhile. */
const floodBound = 1_000

async function floodLogins({ topology: { replicas, proxy }, tally, hold }) {
  await rollReplicas(replicas, { settings: dearPasswords })
  const { host, port } = proxy ?? replicas[0]
  const child = fork(fileURLToPath(new URL('flooder.js', import.meta.url)))
  const [capacityFor, floodFor] = [Math.max(2, hold / 2_000), Math.max(3, hold / 1_000)]
  let capacity = Number.NaN
  const counts = await new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (message.counts !== undefined) return resolve(message.counts)
      capacity = message.capacity
      if (capacity === 0) reject(new Error('nobody could sign in before the flood'))
      // From here on it counts.
      tally.times = { verify: [], refresh: [] }
    })
    child.on('exit', (code) => reject(new Error(`the flood ended with ${code}`)))
    child.send({ target: { host, port }, capacityFor, floodFor, times, places: 8 })
  })
  const { sent, withheld, ...answers } = counts
  const answered = Object.entries(answers).map(([status, count]) => `${count} × ${status}`)
  tally.note =
    `capacity ${capacity.toFixed(1)} sign-ins/s, ${Math.round(sent / floodFor)}/s sent` +
    `${withheld > 0 ? ` (${withheld} more held back, this machine holds no more open)` : ''}: ${answered.join(', ')}`
  for (const what of ['verify', 'refresh']) {
    const p99 = tally.p99(what)
    if (!(p99 <= floodBound)) tally.tooSlow.push(`${what}: p99 of ${Math.round(p99)} ms during the flood`)
  }
  tally.freezeTimes()
}

/**
 * `needs` is what a fault cannot be done without, a part of the topology or a right; `isLong` those that the short form
 * leaves out.
 */
export const faults = [
  { name: 'none', run: ({ hold }) => delay(hold) },
  {
    name: 'a replica is killed (SIGKILL) and restarted',
    async run({ topology, hold }) {
      const [, replica] = topology.replicas
      await replica.kill('SIGKILL')
      await delay(hold / 2)
      await replica.start()
    }
  },
  {
    name: 'the proxy is killed (SIGKILL) and restarted',
    needs: 'proxy',
    async run({ topology: { proxy }, hold }) {
      await proxy.kill('SIGKILL')
      await delay(hold / 4)
      await proxy.start()
    }
  },
  { name: 'Postgres is restarted in order (SIGINT)', run: (context) => restartServer(context, 'SIGINT') },
  {
    name: 'Postgres crashes (SIGQUIT) and is restarted',
    isLong: true,
    run: (context) => restartServer(context, 'SIGQUIT')
  },
  { name: 'Postgres is killed (SIGKILL) and restarted', run: (context) => restartServer(context, 'SIGKILL') },
  { name: 'Postgres is killed (SIGKILL), and its standby is promoted', needs: 'hasStandby', run: promote },
  { name: 'the standby is killed (SIGKILL) and restarted', needs: 'hasStandby', run: loseStandby },
  { name: 'a replica’s network is cut', run: cutNetwork },
  { name: 'a replica’s connections to Postgres are cut', run: (context) => breakLink(context, 'cut') },
  { name: 'a replica’s connections to Postgres hang', run: (context) => breakLink(context, 'hang') },
  {
    name: 'between the replicas and Postgres everything takes 50 ms longer, each way',
    async run({ topology: { replicas }, hold }) {
      for (const { link } of replicas) link.slow(50)
      await delay(hold)
      for (const { link } of replicas) await link.mend()
    }
  },
  {
    name: 'the listeners are ended again and again',
    run: ({ topology, hold }) =>
      meanwhile(hold, 100, () =>
        topology.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'keyturn listener'`
        )
      )
  },
  {
    name: 'Postgres has no connection to spare',
    async run({ topology, outage, hold }) {
      const back = topology.replicas.map(outage)
      await starve(topology, hold)
      for (const end of back) end()
    }
  },
  {
    name: 'every session’s row is locked, so that the pools fill',
    async run({ topology, hold }) {
      const client = await topology.postgres.connect()
      await client.query('begin; select id from session where ended_at is null for update')
      await delay(hold)
      await client.query('rollback')
      await client.end()
    }
  },
  {
    name: 'writers of revocations wait 300 ms, and commits 20 ms',
    isLong: true,
    async run({ topology, hold }) {
      const { configure } = topology.postgres
      await configure({ commit_delay: 20_000, commit_siblings: 0 })
      await meanwhile(hold, 200, () =>
        topology.query(
          `select pg_sleep(0.3) from (select pg_advisory_xact_lock(hashtext('keyturn:revocation'))) as locked`
        )
      )
      await configure({ commit_delay: 0, commit_siblings: 5 })
    }
  },
  {
    name: 'the disk of Postgres’ log is full, until room is made and it is restarted',
    needs: 'mounts',
    isLong: true,
    run: fillDisk
  },
  {
    name: 'signing keys are rotated',
    async run({ topology, hold }) {
      await topology.command('keys', 'rotate')
      await delay(hold / 2)
    }
  },
  { name: 'a replica’s clock is five minutes ahead', run: (context) => shiftClock(context, 5 * minute) },
  {
    name: 'a replica’s clock is five minutes behind',
    isLong: true,
    run: (context) => shiftClock(context, -5 * minute)
  },
  // The last one: what it restarted stays as it is.
  { name: `sign-ins at ${times} times of what can be hashed`, run: floodLogins }
]
