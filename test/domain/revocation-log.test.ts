import fc from 'fast-check'
import t from 'tap'
import type { Revocation } from '../../src/domain/revocation.js'
import { idOf, isCursor, origin } from '../../src/domain/revocation-cursor.js'
import { cursorOf, RevocationLog } from '../../src/domain/revocation-log.js'

const at = (seconds: number) => new Date(Date.parse('2030-01-01T12:00:00Z') + seconds * 1000)
const entry = (id: number, subject = `session-${id}`, expiresAt = at(600)): Revocation => ({
  id,
  kind: 'session',
  subject,
  because: 'logout',
  expiresAt
})
function logOf(...entries: Revocation[]): RevocationLog {
  const log = new RevocationLog()
  for (const one of entries) log.append(one)
  return log
}
const ids = (entries: readonly Revocation[] | undefined) => entries?.map(({ id }) => id)

t.test('a reader gets what came after its cursor, a page at a time', async (t) => {
  const log = logOf(entry(3), entry(5), entry(9))
  t.same(ids(log.after(origin, 10)), [3, 5, 9])
  t.same(ids(log.after(origin, 2)), [3, 5])
  t.same(ids(log.after(cursorOf(entry(5)), 10)), [9])
  t.same(ids(log.after(log.cursor, 10)), [])
})

t.test('a cursor that is no place in the log gets nothing, not even silence', async (t) => {
  const log = logOf(entry(3), entry(5))
  for (const [title, cursor] of [
    ['ahead', cursorOf(entry(6))],
    ['between', cursorOf(entry(4))],
    ['before all', cursorOf(entry(1))],
    ['another entry of a known id', cursorOf(entry(3, 'another'))],
    ['another entry of the last id', cursorOf(entry(5, 'another'))]
  ] as const) {
    t.equal(log.after(cursor, 10), undefined, title)
  }
})

t.test('what has expired is forgotten; the place of the last one is not', async (t) => {
  const log = logOf(entry(3, 'a', at(10)), entry(5, 'b', at(600)), entry(9, 'c', at(10)))
  log.prune(at(10))
  t.same(ids(log.after(origin, 10)), [5])
  t.same(ids(log.after(cursorOf(entry(9, 'c', at(10))), 10)), [], 'a reader that was there need not begin anew')
  t.equal(log.after(cursorOf(entry(3, 'a', at(10))), 10), undefined)
  t.ok(log.endsWith(entry(9, 'c', at(10))))
  t.notOk(log.endsWith(entry(9, 'd', at(10))))
})

t.test('whoever reads in pages of any size, from any place, misses none', async (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      (all, size) => {
        const sorted = all.sort((a, b) => a - b)
        const log = logOf(...sorted.map((id) => entry(id)))
        const read: number[] = []
        let cursor = origin
        for (;;) {
          const page = log.after(cursor, size)!
          if (page.length === 0) break
          read.push(...page.map(({ id }) => id))
          cursor = cursorOf(page.at(-1)!)
        }
        return read.join() === sorted.join() && cursor === log.cursor
      }
    )
  )
  t.pass()
})

t.test('a cursor is a number with a check, or the origin', async (t) => {
  t.ok(isCursor(origin) && isCursor(cursorOf(entry(12))))
  t.equal(idOf(cursorOf(entry(12))), 12)
  t.equal(idOf(origin), 0)
  for (const text of [
    '',
    '12',
    '0.abcdefgh',
    '01.abcdefgh',
    '-1.abcdefgh',
    '12.abcdefg',
    '12.abcdefghi',
    '1e3.abcdefgh',
    12
  ]) {
    t.notOk(isCursor(text), String(text))
  }
})
