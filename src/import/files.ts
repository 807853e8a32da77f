import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'

/** A file that cannot be read at all, with what to do about it. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
}

/** What one entry did wrong. */
export class WrongEntry extends Error {
  override readonly name = 'WrongEntry'
}

/** A record with the number of the line or element where it begins. */
export type Numbered<T> = { readonly at: number } & (
  | { readonly value: T }
  /** It cannot be read. */
  | { readonly because: string }
)

const longest = 1024 * 1024

/** How a file begins, which tells a JSON array, JSON objects (one, or one a line) and CSV from each other. */
export async function sniff(path: string): Promise<'array' | 'objects' | 'csv'> {
  let head: string
  try {
    const file = await open(path)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0)
      head = buffer
        .subarray(0, bytesRead)
        .toString('utf8')
        .replace(/^\ufeff/, '')
        .trimStart()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new SourceError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
  }
  if (head === '') throw new SourceError(`${path} is empty.`)
  if (head.includes('\0')) throw new SourceError(`${path} is not text in UTF-8. Export it again, or convert it.`)
  return head.startsWith('[') ? 'array' : head.startsWith('{') ? 'objects' : 'csv'
}

/** The lines of a file of one JSON object a line. One that is no object, or longer than 1 MiB, is told and left out. */
export async function* jsonLines(path: string): AsyncGenerator<Numbered<Record<string, unknown>>> {
  for await (const { at, text } of lines(path)) {
    if (text === null) yield { at, because: 'it is longer than 1 MiB' }
    else if (text.trim() !== '') yield { at, ...parseObject(text) }
  }
}

function parseObject(text: string): { value: Record<string, unknown> } | { because: string } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value: value as never }
  } catch {
    // The message of the parser would repeat a piece of the line.
  }
  return { because: 'it is not a JSON object' }
}

/** Lines of a file by their numbers, from 1; null for one that is too long to be held. */
async function* lines(path: string): AsyncGenerator<{ at: number; text: string | null }> {
  let at = 1
  let rest: string | null = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const pieces: string[] = (at === 1 && rest === '' ? chunk.replace(/^\ufeff/, '') : chunk).split('\n')
    for (const [index, piece] of pieces.entries()) {
      if (rest !== null) rest = rest.length + piece.length > longest ? null : rest + piece
      if (index === pieces.length - 1) break
      yield { at, text: rest }
      at++
      rest = ''
    }
  }
  if (rest !== '') yield { at, text: rest }
}
