// What goes wrong, one after the other. Each is over when its promise is settled; what it broke is mended by then.
import { setTimeout as delay } from 'node:timers/promises'

const minute = 60_000

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

async function restartServer({ topology, outage, hold }, signal) {
  const back = topology.replicas.map(outage)
  await topology.killServer(signal)
  await delay(hold / 4)
  await topology.restartServer()
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

async function shiftClock({ topology, hold }, milliseconds) {
  const [, replica] = topology.replicas
  await replica.kill('SIGTERM')
  await replica.start(milliseconds)
  await delay(hold)
  await replica.kill('SIGTERM')
  await replica.start()
}

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
  { name: 'Postgres is restarted in order (SIGINT)', run: (context) => restartServer(context, 'SIGINT') },
  { name: 'Postgres crashes (SIGQUIT) and is restarted', run: (context) => restartServer(context, 'SIGQUIT') },
  { name: 'a replica’s connections to Postgres are cut', run: (context) => breakLink(context, 'cut') },
  { name: 'a replica’s connections to Postgres hang', run: (context) => breakLink(context, 'hang') },
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
      const client = await topology.connect()
      await client.query('begin; select id from session where ended_at is null for update')
      await delay(hold)
      await client.query('rollback')
      await client.end()
    }
  },
  {
    name: 'writers of revocations wait 300 ms, and commits 20 ms',
    async run({ topology, hold }) {
      const set = (value) => topology.query(`alter system set commit_delay = ${value}`)
      await set(20_000)
      await topology.query('alter system set commit_siblings = 0')
      await topology.query('select pg_reload_conf()')
      await meanwhile(hold, 200, () =>
        topology.query(
          `select pg_sleep(0.3) from (select pg_advisory_xact_lock(hashtext('keyturn:revocation'))) as locked`
        )
      )
      await set(0)
      await topology.query('select pg_reload_conf()')
    }
  },
  {
    name: 'signing keys are rotated',
    async run({ topology, hold }) {
      await topology.command('keys', 'rotate')
      await delay(hold / 2)
    }
  },
  { name: 'a replica’s clock is five minutes ahead', run: (context) => shiftClock(context, 5 * minute) },
  { name: 'a replica’s clock is five minutes behind', run: (context) => shiftClock(context, -5 * minute) }
]
