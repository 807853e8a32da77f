import t from 'tap'
import { HeldTokens } from '../../src/domain/held-tokens.js'

const tail = (n: number) => `${n}`.padStart(86, 's')

t.test('what has only the end of a token that is held is not that token, young or old', async (t) => {
  const held = new HeldTokens<number>(4)
  for (const n of [1, 2, 3]) held.add(`claims-${n}.${tail(n)}`, n)
  for (const n of [3, 1, 2]) {
    for (const other of [`claims-${n + 1}.${tail(n)}`, tail(n), `claims-${n}.${tail(n)} `, `claims-${n}.${tail(4)}`]) {
      t.equal(held.get(other), undefined, other)
    }
    t.equal(held.get(`claims-${n}.${tail(n)}`), n, 'and the token itself is there as before')
  }
})

t.test('the generation before the last one is forgotten, but for what was asked for', async (t) => {
  const held = new HeldTokens<number>(4)
  const token = (n: number) => `claims.${tail(n)}`
  for (const n of [1, 2, 3]) held.add(token(n), n)
  t.equal(held.get(token(1)), 1)
  held.add(token(4), 4)
  t.same(
    [1, 2, 3, 4].map((n) => held.get(token(n))),
    [1, undefined, 3, 4]
  )
  held.delete(token(1))
  t.equal(held.get(token(1)), undefined)
  held.clear()
  t.equal(held.size, 0)
  const none = new HeldTokens<number>(0)
  none.add(token(1), 1)
  t.equal(none.get(token(1)), undefined)
})
