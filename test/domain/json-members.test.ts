import fc from 'fast-check'
import t from 'tap'
import { duplicateMember } from '../../src/domain/json-members.js'

/** A JSON value in which an object is a list of its members, so that one name can come twice. */
type Node = { object: Array<[string, Node]> } | { array: Node[] } | { leaf: unknown }

/** The first name that ends an object with two of it, as it would be read from left to right. */
function reference(node: Node): string | undefined {
  if ('array' in node) return firstOf(node.array.map((item) => () => reference(item)))
  if (!('object' in node)) return undefined
  const seen = new Set<string>()
  for (const [name, value] of node.object) {
    if (seen.has(name)) return name
    seen.add(name)
    const inside = reference(value)
    if (inside !== undefined) return inside
  }
  return undefined
}
const firstOf = (finders: Array<() => string | undefined>) => {
  for (const find of finders) {
    const found = find()
    if (found !== undefined) return found
  }
  return undefined
}

/** Writes a text with some of its characters as \u escapes, and with white space that a parser skips. */
function write(node: Node, isEscaped: (at: number) => boolean, space: string): string {
  const text = (value: string) => {
    const units = Array.from({ length: value.length }, (_, at) => {
      const unit = value[at]!
      return isEscaped(at)
        ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
        : JSON.stringify(unit).slice(1, -1)
    })
    return `"${units.join('')}"`
  }
  if ('array' in node) return `[${space}${node.array.map((item) => write(item, isEscaped, space)).join(`${space},`)}]`
  if ('object' in node) {
    const members = node.object.map(
      ([name, value]) => `${text(name)}${space}:${space}${write(value, isEscaped, space)}`
    )
    return `{${space}${members.join(`${space},${space}`)}}`
  }
  return typeof node.leaf === 'string' ? text(node.leaf) : JSON.stringify(node.leaf)
}

const names = fc.oneof(
  fc.constantFrom('a', 'b', 'id', '"', '\\', '{', '}', '[', ':', ',', '', '\\"', 'é', '__proto__x'),
  fc.string({ maxLength: 4 })
)
const leaves = fc.oneof(
  fc.constantFrom(null, true, 0, -1.5e3, '{"a":1,"a":2}', '",', '\\', 'a'),
  fc.string({ maxLength: 6 })
)
const { tree } = fc.letrec<{ tree: Node; leaf: Node }>((tie) => ({
  leaf: leaves.map((leaf) => ({ leaf })),
  tree: fc.oneof(
    { depthSize: 'medium' },
    tie('leaf'),
    fc.array(fc.tuple(names, tie('tree')), { maxLength: 4 }).map((object) => ({ object })),
    fc.array(tie('tree'), { maxLength: 4 }).map((array) => ({ array }))
  )
}))

t.test('finds the first member that occurs twice, as a plain reading does', async (t) => {
  fc.assert(
    fc.property(tree, fc.integer(), fc.constantFrom('', ' ', '\n\t', '\r\n '), (node, seed, space) => {
      const json = write(node, (at) => ((seed >> (at % 31)) & 1) === 1, space)
      JSON.parse(json)
      return duplicateMember(json) === reference(node)
    }),
    { numRuns: 5_000 }
  )
  t.pass()
})

const cases: Array<[string, string, string | undefined]> = [
  ['twice in one object', '{"a":1,"a":2}', 'a'],
  ['once escaped', '{"a":1,"\\u0061":2}', 'a'],
  ['both escaped, in two ways', '{"\\u005C":1,"\\\\":2}', '\\'],
  ['a quotation mark as a name', '{"\\"":1,"\\u0022":2}', '"'],
  ['in an object within an array', '[{"a":1},{"b":1,"b":1}]', 'b'],
  ['behind an array', '{"a":[1,2,3],"a":1}', 'a'],
  ['behind an object', '{"a":{"b":1},"a":1}', 'a'],
  ['the empty name', '{"":1,"":2}', ''],
  ['a name as a value', '{"a":"b","b":"a"}', undefined],
  ['in a text', '{"a":"{\\"b\\":1,\\"b\\":2}"}', undefined],
  ['in siblings', '{"a":{"x":1},"b":{"x":1}}', undefined],
  ['in parent and child', '{"a":{"a":{"a":1}}}', undefined],
  ['texts of an array', '["a","a","a"]', undefined],
  ['letters that differ', '{"a":1,"A":2}', undefined],
  ['composed and decomposed', '{"\\u00e9":1,"e\\u0301":2}', undefined],
  ['a scalar', '"a"', undefined],
  ['nothing in it', '{}', undefined]
]
for (const [title, json, expected] of cases) {
  t.test(`duplicate members: ${title}`, async (t) => {
    JSON.parse(json)
    t.equal(duplicateMember(json), expected)
  })
}

t.test('a very deep text needs no stack', async (t) => {
  const deep = `${'['.repeat(100_000)}{"a":1,"a":2}${']'.repeat(100_000)}`
  t.equal(duplicateMember(deep), 'a')
})
