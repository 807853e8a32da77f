// The counts as a table.

const number = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–')

const columns = [
  ['fault', (row) => row.name],
  ['requests', (row) => number(row.requests)],
  ['honest sign-outs', (row) => row.signOuts],
  ['acknowledged and lost', (row) => row.lost],
  ['revoked, accepted beyond the bound', (row) => row.beyondBound],
  ['5xx but 503', (row) => row.otherErrors],
  ['503', (row) => number(row.unavailable)],
  ['broken connections', (row) => number(row.broken)],
  ['verify, p99, ms', (row) => number(row.verifyP99)],
  ['refresh, p99, ms', (row) => number(row.refreshP99)],
  ['slowest answer, ms', (row) => number(row.slowest)],
  ['no refresh for, ms', (row) => number(row.longestPause)],
  ['healed after, ms', (row) => number(row.healed)],
  ['revocations', (row) => number(row.revoked)],
  ['p50, ms', (row) => number(row.p50)],
  ['p99, ms', (row) => number(row.p99)],
  ['max, ms', (row) => number(row.max)]
]

/** What no fault may cost. */
export const mustBeZero = {
  signOuts: 'honest sign-outs',
  lost: 'acknowledged changes lost',
  beyondBound: 'revoked accepted beyond the bound',
  otherErrors: '5xx other than 503',
  unhealed: 'faults that took more than 30 s to heal from',
  tooSlow: 'p99 of verify or refresh beyond a second during the flood'
}

/** Those of them that are about times, and so about whatever else the machine has to do. */
export const ofTime = ['unhealed', 'tooSlow']

export function toMarkdown(rows) {
  return [
    `| ${columns.map(([name]) => name).join(' | ')} |`,
    `| --- | ${columns
      .slice(1)
      .map(() => '---:')
      .join(' | ')} |`,
    ...rows.map((row) => `| ${columns.map(([, cell]) => cell(row)).join(' | ')} |`)
  ].join('\n')
}

const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0)

/** What is to be said of single faults. */
export const toNotes = (rows) => rows.filter(({ note }) => note !== '').map(({ name, note }) => `- ${name}: ${note}.`)

const topologies = {
  sync: 'One Postgres with a hot standby, which has every commit on its disk before it is acknowledged (`synchronous_commit = on`, `synchronous_standby_names`)',
  async: 'One Postgres with a hot standby that follows as it can',
  off: 'One Postgres'
}

/** The page in docs, of one full run. */
export function toDocument(rows, { machine, counts, limits, hold, calm, topology, skipped }) {
  const zeros = Object.entries(mustBeZero).map(([name, words]) => `| ${words} | ${number(sum(rows, name))} |`)
  const missing = skipped.length === 0 ? '' : `\nLeft out on this machine: ${skipped.join('; ')}.\n`
  return `# Faults under load

What \`npm run chaos\` printed last, on ${machine.date}; \`npm run chaos -- --quick\` is the short form. Both exit with 1 where a count
that must be 0 is not. ${machine.cpu}, ${machine.cores} cores for everything; Node ${machine.node}; Postgres ${machine.postgres}, fsync on.

| must be 0 | counted, in ${number(sum(rows, 'requests'))} requests |
| --- | ---: |
${zeros.join('\n')}

## What is run

${topologies[topology.replication]}; two
replicas as processes of their own${topology.hasNamespaces ? ', each in a network namespace of its own' : ''}, with a link between each and the database; ${
    topology.hasProxy
      ? 'nginx with the configuration of\n[deploy/nginx](../deploy/nginx/keyturn.conf) in front of them'
      : 'no proxy'
  }. ${counts.people} people stay signed in (half of them by cookie): they refresh, lose
answers, use two tabs at once, show their access token, change passwords, sign out and in; ${counts.residents} do nothing but refresh and
show their access token. ${counts.revokers} more sign in, sign out (or have a copy of a refresh token presented that was used long since), and
try the access token on both replicas, past the proxy, until both refuse it. ${counts.newcomers} register new accounts. Whoever got no answer, or a 503, asks again with what they have. Each fault lasts about
${hold / 1000} s under this load, and ${calm / 1000} s follow in which everything must be well again.
${missing}
## What is counted

- **Honest sign-outs**: a refresh, or an access token just issued, that was refused to somebody who did nothing wrong.
- **Acknowledged and lost**: registrations, sign-ins, logouts and new passwords that were answered with success, looked up
  in the database after each fault; after a promotion, in the one that was promoted.
- **Revoked, accepted beyond the bound**: an access token that a replica accepted in a request sent more than ${limits.staleBound / 1000} s after
  the logout was acknowledged, or a refresh token whose successor had been used. The bound is \`AUTH_REVOCATION_MAX_STALENESS\` in this run: with \`AUTH_REVOCATION_STALE=${limits.stale}\` neither
  load nor an outage is an excuse.
- **5xx but 503**: anything that says that something unforeseen happened. A 503 says when to ask again.
- **Verify, refresh, p99**: until \`GET /v1/me\`, and a refresh, was answered with success. During the flood of sign-ins neither may
  be more than a second.
- **No refresh for**: the longest time in which nobody's refresh was acknowledged, by either replica.
- **Healed after**: from the end of the fault until both replicas say on \`/readyz\` that they are ready, and the proxy passes it on.
- **Revocations, p50, p99, max**: from a logout's answer until a replica accepted the access token for the last time,
  counted for each replica; 0 where it never did.

## The faults

${toMarkdown(rows)}

${toNotes(rows).join('\n')}

## Whether it would notice

Each of these was done to the run or to the service, and ended with 1:

${noticed.map((line) => `- ${line}`).join('\n')}
`
}

/** How each count was seen not to be 0. */
const noticed = [
  'the standby follows as it can (`--standby async`): acknowledged changes were lost in the promotion',
  'the predecessor of a refresh token gets nothing again: honest sign-outs',
  'the rotation’s statement does not ask for the generation: old refresh tokens were accepted',
  'revocations are read and not kept: access tokens were accepted beyond the bound'
]
