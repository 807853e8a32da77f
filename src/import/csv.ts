import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { type CsvError, type Info, parse } from 'csv-parse'
import { type Numbered, SourceError } from './files.js'

/**
 * The records of a CSV file with a header (RFC 4180, as Postgres' `\copy … csv header` writes it), by the numbers of the
 * lines where they begin. Names of columns are lower case in what is yielded. Throws a SourceError where a column of
 * `required` is missing, and where the rest cannot be told into records.
 */
export async function* csvRecords(
  path: string,
  required: readonly string[]
): AsyncGenerator<Numbered<Record<string, string>>> {
  const skipped: Skipped[] = []
  const parser = parse({
    bom: true,
    info: true,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: 1024 * 1024,
    on_skip(error) {
      const { lines = 0, bytes = 0, code } = (error ?? {}) as Partial<CsvError & Info>
      // One field can be wrong in several ways; the last of them says most.
      if (skipped.at(-1)?.bytes === bytes) skipped.pop()
      skipped.push({ lines, bytes, code })
      return undefined
    }
  })
  // An error of the file destroys the parser, and so comes out of its iteration.
  pipeline(createReadStream(path), parser, () => {})

  let columns: string[] | undefined
  let lastLine = 0
  let emptyLines = 0
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    while (skipped.length > 0 && skipped[0]!.lines <= info.lines) yield await told(path, skipped.shift()!)
    // The parser tells where a record ends; it begins after the last one and the empty lines between them.
    const at = lastLine + 1 + info.empty_lines - emptyLines
    lastLine = info.lines
    emptyLines = info.empty_lines
    if (columns === undefined) {
      columns = readHeader(path, record, required)
    } else if (record.length !== columns.length) {
      yield { at, because: `it has ${record.length} fields, and the header ${columns.length}` }
    } else yield { at, value: Object.fromEntries(columns.map((name, index) => [name, record[index]!])) }
  }
  // What follows an open quote is not read again as records: inside of it stands what users have typed, and they could
  // type records.
  for (const one of skipped) yield await told(path, one)
  if (columns === undefined) throw new SourceError(`${path} has no header. Export it with the names of its columns.`)
}

/** A record that cannot be read: the line where that was seen, and the byte at which its last field begins. */
interface Skipped {
  readonly lines: number
  readonly bytes: number
  readonly code: string | undefined
}

async function told(path: string, { lines, bytes, code }: Skipped): Promise<{ at: number; because: string }> {
  switch (code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return {
        at: await lineOf(path, bytes),
        because: 'a quote that was opened here is never closed: nothing after it could be read'
      }
    case 'CSV_MAX_RECORD_SIZE':
      return { at: await lineOf(path, bytes), because: 'it is longer than 1 MiB: nothing after it could be read' }
    default:
      return { at: lines, because: 'its quotes do not match' }
  }
}

const [newline, carriageReturn, comma] = [0x0a, 0x0d, 0x2c]

/** The line of the field that begins at a byte, or behind the delimiter there: what the parser counts goes on to the end. */
async function lineOf(path: string, offset: number): Promise<number> {
  let line = 1
  let at = 0
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      const isBetween = byte === newline || byte === carriageReturn || byte === comma
      if (at >= offset && !isBetween) return line
      if (byte === newline) line++
      at++
    }
  }
  return line
}

function readHeader(path: string, record: readonly string[], required: readonly string[]): string[] {
  const columns = record.map((name) => name.trim().toLowerCase())
  const missing = required.filter((name) => !columns.includes(name))
  if (missing.length > 0) {
    throw new SourceError(
      `The first line of ${path} does not name the column${missing.length > 1 ? 's' : ''} ${missing.join(', ')}. ` +
        'Export it with a header.'
    )
  }
  return columns
}
