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
  ['slowest answer, ms', (row) => number(row.slowest)],
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
  otherErrors: '5xx other than 503'
}

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

/** The page in docs, of one full run. */
export function toDocument(rows, { machine, counts, limits, hold, calm }) {
  const zeros = Object.entries(mustBeZero).map(([name, words]) => `| ${words} | ${number(sum(rows, name))} |`)
  return `# Faults under load

What \`npm run chaos\` printed last; \`npm run chaos -- --quick\` is the short form, and exits with 1 where a count that must
be 0 is not. ${machine.cpu}, ${machine.cores} cores for everything; Node ${machine.node}; Postgres ${machine.postgres}, fsync on.

| must be 0 | counted, in ${number(sum(rows, 'requests'))} requests |
| --- | ---: |
${zeros.join('\n')}

## What is run

One Postgres, two replicas as processes of their own, a link between each and the database. ${counts.people} people stay signed in
(half of them by cookie): they refresh on either replica, lose answers, use two tabs at once, show their access token to the
other replica, change passwords, sign out and in. ${counts.revokers} more sign in, sign out, and try the access token on both replicas until
both refuse it. ${counts.newcomers} register new accounts. Whoever got no answer, or a 503, asks again with what they have. Each fault lasts
about ${hold / 1000} s under this load, and ${calm / 1000} s follow in which everything must be well again.

## What is counted

- **Honest sign-outs**: a refresh, or an access token just issued, that was refused to somebody who did nothing wrong.
- **Acknowledged and lost**: registrations, sign-ins, logouts and new passwords that were answered with success, looked up
  in the database after each fault.
- **Revoked, accepted beyond the bound**: an access token that a replica accepted in a request sent more than ${limits.staleBound / 1000} s after
  the logout was acknowledged. That is \`AUTH_REVOCATION_MAX_STALENESS\` in this run: with \`AUTH_REVOCATION_STALE=${limits.stale}\` neither
  load nor an outage is an excuse.
- **5xx but 503**: anything that says that something unforeseen happened. A 503 says when to ask again.
- **Healed after**: from the end of the fault until both replicas say on \`/readyz\` that they are ready.
- **Revocations, p50, p99, max**: from a logout's answer until a replica accepted the access token for the last time,
  counted for each replica; 0 where it never did.

## The faults

${toMarkdown(rows)}
`
}
