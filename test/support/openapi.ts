import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parse } from 'yaml'

/**
 * openapi.yaml as it is committed. To parse that much YAML takes a quarter of a second, which every process of a test would
 * spend again: what was read is kept in .tap, by what it was made of.
 */
export function readOpenapi<Document>(): Document {
  const text = readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')
  const digest = createHash('sha256').update(text).digest('hex')
  const kept = new URL(`../../.tap/openapi/${digest}.json`, import.meta.url)
  try {
    return JSON.parse(readFileSync(kept, 'utf8'))
  } catch {
    const document = parse(text) as Document
    mkdirSync(new URL('.', kept), { recursive: true })
    // Whole or not at all: tests run side by side.
    const draft = new URL(`${kept.href}.${process.pid}`)
    writeFileSync(draft, JSON.stringify(document))
    renameSync(draft, kept)
    return document
  }
}
