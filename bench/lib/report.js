// Rounds to medians, ratios and tables.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'

/**
 * (max − min) ÷ median of the rounds above which a figure is not told: the machine was too busy. A p99 is made of few
 * requests, and varies more.
 */
const widestSpread = { rate: 0.3, tail: 1 }

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** What rounds say together. */
export function summarise(rounds, { tail = false } = {}) {
  const middle = median(rounds)
  const spread = rounds.length > 1 ? (Math.max(...rounds) - Math.min(...rounds)) / middle : undefined
  return { value: middle, spread, tooNoisy: spread > (tail ? widestSpread.tail : widestSpread.rate) }
}

/** A ratio round by round, so that what slows both sides of one round down leaves it as it is. */
export function ratio(above, below, options) {
  return summarise(
    above.map((value, round) => value / below[round]),
    options
  )
}

const percent = (share) => (share === undefined ? 'one round' : `${Math.round(share * 100)} %`)
const plain = (value) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(2)

const words = { holds: 'yes', misses: '**no**' }

/** Of the table of bounds. What spreads too far is not told, nor whether it holds. */
function boundRow({ measure, unit = '', bound, value, spread, tooNoisy, verdict, note }) {
  const limit = `${bound.atLeast === undefined ? '≤' : '≥'} ${bound.atLeast ?? bound.atMost}${unit}`
  if (value === undefined) return `| ${measure} | ${limit} | | | ${note} |`
  if (tooNoisy) return `| ${measure} | ${limit} | too noisy: spread ${percent(spread)} | | |`
  return `| ${measure} | ${limit} | ${plain(value)}${unit} | ${percent(spread)} | ${words[verdict]}${note ? ` ${note}` : ''} |`
}

const table = (head, rows) => [`| ${head.join(' | ')} |`, `| --- |${' ---: |'.repeat(head.length - 1)}`, ...rows, '']

/** Who measured what, with whom, and the bounds with what was measured. */
function boundLines({ machine, peers, bounds }) {
  return [
    `${machine.date}: ${machine.cpu}, ${machine.cores} cores, ${machine.memory} GiB; Node ${machine.node}; Postgres ` +
      `${machine.postgres}, fsync on. Clients, services and database share the cores; ` +
      `those that ask for \`me\`, the empty route and node:http never sleep. Medians of ${machine.rounds} ` +
      `interleaved rounds. Other programs took ${percent(machine.others)} of the cores.`,
    '',
    `A ratio is left out where its rounds spread, (max − min) ÷ median, by more than ${percent(widestSpread.rate)}; one of ` +
      `a p99, by more than ${percent(widestSpread.tail)}.`,
    '',
    ...peers.map(({ name, version, because }) =>
      because === undefined ? `${name}: ${version}.` : `${name} was left out: ${because}`
    ),
    '',
    ...table(['measure', 'bound', 'measured', 'spread', 'holds'], bounds.map(boundRow))
  ]
}

const readme = new URL('../../README.md', import.meta.url)
const marks = /(<!-- bounds -->\n\n)[\s\S]*(\n\n<!-- \/bounds -->)/

/** Writes the table of bounds into the README. */
export function writeReadme(report) {
  const text = boundLines(report).join('\n').trim()
  writeFileSync(
    readme,
    readFileSync(readme, 'utf8').replace(marks, (_all, before, after) => before + text + after)
  )
}

export function toMarkdown(report) {
  const { figures } = report
  const columns = ['rate', 'p50', 'p99', 'serviceMicros', 'postgresMicros', 'clientMicros']
  const known = Object.entries(figures).filter(([, rounds]) => rounds.some(({ rate }) => Number.isFinite(rate)))
  const lines = [
    ...boundLines(report),
    ...table(
      ['figure', 'a second', 'p50 ms', 'p99 ms', 'CPU of the service, µs', 'of Postgres, µs', 'of the client, µs'],
      known.map(([name, rounds]) => {
        const cells = columns.map((column) => {
          const values = rounds.map((round) => round[column]).filter((value) => Number.isFinite(value))
          return values.length === 0 ? '' : plain(median(values))
        })
        return `| ${name} | ${cells.join(' | ')} |`
      })
    )
  ]
  return `${lines.join('\n').replaceAll('\n\n\n', '\n\n')}`
}

const results = new URL('../results/', import.meta.url)

/** Keeps what a command has measured, with the day; `npm run bench` puts it into its table. */
export function writeResult(name, result) {
  mkdirSync(results, { recursive: true })
  const dated = { date: new Date().toISOString().slice(0, 10), ...result }
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify(dated, null, 2)}\n`)
}

/** What was kept; undefined where the command has not run. */
export function readResult(name) {
  try {
    return JSON.parse(readFileSync(new URL(`${name}.json`, results), 'utf8'))
  } catch {
    return undefined
  }
}
