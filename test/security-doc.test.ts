import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'

const page = readFileSync(new URL('../docs/security.md', import.meta.url), 'utf8')
const [requirements = '', incidents = ''] = page.split('## What happened to others')

/** The requirements of ASVS 5.0 that a service of this kind fulfils by itself. */
const asked = `
  6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12 6.3.1 6.3.2 6.3.4 6.3.6 6.3.8 6.4.1 6.4.2 6.4.3 6.4.6 6.8.2
  7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.5 7.5.1 7.5.2 7.6.2
  9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4
  10.3.1 10.3.2 10.3.3 10.4.4 10.4.5 10.4.8 10.4.9 10.4.10 10.4.11
  11.2.1 11.2.2 11.2.3 11.2.4 11.2.5 11.3.1 11.3.2 11.3.3 11.3.4 11.4.1 11.4.2 11.4.3 11.5.1 11.6.1
  13.2.1 13.2.2 13.2.3 13.2.4 13.2.5 13.2.6 13.3.1 13.3.2 13.3.4 13.4.1 13.4.2 13.4.4 13.4.5 13.4.6
  16.2.1 16.2.2 16.2.3 16.2.4 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.5.1 16.5.2 16.5.3 16.5.4`
  .trim()
  .split(/\s+/)

/** The rows of a table, each by its cells. */
const rowsOf = (text: string) =>
  [...text.matchAll(/^\| (\d[\d.–]*) \| (.*) \|$/gm)].map(([, number = '', rest = '']) => ({
    number,
    cells: rest.split(' | ')
  }))

/** What a cell names: files below test, each with a title. */
const proofsOf = (cell: string) =>
  [...cell.matchAll(/\[[\w/-]+\]\(\.\.\/(test\/[\w/-]+\.test\.ts)\): “(.*?)”(?=<br>|$)/g)].map(
    ([, file = '', title = '']) => ({
      file,
      title: title.replaceAll('&#124;', '|')
    })
  )

/** The titles of a file, as they are written in it. */
function titlesOf(file: string): string[] {
  const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
  return [...source.matchAll(/\bt\.test\(\s*(['"`])((?:\\.|(?!\1).)*)\1/g)].map(([, , title = '']) =>
    title.replaceAll("\\'", "'")
  )
}

t.test('each requirement has a row, and each row says how and by what it is shown', async (t) => {
  const rows = rowsOf(requirements)
  t.same(
    rows.map(({ number }) => number),
    asked
  )
  for (const { number, cells } of rows) {
    t.equal(cells.length, 3, number)
    t.ok(proofsOf(cells[2]!).length > 0, `${number} names a test`)
  }
})

t.test('each hole of others has a row, with a test or with why there is none', async (t) => {
  const numbers = rowsOf(incidents).flatMap(({ number }) => {
    const [from, to = from] = number.split('–').map(Number) as [number, number?]
    return Array.from({ length: to - from + 1 }, (_, at) => from + at)
  })
  const expected = Array.from({ length: 100 }, (_, at) => at + 1).filter((number) => number !== 14 && number !== 15)
  t.same(numbers, expected)
  for (const { number, cells } of rowsOf(incidents)) {
    if (/exists( yet)?$/.test(cells.at(-1)!)) continue
    t.ok(proofsOf(cells.at(-1)!).length > 0, `${number} names a test`)
  }
})

t.test('every test that the page names is there', async (t) => {
  const proofs = [...rowsOf(requirements), ...rowsOf(incidents)].flatMap(({ cells }) => proofsOf(cells.at(-1)!))
  t.ok(proofs.length > 200)
  t.equal(proofs.length, page.match(/\]\(\.\.\/test\//g)?.length, 'none is written in another way')
  for (const { file, title } of proofs) {
    if (!existsSync(new URL(`../${file}`, import.meta.url))) t.fail(`${file} is not there`)
    else if (!titlesOf(file).includes(title)) t.fail(`${file} has no test “${title}”`)
  }
})
