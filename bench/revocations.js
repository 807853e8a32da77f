// What it costs to look whether a token was revoked, beside 100,000 entries that still matter: node bench/revocations.js
import { randomUUID } from 'node:crypto'
import { principal } from '../dist/src/domain/principal.js'
import { RevocationSet } from '../dist/src/domain/revocation.js'
import { median } from './lib/report.js'

const live = 100_000
const checks = 1_000_000
const rounds = 7
/** Nanoseconds. */
const bound = 200

const set = new RevocationSet()
const expiresAt = new Date(Date.now() + 600_000)
const ended = []
for (let id = 1; id <= live; id++) {
  const kind = id % 10 === 0 ? 'account' : 'session'
  const subject = randomUUID()
  if (kind === 'session') ended.push(subject)
  set.add({ id, kind, subject, because: 'logout', expiresAt })
}
// One role has changed, so that the roles of each token are looked at too.
set.add({ id: live + 1, kind: 'role', subject: 'auditor', because: 'role_changed', expiresAt })

/** Texts of their own, as they come out of a token: none is the very object that the set holds. */
const bearer = (sessionId) =>
  principal({
    accountId: randomUUID(),
    authenticator: 'bearer',
    sessionId: Buffer.from(sessionId).toString(),
    tokenId: randomUUID(),
    roles: new Set(['editor', 'author']),
    revision: 0
  })
const tokens = Array.from({ length: 10_000 }, (_, at) =>
  bearer(at % 100 === 0 ? ended[at % ended.length] : randomUUID())
)

/** What one look into a map of that size costs on this machine at this moment, to see how busy it is. */
function bareLook() {
  const map = new Map(ended.map((subject, at) => [subject, at]))
  const before = process.cpuUsage()
  let hits = 0
  for (let n = 0; n < checks; n++) if (map.has(tokens[n % tokens.length].sessionId)) hits++
  return hits > 0 ? (process.cpuUsage(before).user * 1000) / checks : Number.NaN
}

const figures = []
let found = 0
for (let round = 0; round <= rounds; round++) {
  found = 0
  const before = process.cpuUsage()
  for (let n = 0; n < checks; n++) if (set.find(tokens[n % tokens.length]) !== undefined) found++
  // Of this process, so that others on the machine do not count.
  const nanoseconds = (process.cpuUsage(before).user * 1000) / checks
  // The first round warms up.
  if (round > 0) figures.push(nanoseconds)
}
if (found !== checks / 100) throw new Error(`${found} of ${checks} checks found an entry, not one of a hundred`)

const middle = median(figures)
const spread = figures.map((one) => one.toFixed(0)).join(', ')
console.log(`${bareLook().toFixed(0)} ns of CPU for a bare look into one Map of as many`)
console.log(
  `${middle.toFixed(0)} ns of CPU per check against ${set.size.toLocaleString('en')} live entries (rounds: ${spread})`
)
if (middle > bound) {
  console.error(`slower than ${bound} ns`)
  process.exitCode = 1
}
