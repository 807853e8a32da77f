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
  const skipped: Array<{ at: number; because: string }> = []
  const parser = parse({
    bom: true,
    info: true,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: 1024 * 1024,
    on_skip(error) {
      skipped.push({ at: (error as (CsvError & { lines?: number }) | undefined)?.lines ?? 0, because: reason(error) })
      return undefined
    }
  })
  // An error of the file destroys the parser, and so comes out of its iteration.
  pipeline(createReadStream(path), parser, () => {})

  let columns: string[] | undefined
  let lastLine = 0
  let emptyLines = 0
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    while (skipped.length > 0 && skipped[0]!.at <= info.lines) yield skipped.shift()!
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
  yield* skipped
  if (columns === undefined) throw new SourceError(`${path} has no header. Export it with the names of its columns.`)
}

function reason(error: CsvError | undefined): string {
  switch (error?.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quote that was opened is never closed: nothing after it could be read'
    case 'CSV_MAX_RECORD_SIZE':
      return 'it is longer than 1 MiB: nothing after it could be read'
    default:
      return 'its quotes do not match'
  }
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
