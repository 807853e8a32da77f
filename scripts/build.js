// Compiles src and db into dist, bundles what is started, and lays the files that are not code beside it; with --packages
// also what others install, each into a dist of its own.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { bundle } from './bundle.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const packages = process.argv.includes('--packages') ? ['packages/verifier', 'packages/client'] : []
for (const project of ['tsconfig.build.json', ...packages]) {
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
for (const folder of ['chunks', 'compile-cache']) rmSync(`${root}/dist/${folder}`, { recursive: true, force: true })
await bundle(root)
cpSync(`${root}/db/migrations`, `${root}/dist/db/migrations`, { recursive: true })
cpSync(`${root}/src/assets`, `${root}/dist/src/assets`, { recursive: true })
// npx runs it as a program.
chmodSync(`${root}/dist/src/cli/main.js`, 0o755)
