import Assembler from 'stream-json/assembler.js'
import { parseFile } from 'stream-json/file/parser.js'
import { type Numbered, SourceError } from './files.js'

/** More tokens than any user has: what is larger is not held in memory. */
const mostTokens = 100_000

/**
 * The elements of a JSON array by their numbers, from 1: of the file's own, or of the one that the member of that name
 * in its outermost object holds. One element at a time is in memory. Throws a SourceError where the file breaks off, after
 * the elements before that; where the text is not JSON, some of them are lost with the block of the file that it is in.
 */
export async function* jsonElements(path: string, member?: string): AsyncGenerator<Numbered<Record<string, unknown>>> {
  const outer = member === undefined ? 1 : 2
  let depth = 0
  let key: unknown
  let at = 0
  let isInside = false
  let isComplete = false
  let assembler = new Assembler()
  let tokens = 0
  try {
    for await (const token of parseFile({ streamValues: false })(path)) {
      const opens = token.name === 'startObject' || token.name === 'startArray'
      const closes = token.name === 'endObject' || token.name === 'endArray'
      if (closes) depth--
      if (isInside && closes && depth === outer - 1) {
        isInside = false
        isComplete = true
      } else if (isInside) {
        assembler.consume(token)
        if (++tokens > mostTokens) throw new SourceError(`Element ${at + 1} of ${path} is too large to be a user.`)
        // The last token of an element: it closes it, or is all of it.
        if (depth === outer && !opens) {
          at++
          yield { at, ...objectOf(assembler.current) }
          assembler = new Assembler()
          tokens = 0
        }
      } else if (token.name === 'keyValue' && depth === 1) key = token.value
      else if (token.name === 'startArray' && depth === outer - 1 && (member === undefined || key === member)) {
        isInside = true
      }
      if (opens) depth++
    }
  } catch (error) {
    if (error instanceof SourceError) throw error
    throw new SourceError(`${path} is not JSON, soon after element ${at}: ${(error as Error).message}`)
  }
  if (!isComplete && !isInside) {
    throw new SourceError(
      member === undefined ? `${path} is not a JSON array.` : `${path} has no array "${member}" in its object.`
    )
  }
  if (isInside || depth > 0) throw new SourceError(`${path} breaks off after element ${at}.`)
}

function objectOf(value: unknown): { value: Record<string, unknown> } | { because: string } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value: value as never }
  return { because: 'it is not a JSON object' }
}
