import t from 'tap'
import { type Guesses, type GuessVerdict, judgeGuess, waitAfter } from '../../src/domain/guessing.js'

const rules = { free: 5, max: 100 }
const now = new Date('2030-01-01T12:00:00Z')
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)

t.test('the first failures are free, and each wait is twice the one before, up to an hour', async (t) => {
  const waits = [0, 1, 4, 5, 6, 7, 11, 12, 13, 40, 99].map((failures) => waitAfter(failures, rules) / 1000)
  t.same(waits, [0, 0, 0, 30, 60, 120, 1_920, 3_600, 3_600, 3_600, 3_600])
})

const cases: Array<[string, Guesses | undefined, GuessVerdict]> = [
  ['whoever never failed may try', undefined, { kind: 'try' }],
  ['so may who failed once', { failures: 1, retryAt: now }, { kind: 'try' }],
  ['who has to wait waits', { failures: 5, retryAt: at(30) }, { kind: 'wait', left: 30_000 }],
  ['and no longer', { failures: 5, retryAt: now }, { kind: 'try' }],
  ['the last attempt before the end', { failures: 99, retryAt: at(-1) }, { kind: 'try' }],
  ['at the end there is no time to wait for', { failures: 100, retryAt: at(-1_000_000) }, { kind: 'locked' }]
]
for (const [title, guesses, verdict] of cases) {
  t.test(title, async (t) => t.same(judgeGuess(guesses, rules, now), verdict))
}
