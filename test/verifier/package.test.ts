import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import t from 'tap'
import { scratchFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'packages/verifier')
const built = join(folder, 'dist/packages/verifier/src')
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** Everything that a built file imports, files of ours and others, however deep. */
function graphOf(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  const text = readFileSync(entry, 'utf8')
  for (const [, from] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
    if (from!.startsWith('.')) graphOf(join(dirname(entry), from!), seen)
    else seen.add(from!)
  }
  return seen
}

t.test('the core runs everywhere: it imports jose and nothing else, least of all what only Node has', async (t) => {
  const outsideOf = (entry: string) => [...graphOf(join(built, entry))].filter((name) => !name.startsWith('/')).sort()
  t.same(outsideOf('index.js'), ['jose'])
  // The types of their frameworks are for the compiler alone.
  for (const entry of ['express.js', 'fastify.js']) t.same(outsideOf(entry), [], entry)
  t.same(outsideOf('testing.js'), ['jose', 'node:crypto', 'node:http'])
  const types = readFileSync(join(built, 'index.d.ts'), 'utf8')
  t.notMatch(types, /node:/)
})

const script = `
import { allow, AuthError, createVerifier, fromEnv } from '@keyturn/verifier'
import { guard as forExpress } from '@keyturn/verifier/express'
import { guard as forFastify } from '@keyturn/verifier/fastify'
import { createTestIssuer } from '@keyturn/verifier/testing'

const answers = []
for (const algorithm of ['ES256', 'EdDSA', 'RS256', 'PS256']) {
  const issuer = await createTestIssuer({ algorithm, revocation: { mode: 'feed', onStale: 'deny' } })
  const verifier = createVerifier(issuer.options)
  await verifier.ready()
  const token = await issuer.token({ roles: ['editor'] })
  const principal = await verifier.verify(token, allow.role('editor'))
  const refused = await verifier.tryVerify(await issuer.wrongKey())
  answers.push([algorithm, principal.roles.has('editor'), refused.error instanceof AuthError, refused.error.code])
  await verifier.close()
}
console.log(JSON.stringify({ answers, kinds: [typeof forExpress, typeof forFastify, typeof fromEnv] }))
`

t.test('it installs alone, and plain JavaScript uses it, with Node’s own cryptography and without', async (t) => {
  const scratch = scratchFolder(t)
  const npm = (args: string[], cwd = scratch) =>
    execFileSync('npm', [...args, '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd,
      encoding: 'utf8',
      stdio: 'pipe'
    })
  const pack = (from: string) => JSON.parse(npm(['pack', '--json', '--pack-destination', scratch], from))[0]
  const [verifier, jose] = [pack(folder), pack(join(root, 'node_modules/jose'))]
  t.ok(verifier.size < 200_000, `${verifier.size} bytes`)
  const names = verifier.files.map(({ path }: { path: string }) => path)
  t.ok(names.includes('README.md') && names.includes('LICENSE'))
  t.notOk(
    names.some((name: string) => name.includes('tsbuildinfo') || (name.includes('test') && !name.includes('/testing.')))
  )
  writeFileSync(join(scratch, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  npm(['install', '--offline', `./${jose.filename}`, `./${verifier.filename}`])
  const installed = Object.keys(JSON.parse(readFileSync(join(scratch, 'package-lock.json'), 'utf8')).packages)
  t.same(installed, ['', 'node_modules/@keyturn/verifier', 'node_modules/jose'], 'with nothing but jose')
  const pkgDir = join(scratch, 'node_modules/@keyturn/verifier')
  const { messages, pkg } = await publint({ pkgDir, strict: true, pack: false })
  t.same(
    messages.map((message) => formatMessage(message, pkg)),
    [],
    'publint finds nothing in it'
  )
  for (const entry of Object.values(manifest.exports).flatMap((one) =>
    typeof one === 'string' ? one : Object.values(one as object)
  )) {
    t.ok(names.includes(String(entry).slice(2)), `${entry} is in it`)
  }
  writeFileSync(join(scratch, 'use.js'), script)
  writeFileSync(join(scratch, 'without.js'), 'process.getBuiltinModule = undefined')
  const expected = {
    answers: ['ES256', 'EdDSA', 'RS256', 'PS256'].map((algorithm) => [algorithm, true, true, 'token_invalid']),
    kinds: ['function', 'function', 'function']
  }
  for (const args of [['use.js'], ['--import', './without.js', 'use.js']]) {
    const output = execFileSync(process.execPath, args, { cwd: scratch, encoding: 'utf8', timeout: 60_000 })
    t.same(JSON.parse(output), expected, args.join(' '))
  }
})

t.test('each way in has its types', async (t) => {
  const scratch = scratchFolder(t)
  const user = `
import { allow, createVerifier, type VerifiedPrincipal, type Verifier } from '@keyturn/verifier'
import { authOf, guard } from '@keyturn/verifier/express'
import { guard as plugin } from '@keyturn/verifier/fastify'
import { createTestIssuer, type TestIssuer } from '@keyturn/verifier/testing'
import express, { type RequestHandler } from 'express'
import Fastify from 'fastify'

const issuer: TestIssuer = await createTestIssuer()
const verifier: Verifier<{ tenant: string }> = createVerifier({
  ...issuer.options,
  claims: (claims) => ({ tenant: String(claims.tenant) })
})
const principal: VerifiedPrincipal<{ tenant: string }> = await verifier.verify(await issuer.token(), allow.scope('x'))
export const tenant: string = principal.claims.tenant
// @ts-expect-error revocation has to be said
createVerifier({ issuer: 'https://auth.test', audience: 'api' })
// @ts-expect-error what happens while nothing is known has to be said
createVerifier({ issuer: 'https://auth.test', audience: 'api', revocation: { mode: 'push' } })
const handler: RequestHandler = guard(createVerifier(issuer.options), allow.role('editor'))
express().get('/', handler, (request, response) => void response.json({ sub: authOf(request).accountId }))
const app = Fastify()
app.register(plugin, { verifier: createVerifier(issuer.options), requirement: allow.authenticated() })
app.get('/', { config: { auth: allow.role('editor') } }, async ({ auth }) => auth.accountId)
`
  writeFileSync(join(scratch, 'use.ts'), user)
  const modules = relative(scratch, join(root, 'node_modules'))
  writeFileSync(
    join(scratch, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'ES2023',
        module: 'NodeNext',
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        skipLibCheck: false,
        types: ['node'],
        typeRoots: [join(modules, '@types')]
      },
      files: ['use.ts']
    })
  )
  writeFileSync(join(scratch, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  execFileSync('ln', ['-s', join(root, 'node_modules'), join(scratch, 'node_modules')])
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', scratch], { encoding: 'utf8' })
    t.pass()
  } catch (error) {
    t.fail((error as { stdout: string }).stdout.split('\n').slice(0, 20).join('\n'))
  }
})
