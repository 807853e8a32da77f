import t from 'tap'
import { Refusal } from '../../src/domain/refusal.js'
import { sharedReads } from '../../src/storage/shared-reads.js'

/** Reads that the test answers, each with what was there when it began. */
function reader() {
  const there = new Map<string, number>()
  const begun: string[][] = []
  const waiting: Array<(error?: Error) => void> = []
  const reading = (keys: readonly string[]) => {
    const found = new Map([...there].filter(([key]) => keys.includes(key)))
    begun.push([...keys])
    return new Promise<Map<string, number>>((resolve, reject) =>
      waiting.push((error) => (error === undefined ? resolve(found) : reject(error)))
    )
  }
  const read = sharedReads<number>({ alone: async (key) => (await reading([key])).get(key), together: reading })
  return { there, begun, read, answer: (error?: Error) => waiting.shift()!(error) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

t.test('those that come at once share a read, and each gets its own row', async (t) => {
  const { there, begun, read, answer } = reader()
  there.set('a', 1).set('b', 2)
  const rows = ['a', 'b', 'a', 'c'].map(read)
  await turn()
  t.same(begun, [['a', 'b', 'c']])
  answer()
  t.same(await Promise.all(rows), [1, 2, 1, undefined])
})

t.test('whoever asks while a read is under way is told what was there after that', async (t) => {
  const { there, begun, read, answer } = reader()
  there.set('a', 1)
  const before = read('a')
  await turn()
  there.set('a', 2)
  const after = read('a')
  await turn()
  t.same(begun, [['a'], ['a']])
  answer()
  answer()
  t.equal(await before, 1)
  t.equal(await after, 2)
})

t.test('two are under way at most, the rest come together after them', async (t) => {
  const { begun, read, answer } = reader()
  const rows = [read('a')]
  await turn()
  rows.push(read('b'))
  await turn()
  rows.push(read('c'), read('d'))
  await turn()
  t.same(begun, [['a'], ['b']])
  answer()
  await turn()
  t.same(begun[2], ['c', 'd'])
  answer()
  answer()
  t.same(await Promise.all(rows), [undefined, undefined, undefined, undefined])
})

t.test('the next read is under way before anybody is told what the last one found', async (t) => {
  const { begun, read, answer } = reader()
  const seen = (row: Promise<unknown>) => row.then(() => begun.length)
  const first = [read('a'), read('b')].map(seen)
  await turn()
  const second = seen(read('c'))
  await turn()
  const waiting = [read('d'), read('e')]
  await turn()
  t.equal(begun.length, 2)
  answer()
  t.same(await Promise.all(first), [3, 3], 'after several')
  const last = read('f')
  await turn()
  answer()
  t.equal(await second, 4, 'and after one')
  answer()
  answer()
  await Promise.all([...waiting, last])
})

t.test('without a database all are told, and whoever comes after them reads', async (t) => {
  const { there, read, answer } = reader()
  there.set('a', 1)
  const rows = [read('a'), read('b')]
  await turn()
  answer(new Refusal('service_unavailable'))
  for (const row of rows) await t.rejects(row, { code: 'service_unavailable' })
  const again = read('a')
  await turn()
  answer()
  t.equal(await again, 1)
})

t.test('what is wrong with reading them together is not so for one alone', async (t) => {
  const { there, begun, read, answer } = reader()
  there.set('a', 1)
  const rows = [read('a'), read('b')]
  await turn()
  answer(new Error('several shards'))
  await turn()
  t.same(begun, [['a', 'b'], ['a'], ['b']])
  answer()
  answer(new Error('of this one'))
  t.equal(await rows[0], 1)
  await t.rejects(rows[1]!, { message: 'of this one' })
})
