import fc from 'fast-check'
import t from 'tap'
import { rangeOf } from '../../src/domain/address-range.js'
import { isStuffing, usualShare } from '../../src/domain/stuffing.js'

t.test('many accounts that fail and hardly any that succeeds are an attack', async (t) => {
  const usual = 0.8
  t.ok(isStuffing({ failed: 20, succeeded: 0 }, usual, 'range'))
  t.ok(isStuffing({ failed: 200, succeeded: 4 }, usual, 'range'), 'who finds some is one all the more')
  t.notOk(isStuffing({ failed: 19, succeeded: 0 }, usual, 'range'), 'a small network on a bad day')
  t.notOk(isStuffing({ failed: 40, succeeded: 160 }, usual, 'range'), 'a big one on a usual day')
  t.notOk(isStuffing({ failed: 300, succeeded: 100 }, usual, 'range'), 'or on its worst')
  t.ok(isStuffing({ failed: 5, succeeded: 0 }, usual, 'rangeOfMany'))
  t.notOk(isStuffing({ failed: 5, succeeded: 2 }, usual, 'rangeOfMany'))
  t.ok(isStuffing({ failed: 300, succeeded: 100 }, usual, 'everywhere'))
  t.notOk(isStuffing({ failed: 100, succeeded: 100 }, usual, 'everywhere'))
  t.notOk(isStuffing({ failed: 99, succeeded: 0 }, usual, 'everywhere'))
})

t.test('what is usual is learnt, and little of it at first', async (t) => {
  t.equal(usualShare({ failed: 0, succeeded: 0 }), 0.8)
  t.ok(usualShare({ failed: 20, succeeded: 0 }) > 0.7)
  t.ok(Math.abs(usualShare({ failed: 5_000, succeeded: 5_000 }) - 0.5) < 0.01)
  t.notOk(isStuffing({ failed: 90, succeeded: 15 }, 0.5, 'range'), 'where half fail that is less of a wonder')
  t.ok(isStuffing({ failed: 90, succeeded: 15 }, 0.8, 'range'))
})

t.test('more successes never make an attack of what was none', async () => {
  const count = fc.nat({ max: 10_000 })
  fc.assert(
    fc.property(count, count, count, fc.double({ min: 0, max: 1, noNaN: true }), (failed, succeeded, more, usual) => {
      const before = isStuffing({ failed, succeeded }, usual, 'range')
      return before || !isStuffing({ failed, succeeded: succeeded + more }, usual, 'range')
    })
  )
})

t.test('the range of an address is a /24 or a /48, in all its spellings', async (t) => {
  const ranges: Array<[string, string | undefined]> = [
    ['203.0.113.9', '203.0.113.0/24'],
    ['::ffff:203.0.113.9', '203.0.113.0/24'],
    ['::ffff:cb00:7109', '203.0.113.0/24'],
    ['2001:db8:1:2::1', '2001:db8:1::/48'],
    ['2001:0DB8:0001:ffff:1:2:3:4', '2001:db8:1::/48'],
    ['2001:db8::1', '2001:db8:0::/48'],
    ['::1', '0:0:0::/48'],
    ['fe80::1%eth0', 'fe80:0:0::/48'],
    ['', undefined],
    ['nonsense', undefined],
    ['1:2:3', undefined]
  ]
  for (const [address, range] of ranges) t.equal(rangeOf(address), range, address)
})
