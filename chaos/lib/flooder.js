// Sends sign-ins of nobody, so many each second whatever becomes of them: a process of its own, so that its work does not
// delay the clients that are measured. Told what to do by its parent; tells it what came of it.
import http from 'node:http'

const agent = new http.Agent({ keepAlive: true, maxSockets: 3_000 })
const counts = { sent: 0, withheld: 0, broken: 0 }
let open = 0

function signIn({ host, port }) {
  counts.sent++
  open++
  const username = `nobody-${Math.random().toString(36).slice(2)}`
  const body = JSON.stringify({ username, password: 'correct horse battery' })
  let status = 'broken'
  const request = http.request(
    {
      host,
      port,
      path: '/v1/login',
      method: 'POST',
      agent,
      timeout: 15_000,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    },
    (response) => {
      status = response.statusCode
      response.resume()
    }
  )
  request.on('timeout', () => request.destroy())
  request.on('error', () => {
    status = 'broken'
  })
  request.on('close', () => {
    open--
    counts[status] = (counts[status] ?? 0) + 1
  })
  request.end(body)
  return request
}

/** One after the other, at so many places, for so long and until there are some: how many were answered each second. */
async function measure(target, seconds, places) {
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1_000
  const answered = () => counts[401] ?? 0
  const place = async () => {
    while (elapsed() < seconds || (answered() < 10 && elapsed() < 30)) {
      await new Promise((done) => signIn(target).on('close', done))
    }
  }
  await Promise.all(Array.from({ length: places }, place))
  return answered() / elapsed()
}

/** `rate` each second, without waiting for answers. */
async function flood(target, seconds, rate) {
  const start = performance.now()
  for (let due = 0; ; ) {
    const elapsed = (performance.now() - start) / 1_000
    if (elapsed > seconds) break
    for (; due < elapsed * rate; due++) {
      // A bound of what this machine can hold open; what it keeps back is told.
      if (open < 3_000) signIn(target)
      else counts.withheld++
    }
    await new Promise((done) => setTimeout(done, 5))
  }
}

process.on('message', async ({ target, capacityFor, floodFor, times, places }) => {
  const capacity = await measure(target, capacityFor, places)
  for (const name of Object.keys(counts)) counts[name] = 0
  process.send({ capacity })
  await flood(target, floodFor, capacity * times)
  process.send({ counts })
  process.disconnect()
  process.exit()
})
