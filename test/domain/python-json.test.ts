import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { pythonJsonError } from '../../src/domain/python-json.js'

const cases: Array<[string, string | undefined]> = [
  ['{"a": [1, 2.5e3, "\\u00e9\\n", null, true]}', undefined],
  ['', 'Expecting value: line 1 column 1 (char 0)'],
  ['{', 'Expecting property name enclosed in double quotes: line 1 column 2 (char 1)'],
  ['{"a" 1}', "Expecting ':' delimiter: line 1 column 6 (char 5)"],
  ['{"a": 1 "b": 2}', "Expecting ',' delimiter: line 1 column 9 (char 8)"],
  ['{"a": "b', 'Unterminated string starting at: line 1 column 7 (char 6)'],
  ['{"a": "b\n"}', 'Invalid control character at: line 1 column 9 (char 8)'],
  ['"\\q"', 'Invalid \\escape: line 1 column 2 (char 1)'],
  ['"\\u12"', 'Invalid \\uXXXX escape: line 1 column 3 (char 2)'],
  ['{\n "a": x}', 'Expecting value: line 2 column 7 (char 8)'],
  ['"\u{1f600}" x', 'Extra data: line 1 column 5 (char 4)'],
  ['NaN', "Out of range float values are not JSON compliant: 'NaN'"]
]
for (const [text, expected] of cases) {
  t.test(`Python says of ${JSON.stringify(text)}: ${expected ?? 'nothing'}`, async (t) => {
    t.equal(pythonJsonError(text), expected)
  })
}

const python = '/usr/bin/python3'
const skip = spawnSync(python, ['-c', 'import json']).status === 0 ? false : 'there is no Python here'
const judge = `
import json, sys
def refuse(name):
    raise ValueError("Out of range float values are not JSON compliant: " + repr(name))
def judge(text):
    try:
        json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return str(error)
print(json.dumps([judge(text) for text in json.load(sys.stdin)]))`

t.test('and so does Python itself, of ten thousand texts', { skip }, async (t) => {
  const piece = fc.constantFrom(...'{}[]:,"\\u12an \n-.e', 'null', 'true', '"a"', '"a":', '1', '\u{1f600}', 'NaN')
  const texts = fc.sample(
    fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join('')),
    10_000
  )
  const { stdout } = spawnSync(python, ['-c', judge], { input: JSON.stringify(texts), maxBuffer: 100_000_000 })
  t.same(
    texts.map((text) => pythonJsonError(text) ?? null),
    JSON.parse(stdout.toString())
  )
})
