// Node's hooks that find and compile TypeScript. What was compiled is kept in .tap, by what it was made of.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const require = createRequire(import.meta.url)
const root = new URL('..', import.meta.url).href
const folder = fileURLToPath(new URL('../.tap/typescript/', import.meta.url))
const isOurs = (url) => url?.startsWith('file:') && !/\/(node_modules|dist)\//.test(url)
const options = { format: 'esm', target: 'node20.19', sourcemap: 'inline', loader: 'ts' }
const { version } = require('esbuild/package.json')

mkdirSync(folder, { recursive: true })

/** Where the service is in one file, made by test-bundle.js; undefined where its modules are loaded one by one. */
let bundle
export function initialize(data) {
  bundle = data?.bundle
}

/** TypeScript names the file that there will be. */
export function resolve(specifier, context, next) {
  if (specifier.endsWith('.js') && /^\.\.?\//.test(specifier) && isOurs(context.parentURL)) {
    const typescript = new URL(`${specifier.slice(0, -3)}.ts`, context.parentURL)
    const { href } = typescript
    const module = href.startsWith(root) ? href.slice(root.length, -3) : ''
    if (bundle !== undefined && /^(src|db)\//.test(module)) {
      const bundled = join(bundle, `${module}.js`)
      if (existsSync(bundled)) return { url: pathToFileURL(bundled).href, format: 'module', shortCircuit: true }
    }
    if (existsSync(typescript)) return { url: href, format: 'module', shortCircuit: true }
  }
  return next(specifier, context)
}

export function load(url, context, next) {
  if (!url.endsWith('.ts') || !isOurs(url)) return next(url, context)
  const file = fileURLToPath(url)
  const text = readFileSync(file, 'utf8')
  const made = createHash('sha256')
    .update(JSON.stringify([version, options, file, text]))
    .digest('hex')
  const kept = join(folder, `${made}.js`)
  if (!existsSync(kept)) {
    const { code } = require('esbuild').transformSync(text, { ...options, sourcefile: file })
    // Whole or not at all: tests run side by side.
    writeFileSync(`${kept}.${process.pid}`, code)
    renameSync(`${kept}.${process.pid}`, kept)
  }
  return { format: 'module', source: readFileSync(kept), shortCircuit: true }
}
