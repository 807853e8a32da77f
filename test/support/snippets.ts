import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Writes the code blocks of a document into a folder: those of the language whose first line is a comment with the name
 * of a file. So what the tests run is what people copy. Returns the names.
 */
export function unpackSnippets(document: URL, language: string, folder: string): string[] {
  const block = new RegExp(`^\`\`\`${language}\\n(# ([\\w./-]+)\\n[\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...readFileSync(document, 'utf8').matchAll(block)].map(([, code, name]) => {
    const file = join(folder, name!)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, code!)
    return name!
  })
}
