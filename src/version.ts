import { existsSync, readFileSync } from 'node:fs'

/** The package's version, found from the sources and from what they compile to. */
function readVersion(): string {
  for (const up of ['../', '../../']) {
    const file = new URL(`${up}package.json`, import.meta.url)
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version
  }
  throw new Error('package.json is missing beside the program')
}

export const version = readVersion()
