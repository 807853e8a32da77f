// From what a run measured to what so many accounts need: the table of docs/scale.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { figure } from './cells.js'
import { median } from './report.js'

const page = new URL('../../docs/scale.md', import.meta.url)
const marks = /(<!-- figures -->\n)[\s\S]*?(\n<!-- end of figures -->)/

/** What people do; docs/scale.md says it in words. */
const habits = {
  /** Of all accounts, in the busiest hour, those whose app is open. */
  online: 0.02,
  /** Seconds from one refresh of an app to the next: ten minutes less 2.5 % on average. */
  refreshInterval: 585,
  signInsAMonth: 2,
  /** The busiest hour beside the mean. */
  peak: 3,
  /** Days for which a session and its rest are kept. */
  kept: 31,
  /** Of sign-ins, those that end by a sign-out. */
  signOuts: 0.5,
  /** Seconds for which a revocation matters. */
  remembered: 660
}
/** A machine is planned to be half busy, and has two cores and one process. */
const busy = 0.5
const coresPerProcess = 2
/** AUTH_DATABASE_POOL_SIZE, and the one that listens. */
const connectionsPerProcess = 11

const count = (value) => Number(value.toPrecision(2)).toLocaleString('en')
const size = (bytes) => (bytes >= 1e9 ? `${count(bytes / 1e9)} GB` : `${count(bytes / 1e6)} MB`)

function rowFor(accounts, cost) {
  const refreshes = (accounts * habits.online) / habits.refreshInterval
  const signIns = ((accounts * habits.signInsAMonth) / (30 * 86_400)) * habits.peak
  const service = (refreshes * cost.refresh.service + signIns * cost.login.service) / 1e6
  const postgres = (refreshes * cost.refresh.postgres + signIns * cost.login.postgres) / 1e6
  const processes = Math.max(2, Math.ceil(service / busy / coresPerProcess))
  const sessions = (accounts * habits.signInsAMonth * habits.kept) / 30
  return [
    accounts.toLocaleString('en'),
    count(refreshes),
    count(signIns),
    service.toFixed(2),
    postgres.toFixed(2),
    processes,
    processes * connectionsPerProcess,
    count(sessions),
    size(sessions * cost.bytes),
    count(signIns * habits.signOuts * habits.remembered)
  ]
}

/** Writes the table into the page; does nothing where what it is made of was not measured. */
export function writeCapacity({ machine, figures }, scale) {
  const of = (name) => {
    const middle = (key) => median(figures[name].map((round) => round[key]))
    return { service: middle('serviceMicros'), postgres: middle('postgresMicros') }
  }
  if (scale === undefined || [figure.login(), figure.refresh(32)].some((name) => figures[name] === undefined)) return
  const cost = { login: of(figure.login()), refresh: of(figure.refresh(32)), bytes: scale.sides.at(-1).bytes }
  const head = [
    'accounts',
    'refreshes/s',
    'sign-ins/s',
    'cores, service',
    'cores, Postgres',
    'processes',
    'connections',
    'sessions',
    'on disk',
    'live revocations'
  ]
  const text = [
    `Measured on ${machine.date}, ${machine.cpu}: a refresh takes ${Math.round(cost.refresh.service)} µs of CPU in the service ` +
      `and ${Math.round(cost.refresh.postgres)} µs in Postgres, a sign-in ${(cost.login.service / 1000).toFixed(1)} ms and ` +
      `${Math.round(cost.login.postgres)} µs, a session ${cost.bytes} bytes with its indexes.`,
    '',
    `| ${head.join(' | ')} |`,
    `|${' ---: |'.repeat(head.length)}`,
    ...[1e5, 1e6, 1e7, 1e8].map((accounts) => `| ${rowFor(accounts, cost).join(' | ')} |`)
  ].join('\n')
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(marks, (_all, before, after) => before + text + after)
  )
}
