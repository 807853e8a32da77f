/**
 * What Python's json module says of a text that is not JSON: clients of Django REST Framework get its words, with line,
 * column and character. Undefined where the text is JSON to Python.
 */
export function pythonJsonError(text: string): string | undefined {
  try {
    const end = value(text, space(text, 0))
    const rest = space(text, end)
    return rest === text.length ? undefined : at('Extra data', text, rest)
  } catch (error) {
    if (error instanceof Stop) return error.message
    throw error
  }
}

/** The first mistake. */
class Stop extends Error {}

function at(message: string, text: string, index: number): string {
  const before = [...text.slice(0, index)]
  const line = before.filter((character) => character === '\n').length + 1
  const column = before.length - before.lastIndexOf('\n')
  return `${message}: line ${line} column ${column} (char ${before.length})`
}

function stop(message: string, text: string, index: number): never {
  throw new Stop(at(message, text, index))
}

function space(text: string, from: number): number {
  let index = from
  while (/[ \t\n\r]/.test(text.charAt(index))) index++
  return index
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y
const constants = ['null', 'true', 'false', 'NaN', 'Infinity', '-Infinity']
/** Django REST Framework takes Python's parser, which knows these, and refuses them itself. */
const notJson = new Set(['NaN', 'Infinity', '-Infinity'])

/** Where the value that begins at an index ends. */
function value(text: string, from: number): number {
  const first = text.charAt(from)
  if (first === '"') return string(text, from)
  if (first === '{') return object(text, from)
  if (first === '[') return array(text, from)
  const constant = constants.find((one) => text.startsWith(one, from))
  if (constant !== undefined) {
    if (notJson.has(constant)) throw new Stop(`Out of range float values are not JSON compliant: '${constant}'`)
    return from + constant.length
  }
  number.lastIndex = from
  const found = number.exec(text)
  return found === null ? stop('Expecting value', text, from) : from + found[0].length
}

function string(text: string, from: number): number {
  for (let index = from + 1; ; index++) {
    const character = text.charAt(index)
    if (character === '') stop('Unterminated string starting at', text, from)
    if (character === '"') return index + 1
    if (character < ' ') stop('Invalid control character at', text, index)
    if (character !== '\\') continue
    const escaped = text.charAt(index + 1)
    if (escaped === '') stop('Unterminated string starting at', text, from)
    if (escaped === 'u') {
      if (!/^[0-9a-fA-F]{4}/.test(text.slice(index + 2))) stop('Invalid \\uXXXX escape', text, index + 1)
      index += 4
    } else if (!'"\\/bfnrt'.includes(escaped)) stop('Invalid \\escape', text, index)
    index++
  }
}

function object(text: string, from: number): number {
  let index = space(text, from + 1)
  if (text.charAt(index) === '}') return index + 1
  for (;;) {
    if (text.charAt(index) !== '"') stop('Expecting property name enclosed in double quotes', text, index)
    index = space(text, string(text, index))
    if (text.charAt(index) !== ':') stop("Expecting ':' delimiter", text, index)
    index = space(text, value(text, space(text, index + 1)))
    if (text.charAt(index) === '}') return index + 1
    if (text.charAt(index) !== ',') stop("Expecting ',' delimiter", text, index)
    index = space(text, index + 1)
  }
}

function array(text: string, from: number): number {
  let index = space(text, from + 1)
  if (text.charAt(index) === ']') return index + 1
  for (;;) {
    index = space(text, value(text, index))
    if (text.charAt(index) === ']') return index + 1
    if (text.charAt(index) !== ',') stop("Expecting ',' delimiter", text, index)
    index = space(text, index + 1)
  }
}
