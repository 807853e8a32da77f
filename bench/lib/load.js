// Asks a service, and tells how often it answered and what that cost whom.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { cpuMicros, pssMiB } from './processes.js'

const program = fileURLToPath(new URL('./client.js', import.meta.url))

/** A load client that is connected, and begins when it is told to. */
async function startClient(job) {
  const child = fork(program, { serialization: 'advanced' })
  const message = () =>
    new Promise((resolve, reject) => {
      child.once('message', (answer) =>
        answer.failed === undefined ? resolve(answer) : reject(new Error(`${job.request.path}: ${answer.failed}`))
      )
      child.once('exit', (code) => reject(new Error(`the load client ended with ${code}`)))
    })
  const ready = message()
  child.send(job)
  await ready
  return {
    pid: child.pid,
    run() {
      const result = message()
      child.send('go')
      return result
    }
  }
}

/**
 * Runs loads at the same time, each on a service. A load is a request (`request`, with `values` for its place `{value}`)
 * and how it is asked: by `clients` that ask again once answered, or `perSecond`; client.js knows all of it. A service is
 * the `ports` and the `pids` of its processes.
 *
 * The figures of each: `rate` of good answers a second, `p50` and `p99` in ms, and in µs per answer the CPU of the service
 * with its children (`serviceMicros`), of all of Postgres (`postgresMicros`, where its process is known) and of the
 * client. Of several loads nobody can tell which of them took the service's time, so it is left out.
 */
export async function loadTogether(postgresPid, loads, { seconds, watchMemory = false }) {
  const clients = await Promise.all(
    loads.map(({ service, ...job }) => startClient({ seconds, ports: service.ports, ...job }))
  )
  const pids = [...new Set(loads.flatMap(({ service }) => service.pids))]
  const postgresPids = postgresPid === undefined ? [] : [postgresPid]
  const before = { service: cpuMicros(pids), postgres: cpuMicros(postgresPids) }
  let peakMiB
  const watch = () => {
    peakMiB = Math.max(peakMiB ?? 0, pssMiB(pids))
  }
  const timer = watchMemory ? setInterval(watch, 200) : undefined
  try {
    const results = await Promise.all(clients.map((client) => client.run()))
    const service = cpuMicros(pids) - before.service
    const postgres = cpuMicros(postgresPids) - before.postgres
    return results.map(({ cpuMicros: client, ...result }) => ({
      ...result,
      ...(results.length > 1
        ? {}
        : { serviceMicros: service / result.answered, postgresMicros: postgres / result.answered }),
      ...(client === undefined ? {} : { clientMicros: client / result.answered }),
      peakMiB
    }))
  } finally {
    clearInterval(timer)
  }
}
