import t from 'tap'
import { Refusal } from '../../src/domain/refusal.js'
import { groupCommit } from '../../src/storage/group-commit.js'

interface Item {
  readonly row: string
  readonly value: number
}

/** Statements that the test answers; each result is the value that was sent. */
function writer(maxInFlight = 1) {
  const begun: number[][] = []
  const waiting: Array<(error?: Error) => void> = []
  const writing = (items: readonly Item[]) => {
    begun.push(items.map(({ value }) => value))
    return new Promise<Map<string, number>>((resolve, reject) =>
      waiting.push((error) =>
        error === undefined ? resolve(new Map(items.map(({ row, value }) => [row, value]))) : reject(error)
      )
    )
  }
  const run = groupCommit<Item, number>({
    maxInFlight,
    maxItems: 3,
    keyOf: ({ row }) => row,
    alone: async (item) => (await writing([item])).get(item.row)!,
    together: writing
  })
  return {
    begun,
    write: (row: string, value: number) => run({ row, value }),
    answer: (e?: Error) => waiting.shift()!(e)
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('the next statement is under way before anybody is told the result of the last one', async (t) => {
  const { begun, write, answer } = writer()
  const seen = (result: Promise<unknown>) => result.then(() => begun.length)
  const first = [write('a', 1), write('b', 2)].map(seen)
  await turn()
  const second = seen(write('c', 3))
  await turn()
  t.same(begun, [[1, 2]], 'one at a time')
  answer()
  t.same(await Promise.all(first), [2, 2], 'after several')
  const third = write('d', 4)
  await turn()
  answer()
  t.equal(await second, 3, 'and after one')
  answer()
  t.equal(await third, 4)
})

t.test('one statement takes each row once, and no more than it may', async (t) => {
  const { begun, write, answer } = writer()
  const results = [write('a', 1), write('a', 2), write('b', 3), write('c', 4), write('d', 5)]
  for (const expected of [
    [1, 3, 4],
    [2, 5]
  ]) {
    await turn()
    t.same(begun.pop(), expected)
    answer()
  }
  t.same(await Promise.all(results), [1, 2, 3, 4, 5])
})

t.test('what fails is done alone, and without a database nothing is', async (t) => {
  const { begun, write, answer } = writer()
  const results = [write('a', 1), write('b', 2)]
  await turn()
  answer(new Error('of one of them'))
  await turn()
  t.same(begun, [[1, 2], [1], [2]])
  answer()
  answer(new Error('of this one'))
  t.equal(await results[0], 1)
  await t.rejects(results[1]!, { message: 'of this one' })
  const others = [write('a', 3), write('b', 4)]
  await turn()
  answer(new Refusal('service_unavailable'))
  for (const one of others) await t.rejects(one, { code: 'service_unavailable' })
  const last = write('a', 5)
  await turn()
  answer()
  t.equal(await last, 5)
})
