// What is asked of a process, and how often it answers.
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import autocannon from 'autocannon'
import { cpuSeconds } from './processes.js'

const json = { 'content-type': 'application/json' }

/** Runs a load; fails where anything but 200 was answered, since a fast refusal is no speed. */
async function fire({ url, connections, seconds, pid, ...rest }) {
  const cpu = cpuSeconds(pid)
  const result = await autocannon({ url, connections, duration: seconds, ...rest })
  const { 200: good = { count: 0 }, ...others } = result.statusCodeStats
  const answered = good.count
  if (answered === 0 || Object.keys(others).length > 0 || result.errors > 0) {
    throw new Error(`${url}: ${answered} good answers, others ${JSON.stringify(others)}, ${result.errors} errors`)
  }
  return {
    rate: answered / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    cpuMicros: ((cpuSeconds(pid) - cpu) / answered) * 1e6
  }
}

export const load = {
  get: (target, path, headers = {}) => fire({ ...target, url: target.url + path, headers }),

  /** Every request with a token that the process has not seen. */
  freshTokens(target, path, tokens) {
    let next = 0
    const setupRequest = (request) => ({
      ...request,
      headers: { ...request.headers, authorization: `Bearer ${tokens[next++ % tokens.length]}` }
    })
    return fire({ ...target, requests: [{ method: 'GET', path, setupRequest }] })
  },

  login: (target, username, password) =>
    fire({
      ...target,
      url: `${target.url}/v1/login`,
      method: 'POST',
      headers: json,
      body: JSON.stringify({ username, password })
    }),

  /** Each client holds a session of its own and always presents its newest token, so that every rotation is real. */
  refresh(target, refreshTokens, path = '/v1/refresh') {
    const left = [...refreshTokens]
    const setupClient = (client) => {
      let token = left.pop()
      const setupRequest = (request) => ({ ...request, body: JSON.stringify({ refresh_token: token }) })
      const onResponse = (status, body) => {
        if (status === 200) token = JSON.parse(body).refresh_token
      }
      client.setRequests([{ method: 'POST', path, headers: json, setupRequest, onResponse }])
    }
    return fire({ ...target, setupClient })
  }
}

/** argon2id hashes a second on all cores, with nothing around them. */
export async function bareHashes(seconds, options) {
  const milliseconds = seconds * 1000
  const workers = Array.from(
    { length: availableParallelism() },
    () => new Worker(new URL('./hash-worker.js', import.meta.url), { workerData: { milliseconds, options } })
  )
  const counts = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  return { rate: counts.reduce((sum, count) => sum + count, 0) / seconds }
}

/** One-row updates a second: what a refresh cannot be faster than without sharing statements. */
export async function bareUpdates(pool, ids, clients, seconds) {
  const query = {
    name: 'bare',
    text: 'update session set generation = generation + 1, rotated_at = $2 where id = $1 returning id, generation, account_id'
  }
  const end = performance.now() + seconds * 1000
  const latencies = []
  await Promise.all(
    ids.slice(0, clients).map(async (id) => {
      while (performance.now() < end) {
        const before = performance.now()
        await pool.query({ ...query, values: [id, new Date()] })
        latencies.push(performance.now() - before)
      }
    })
  )
  latencies.sort((a, b) => a - b)
  return { rate: latencies.length / seconds, p50: latencies[Math.floor(latencies.length / 2)] }
}

/**
 * Asks at a fixed rate, whatever comes back, and measures from the scheduled moment: a server that stalls cannot hide
 * behind requests that were never sent.
 */
export async function openLoop(url, headers, perSecond, seconds) {
  const latencies = []
  const pending = []
  const begin = performance.now()
  for (let n = 0; n < perSecond * seconds; n++) {
    const scheduled = begin + (n * 1000) / perSecond
    const wait = scheduled - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    pending.push(
      fetch(url, { headers }).then(async (response) => {
        await response.arrayBuffer()
        if (!response.ok) throw new Error(`${url} answered ${response.status}`)
        latencies.push(performance.now() - scheduled)
      })
    )
  }
  await Promise.all(pending)
  latencies.sort((a, b) => a - b)
  const quantile = (q) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * q))]
  return { p50: quantile(0.5), p99: quantile(0.99) }
}
