import t from 'tap'
import { narrow, scopesOf } from '../../src/domain/scope.js'

t.test('what was granted may be narrowed and never widened (RFC 9700 §4.14.2)', async (t) => {
  const rows: Array<[string[], string | undefined, string[] | undefined]> = [
    [['b', 'a'], undefined, ['a', 'b']],
    [['b', 'a'], 'a', ['a']],
    [['b', 'a'], 'b a b', ['a', 'b']],
    [['a'], 'b', undefined],
    [['a'], 'a b', undefined],
    [['a'], 'A', undefined],
    [['a'], '', undefined],
    [['a'], ' a', undefined],
    [['a'], 'a  a', undefined],
    [['a'], 'a\ta', undefined],
    [['a'], 'a,a', undefined],
    [[], undefined, []],
    [[], 'a', undefined]
  ]
  for (const [granted, asked, expected] of rows) t.same(narrow(granted, asked), expected, `${granted} for "${asked}"`)
})

t.test('no scope is no scope, not one without a name', async (t) => {
  t.same([...scopesOf('')], [])
  t.same([...scopesOf('a b')], ['a', 'b'])
})
