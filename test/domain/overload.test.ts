import t from 'tap'
import { loadClasses, refusedByDelay, requestBound } from '../../src/domain/overload.js'

t.test('the later the event loop, the more classes are refused, and those that are vital never', async (t) => {
  for (const [delay, refused] of [
    [0, []],
    [99, []],
    [100, ['sign_in']],
    [199, ['sign_in']],
    [200, ['sign_in', 'change']],
    [400, ['sign_in', 'change', 'session']],
    [1_000_000, ['sign_in', 'change', 'session']]
  ] as const) {
    t.same(loadClasses.slice(0, refusedByDelay(delay, 100, 0)), refused, `${delay} ms`)
  }
})

t.test('a class that is refused is let in again only once the loop is clearly better', async (t) => {
  t.equal(refusedByDelay(99, 100, 1), 1)
  t.equal(refusedByDelay(81, 100, 1), 1)
  t.equal(refusedByDelay(79, 100, 1), 0)
  t.equal(refusedByDelay(330, 100, 3), 3)
  t.equal(refusedByDelay(319, 100, 3), 2)
})

t.test('the more requests are under way, the more classes are refused', async (t) => {
  t.same(
    loadClasses.map((one) => requestBound(one, 10)),
    [10, 20, 40, Number.POSITIVE_INFINITY]
  )
})
