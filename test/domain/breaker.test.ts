import t from 'tap'
import { type Breaker, type BreakerEvent, closedBreaker, nextBreaker } from '../../src/domain/breaker.js'

const closed = (failures: number): Breaker => ({ kind: 'closed', failures })
const open: Breaker = { kind: 'open' }
const probing: Breaker = { kind: 'probing' }

const cases: Array<[string, Breaker, BreakerEvent, Breaker]> = [
  ['a failure is counted', closed(0), 'failed', closed(1)],
  ['an answer begins the count anew', closed(2), 'answered', closed(0)],
  ['one failure too many opens it', closed(2), 'failed', open],
  ['a late failure changes nothing', open, 'failed', open],
  ['nor does a late answer', open, 'answered', open],
  ['nor do they while it is probed', probing, 'failed', probing],
  ['whatever they say', probing, 'answered', probing],
  ['one that is open is probed', open, 'probe', probing],
  ['one that is closed is not', closed(1), 'probe', closed(1)],
  ['the answer to the probe closes it', probing, 'probe_answered', closed(0)],
  ['no answer leaves it open', probing, 'probe_failed', open],
  ['a probe that is late says nothing of one that is closed', closed(1), 'probe_failed', closed(1)],
  ['nor of one that has opened again', open, 'probe_answered', open]
]

for (const [title, breaker, event, expected] of cases) {
  t.test(title, async (t) => t.same(nextBreaker(breaker, event, 3), expected))
}

t.test('with a bound of one the first failure opens it', async (t) => {
  t.same(nextBreaker(closedBreaker, 'failed', 1), open)
})
