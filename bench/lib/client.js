// The load client: a process of its own, started by load.js, that costs as little as it can, since it shares the cores with
// what it measures. Raw sockets, requests that are built ahead, and no more of an answer read than is needed.
import { once } from 'node:events'
import net from 'node:net'

const place = '{value}'

/** Makes requests as bytes on the wire; `place` in path, headers and body stands for a value. */
function template({ method = 'GET', path, headers = {}, body }) {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method} ${path} HTTP/1.1\r\n${lines.join('')}`.split(place)
  const parts = body?.split(place)
  return (value) => {
    if (parts === undefined) return `${head.join(value)}\r\n`
    const text = parts.join(value)
    return `${head.join(value)}content-length: ${text.length}\r\n\r\n${text}`
  }
}

/** The value that each request carries, as `take` says; undefined once all were used. */
function valuesOf({ values = [''], take = 'own' }) {
  let next = 0
  const ways = {
    /** Each client keeps one. */
    own: (client) => values[client % values.length],
    /** Each request has the next one, over and over. */
    next: () => values[next++ % values.length],
    /** Each is used once. */
    once: () => values[next++]
  }
  return ways[take]
}

/** An answer once it is whole; undefined before. */
function readAnswer(text) {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const status = Number(text.slice(9, 12))
  if (status === 204 || status === 304) return { status, text }
  const [, length] = /\r\ncontent-length: ?(\d+)\r/i.exec(text) ?? []
  // Without a length it comes in chunks, of which an empty one is the last.
  const isWhole = length === undefined ? text.endsWith('\r\n0\r\n\r\n') : text.length >= end + 4 + Number(length)
  return isWhole ? { status, text } : undefined
}

/** A connection that is kept, with one request on it at a time. */
class Connection {
  #port
  #socket
  #received = ''
  #answered

  async open(port) {
    this.#port = port
    this.#socket = net.connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1')
    await once(this.#socket, 'connect')
    this.#socket.on('data', (chunk) => this.#read(chunk)).on('close', () => this.#lost())
    this.#socket.on('error', () => {})
    return this
  }

  ask(request, answered) {
    this.#answered = answered
    this.#socket.write(request, 'latin1')
  }

  close() {
    this.#socket.removeAllListeners('close').destroy()
  }

  #read(chunk) {
    this.#received = this.#received === '' ? chunk : this.#received + chunk
    const answer = readAnswer(this.#received)
    if (answer === undefined) return
    this.#received = ''
    const answered = this.#answered
    this.#answered = undefined
    answered(answer)
  }

  /** Some servers close after a number of requests: that is no failure as long as none is on its way. */
  async #lost() {
    if (this.#answered !== undefined)
      return fail(`the connection was closed before the answer was whole: ${this.#received}`)
    await this.open(this.#port)
  }
}

const latencies = []
const statuses = {}
let expected

function note({ status, text }, from) {
  statuses[status] = (statuses[status] ?? 0) + 1
  if (status === expected[0]) latencies.push(performance.now() - from)
  // A fast refusal is no speed.
  else if (!expected.includes(status)) fail(`answered\n${text.slice(0, 2_000)}`)
}

function fail(because) {
  process.send({ failed: because }, () => process.exit(1))
}

/** Finds the value that an answer carries for the next request. */
function reader(member) {
  const pattern = new RegExp(`"${member}":\\s*"([^"]+)"`)
  return ({ text }) => pattern.exec(text)?.[1] ?? fail(`answered without ${member}\n${text.slice(0, 2_000)}`)
}

/** So many clients, each of which asks again once it was answered. */
async function closedLoop({ ports, clients, seconds, request, carry, ...job }) {
  const build = template(request)
  const pick = valuesOf(job)
  const read = carry && reader(carry)
  const opening = Array.from({ length: clients }, (_, n) => new Connection().open(ports[n % ports.length]))
  const connections = await Promise.all(opening)
  return async () => {
    const end = performance.now() + seconds * 1000
    const asking = connections.map(
      (connection, client) =>
        new Promise((resolve) => {
          // What is always the same is built once.
          const same = job.take === undefined && carry === undefined ? build(pick(client)) : undefined
          const ask = (value) => {
            const from = performance.now()
            connection.ask(same ?? build(value), (answer) => {
              note(answer, from)
              if (performance.now() >= end) return resolve()
              const following = read ? read(answer) : same === undefined ? pick(client) : ''
              if (following === undefined) return resolve()
              ask(following)
            })
          }
          const first = pick(client)
          if (first === undefined) resolve()
          else ask(first)
        })
    )
    await Promise.all(asking)
    for (const connection of connections) connection.close()
  }
}

/** Things that are lent; whoever comes while none is there waits for one. */
function lender(things) {
  const free = [...things]
  const waiting = []
  return {
    take: () => (free.length > 0 ? free.shift() : new Promise((resolve) => waiting.push(resolve))),
    give: (thing) => (waiting.length > 0 ? waiting.shift()(thing) : free.push(thing))
  }
}

/**
 * Asks at a fixed rate, whatever comes back, and measures from the scheduled moment: a server that stalls cannot hide
 * behind requests that were never sent. Connections are added where all are busy.
 */
async function openLoop({ ports, perSecond, seconds, request, carry, values = [''] }) {
  const build = template(request)
  const read = carry && reader(carry)
  const held = lender(values)
  const free = [await new Connection().open(ports[0])]
  let turn = 0
  return async () => {
    const begin = performance.now()
    const asking = []
    const askAt = async (scheduled) => {
      // Where an answer carries the next value, a value is in one request at a time.
      const value = carry === undefined ? values[turn++ % values.length] : await held.take()
      const connection = free.pop() ?? (await new Connection().open(ports[++turn % ports.length]))
      await new Promise((resolve) =>
        connection.ask(build(value), (answer) => {
          note(answer, scheduled)
          if (read) held.give(read(answer))
          free.push(connection)
          resolve()
        })
      )
    }
    for (let n = 0; n < perSecond * seconds; n++) {
      const scheduled = begin + (n * 1000) / perSecond
      const wait = scheduled - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      asking.push(askAt(scheduled))
    }
    await Promise.all(asking)
    for (const connection of free) connection.close()
  }
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]

/**
 * Looks for answers without a pause. On loopback whoever sends an answer also wakes its receiver, which takes a virtual core
 * as long as the rest of a small answer: with clients on other machines no service pays for that.
 */
function stayAwake() {
  let isOver = false
  const look = () => isOver || setImmediate(look)
  look()
  return () => {
    isOver = true
  }
}

process.once('disconnect', () => process.exit())
const [job] = await once(process, 'message')
expected = job.expect ?? [200]
const run = await (job.perSecond === undefined ? closedLoop : openLoop)(job)
process.send({ ready: true })
await once(process, 'message')
const sleep = job.awake ? stayAwake() : () => {}
const used = process.cpuUsage()
const begin = performance.now()
await run()
sleep()
const elapsed = (performance.now() - begin) / 1000
const { user, system } = process.cpuUsage(used)
latencies.sort((a, b) => a - b)
process.send({
  answered: Object.values(statuses).reduce((sum, count) => sum + count, 0),
  statuses,
  elapsed,
  rate: latencies.length / elapsed,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  // What looking without a pause takes says nothing.
  ...(job.awake ? {} : { cpuMicros: user + system })
})
process.disconnect()
