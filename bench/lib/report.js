// Rounds to medians, ratios and a table.

/** Above this, (max - min) / median of a ratio's rounds, the machine was too busy for the ratio to mean anything. */
const widestSpread = 0.5

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** A ratio round by round, so that what slows both sides of one round down leaves it as it is. */
export function ratio(name, above, below, bound) {
  const rounds = above.map((value, round) => value / below[round])
  const middle = median(rounds)
  const spread = (Math.max(...rounds) - Math.min(...rounds)) / middle
  return { name, ratio: middle, spread, tooNoisy: rounds.length > 1 && spread > widestSpread, bound }
}

const number = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3))

export function toMarkdown({ machine, figures, ratios, single }) {
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memory} GiB; Node ${machine.node}; Postgres ${machine.postgres}, ` +
      `fsync on. Client, service and database share the cores. Medians of ${machine.rounds} interleaved rounds.`,
    '',
    '| ratio | median | spread of the rounds |',
    '| --- | ---: | ---: |',
    ...ratios.map(({ name, ratio, spread, tooNoisy }) =>
      tooNoisy
        ? `| ${name} | too noisy | ${Math.round(spread * 100)} % |`
        : `| ${name} | ${ratio.toFixed(2)} | ${Math.round(spread * 100)} % |`
    ),
    '',
    '| figure | a second | p50 ms | p99 ms | CPU of the service, µs |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...Object.entries(figures).map(([name, rounds]) => {
      const cell = (key) => {
        const values = rounds.map((round) => round[key]).filter((value) => Number.isFinite(value))
        return values.length === 0 ? '' : number(median(values))
      }
      return `| ${name} | ${cell('rate')} | ${cell('p50')} | ${cell('p99')} | ${cell('cpuMicros')} |`
    }),
    '',
    '| | |',
    '| --- | ---: |',
    ...single.map(([name, value]) => `| ${name} | ${value} |`)
  ]
  return `${lines.join('\n')}\n`
}
