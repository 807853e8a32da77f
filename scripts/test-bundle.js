// Puts what tests load of the service into one file: to find and compile 300 by themselves takes most of the time of most
// tests. Each module keeps its name, in a file that takes its exports out of the one.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import { banner, external, modulePaths } from './bundle.js'

const folder = join('.tap', 'sources')

const sources = (root) =>
  ['src', 'db'].flatMap((name) =>
    readdirSync(join(root, name), { recursive: true })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts') && file !== join('cli', 'main.ts'))
      .map((file) => join(name, file))
  )

/** Where the lines of packages come from is asked by nobody, and each test would read it. */
const unmapped = {
  name: 'unmapped',
  setup({ onLoad }) {
    const map = Buffer.from('{"version":3,"sources":[""],"mappings":"A"}').toString('base64')
    onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, async ({ path }) => ({
      contents: `${await readFile(path, 'utf8')}\n//# sourceMappingURL=data:application/json;base64,${map}`,
      loader: 'default'
    }))
  }
}

/** What each module exports, by its file. */
async function exportsOf(root, files) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: files,
    outdir: folder,
    outbase: '.',
    format: 'esm',
    target: 'node20.19',
    metafile: true,
    write: false
  })
  return new Map(Object.values(metafile.outputs).map(({ entryPoint, exports }) => [entryPoint, exports]))
}

/**
 * Writes the one file and those that stand for the modules; tells where they are. `mapped` where a person reads stacks: to
 * read the map takes each test's process as long as the code itself.
 */
export async function bundleForTests(root, { mapped }) {
  const files = sources(root)
  const names = await exportsOf(root, files)
  const all = files.filter((file) => names.get(file)?.length > 0)
  rmSync(join(root, folder), { recursive: true, force: true })
  await build({
    absWorkingDir: root,
    stdin: {
      contents: all.map((file, n) => `export * as m${n} from './${file}'`).join('\n'),
      loader: 'ts',
      resolveDir: root,
      sourcefile: 'all.ts'
    },
    outfile: join(folder, 'all.js'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external,
    banner: { js: banner },
    // Names stay, and with them what a stack tells.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: 200,
    sourcemap: mapped ? 'inline' : false,
    sourcesContent: false,
    plugins: [modulePaths(root, relative(folder, '.')), ...(mapped ? [unmapped] : [])],
    logLevel: 'warning'
  })
  for (const [n, file] of all.entries()) {
    const to = join(folder, file.replace(/\.ts$/, '.js'))
    const taken = names
      .get(file)
      .map((name) => (name === 'default' ? `export default m.default` : `export const ${name} = m.${name}`))
    mkdirSync(join(root, dirname(to)), { recursive: true })
    const from = relative(dirname(to), join(folder, 'all.js'))
    writeFileSync(join(root, to), [`import { m${n} as m } from './${from}'`, ...taken, ''].join('\n'))
  }
  return join(root, folder)
}
