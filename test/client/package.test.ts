import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { publint } from 'publint'
import t from 'tap'
import type { ProblemCode, ServiceCode } from '../../packages/client/src/index.js'
import { type RefusalCode, refusalCodes } from '../../src/domain/refusal.js'
import { scratchFolder } from '../support/service.js'

const folder = fileURLToPath(new URL('../../packages/client', import.meta.url))
const run = promisify(execFile)

/** 7 kB, in bytes. */
const budget = 7 * 1024

async function sizeOf(entry: string, external: string[] = []): Promise<number> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'dist', entry)],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external
  })
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length
}

t.test('the client has at most 7 kB, minified and compressed, and depends on nothing', async (t) => {
  const size = await sizeOf('index.js')
  t.ok(size <= budget, `${size} bytes`)
  const others = ['account.js', 'dpop.js', 'react.js'].map(
    async (entry) => [entry, await sizeOf(entry, ['react'])] as const
  )
  for (const [entry, bytes] of await Promise.all(others)) t.ok(bytes <= 1.5 * 1024, `${entry}: ${bytes} bytes`)
  t.comment(`core ${size} bytes`)
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  t.equal(dependencies, undefined)
})

t.test(
  'packed, and installed alone, every entry can be imported and compiled against',
  { timeout: 60_000 },
  async (t) => {
    const scratch = scratchFolder(t)
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', scratch], { cwd: folder })
    const [packed] = Object.values(JSON.parse(stdout)) as Array<{ filename: string; files: Array<{ path: string }> }>
    const paths = packed!.files.map(({ path }) => path)
    t.notOk(
      paths.filter((path) => !/^(dist\/[\w-]+\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(path)).length,
      'and holds nothing else'
    )
    const app = join(scratch, 'app')
    mkdirSync(app)
    writeFileSync(join(app, 'package.json'), '{"type":"module"}')
    const tarball = join(scratch, packed!.filename)
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: app })
    const { messages } = await publint({
      pkgDir: join(app, 'node_modules/@keyturn/client'),
      strict: true,
      pack: false
    })
    t.same(messages, [], 'it is what package managers, bundlers and compilers expect')
    const { exports: entries } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    for (const entry of Object.values(entries).flatMap((one) =>
      typeof one === 'string' ? one : Object.values(one!)
    )) {
      t.ok(paths.includes(String(entry).slice(2)), `${entry} is in it`)
    }
    t.ok(paths.includes('README.md') && paths.includes('LICENSE'))
    const script = `
    import { createAuthClient, AuthUnreachableError } from '@keyturn/client'
    import { accountOf } from '@keyturn/client/account'
    import { dpop } from '@keyturn/client/dpop'
    const auth = createAuthClient({ baseUrl: 'http://localhost:1', dpop: dpop() })
    console.log(auth.state.status, typeof accountOf(auth).sessions, typeof AuthUnreachableError)`
    writeFileSync(join(app, 'index.js'), script)
    const imported = await run(process.execPath, ['index.js'], { cwd: app })
    t.equal(imported.stdout.trim(), 'loading function function')
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
    writeFileSync(join(app, 'page.ts'), script.replace('console.log(', 'export const said = [').replace(/\)\s*$/, ']'))
    const compilerOptions = { strict: true, module: 'nodenext', lib: ['es2022', 'dom'], types: [], noEmit: true }
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }))
    await t.resolves(run(process.execPath, [tsc, '-p', app], { cwd: app }))
  }
)

t.test('the codes are those of the service, one for one', async (t) => {
  const isComplete: Exclude<RefusalCode, ServiceCode> extends never ? true : false = true
  const isExact: Exclude<ServiceCode, RefusalCode> extends never ? true : false = true
  const codes: readonly ProblemCode[] = refusalCodes
  t.ok(isComplete && isExact && codes.length > 0, 'which the compiler says')
})
