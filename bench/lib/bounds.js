// What must be reached, each with the figures that it is made of.
import { figure } from './cells.js'
import { ratio, readResult, summarise } from './report.js'

const rates = (figures, name) => figures[name]?.map(({ rate }) => rate)

/** Something of every round, beside the same of another figure where there is one. */
const of = (above, key, below, belowKey = key) => ({ above, key, below, belowKey })

const isTail = ({ key }) => key === 'p99'

const bounds = [
  ['logins ÷ argon2id alone on all cores', { atLeast: 0.85 }, of(figure.login(), 'rate', figure.hashes)],
  ['logins ÷ DRF with simplejwt', { atLeast: 2.4 }, of(figure.login(), 'rate', figure.login('DRF'))],
  ['logins ÷ better-auth', { atLeast: 1.3 }, of(figure.login(), 'rate', figure.login('better-auth'))],
  [
    'login beside the hash: CPU of service and Postgres',
    { atMost: 400 },
    of(figure.loginBesideHash(), 'cpuMicros'),
    ' µs'
  ],
  ...[
    ['hand-written', 1.8],
    ['DRF', 20],
    ['better-auth', 20],
    ['oidc-provider', 4]
  ].map(([peer, atLeast]) => [
    `refreshes, 32 clients ÷ ${peer}`,
    { atLeast },
    of(figure.refresh(32), 'rate', figure.refresh(32, peer))
  ]),
  [
    'p50 of a refresh, 1 client ÷ hand-written',
    { atMost: 1.1 },
    of(figure.refresh(1), 'p50', figure.refresh(1, 'hand-written'))
  ],
  [
    'me, a token seen before ÷ empty Fastify route',
    { atLeast: 0.6 },
    of('me, a token seen before', 'rate', figure.empty)
  ],
  [
    `me, a new token each time ÷ ${figure.emptyAndVerify.replace('1 ÷ ', '1/')}`,
    { atLeast: 0.75 },
    of('me, a new token each time', 'rate', figure.emptyAndVerify)
  ],
  [
    'introspections ÷ DRF, verify with its blacklist',
    { atLeast: 7 },
    of(figure.introspect(), 'rate', figure.introspect('DRF'))
  ],
  [
    'introspections ÷ oidc-provider',
    { atLeast: 2.5 },
    of(figure.introspect(), 'rate', figure.introspect('oidc-provider'))
  ],
  ['logouts ÷ DRF', { atLeast: 10 }, of(figure.logout(), 'rate', figure.logout('DRF'))],
  [
    'while 32 clients sign in: p99 of a verification ÷ with nothing else',
    { atMost: 4 },
    of('verify, while 32 clients sign in', 'p99', 'verify, nothing else')
  ],
  ['the same: p99 of a refresh', { atMost: 30 }, of('refresh, while 32 clients sign in', 'p99'), ' ms'],
  ['the same: logins ÷ argon2id alone', { atLeast: 0.65 }, of('login, beside the two', 'rate', figure.hashes)],
  [
    '10 × as many sign-ins as can be done: good ones ÷ without the rest',
    { atLeast: 0.8 },
    of('login, 10 × as many as can be done', 'rate', 'login, up to the flood')
  ],
  ['the same: transactions per sign-in that is refused', { atMost: 0.05 }, of('refused sign-in', 'transactions')],
  ['the same: memory ÷ (idle + 19 MiB a hash)', { atMost: 1.1 }, of('refused sign-in', 'memory')],
  ['expired rows removed a second', { atLeast: 150_000 }, of('rows swept', 'rate')],
  [
    'the same: p99 of a refresh ÷ without',
    { atMost: 1.5 },
    of('refresh, during the sweep', 'p99', 'refresh, up to the sweep')
  ],
  ['start to the first answer', { atMost: 500 }, of('start', 'startMs'), ' ms'],
  ['memory idle (PSS)', { atMost: 60 }, of('start', 'idleMiB'), ' MiB'],
  ['memory while 32 clients sign in (PSS)', { atMost: 130 }, of(figure.login(), 'peakMiB'), ' MiB']
]

/** Ten million sessions beside one, round by round. */
const tenMillion = (key) => (scale) => {
  const at = (count) => scale.sides.find((side) => side.count === count)[key]
  return at(10_000_000).map((value, round) => value / at(1_000_000)[round])
}

/** Figures of `npm run bench:scale` and `npm run bench:growth`, which take longer than the rest. */
const longBounds = [
  ['refreshes among 10 million sessions ÷ among 1 million', { atLeast: 0.7 }, 'scale', tenMillion('rates')],
  ['the same: p99', { atMost: 2 }, 'scale', tenMillion('p99s')],
  ['growth of table and indexes a rotation', { atMost: 1 }, 'growth', ({ bytes }) => [bytes], ' bytes'],
  ['the same: share of HOT updates', { atLeast: 0.9 }, 'growth', ({ hot }) => [hot]]
]

function judge({ measure, bound, unit }, rounds, { value, spread, tooNoisy }) {
  // Such as what a refusal costs where none was needed.
  if (!rounds.every(Number.isFinite)) return { measure, bound, unit, note: 'nothing to measure it by' }
  const holds = bound.atLeast === undefined ? value <= bound.atMost : value >= bound.atLeast
  return { measure, bound, unit, rounds, value, spread, tooNoisy, verdict: holds ? 'holds' : 'misses' }
}

/** What follows from figures of the same round. */
export function derive(figures) {
  const empty = rates(figures, figure.empty)
  const verified = rates(figures, 'ES256 verifications, one core')
  const cpuMicros = (round) => ({ ...round, cpuMicros: round.serviceMicros + round.postgresMicros })
  return {
    ...Object.fromEntries(Object.entries(figures).map(([name, rounds]) => [name, rounds.map(cpuMicros)])),
    ...(empty && verified
      ? { [figure.emptyAndVerify]: empty.map((rate, at) => ({ rate: 1 / (1 / rate + 1 / verified[at]) })) }
      : {})
  }
}

/** Every bound with what was measured; those whose figures are not there with the reason. */
export function judgeAll(figures) {
  const short = bounds.map(([measure, bound, made, unit]) => {
    const above = figures[made.above]?.map((round) => round[made.key])
    const below = made.below && figures[made.below]?.map((round) => round[made.belowKey])
    const row = { measure, bound, unit }
    if (above === undefined || (made.below && below === undefined)) return { ...row, note: 'not measured' }
    const tail = { tail: isTail(made) }
    if (below === undefined) return judge(row, above, summarise(above, tail))
    return judge(
      row,
      above.map((value, at) => value / below[at]),
      ratio(above, below, tail)
    )
  })
  const long = longBounds.map(([measure, bound, name, pick, unit]) => {
    const found = readResult(name)
    const row = { measure, bound, unit }
    if (found === undefined) return { ...row, note: `\`npm run bench:${name}\`` }
    return { ...judge(row, pick(found), summarise(pick(found), { tail: true })), note: `(${found.date})` }
  })
  return [...short, ...long]
}
