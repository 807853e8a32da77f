import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import { external } from '../scripts/bundle.js'

/** Who may import whom of ours. A folder not named here may import nothing of ours. */
const mayImport: Record<string, readonly string[]> = {
  domain: ['domain'],
  storage: ['storage', 'domain'],
  flows: ['flows', 'storage', 'domain'],
  hashing: ['hashing', 'domain'],
  import: ['import', 'domain'],
  embedded: ['embedded'],
  schemas: ['schemas', 'domain'],
  // Types of what the flows answer, to put it into the wire's words.
  routes: ['routes', 'schemas', 'flows', 'storage', 'domain'],
  plugins: ['plugins', 'flows', 'storage', 'domain', 'schemas', 'hashing'],
  'app.ts': ['plugins', 'routes', 'domain'],
  settings: ['settings', 'domain'],
  'settings.ts': ['settings', 'domain'],
  'config.ts': ['app.ts', 'settings.ts', 'password-lists.ts', 'domain'],
  // What modules of others are given.
  'extensions.ts': ['config.ts', 'plugins', 'domain'],
  'index.ts': ['app.ts', 'config.ts', 'server.ts', 'plugins', 'domain'],
  'server.ts': ['app.ts', 'config.ts', 'extensions.ts', 'plugins', 'embedded', 'version.ts', '../db'],
  cli: [
    'cli',
    'import',
    'server.ts',
    'config.ts',
    'settings.ts',
    'version.ts',
    'schemas',
    'domain',
    'storage',
    'flows',
    'plugins',
    '../db'
  ]
}

/** Which packages a folder may use at all. */
const packages: Record<string, RegExp> = {
  domain: /^node:(crypto|zlib)$/,
  storage: /^kysely$/,
  flows: /^node:crypto$/,
  import: /^(csv-parse|stream-json\/.*|node:fs|node:fs\/promises|node:stream)$/,
  schemas: /^typebox$/,
  routes: /^(fastify|fastify-plugin|@fastify\/type-provider-typebox|node:crypto|node:fs|node:net)$/
}

/** Each of these is wrapped by one file, so that replacing it changes one file. */
const wrappedBy: Record<string, readonly string[]> = {
  pg: ['plugins/database.ts', 'embedded'],
  '@fastify/jwt': ['plugins/token-engine.ts'],
  '@node-rs/argon2': ['hashing/worker.js'],
  '@fastify/cookie': ['plugins/cookies.ts'],
  '@node-rs/bcrypt': ['hashing/worker.js'],
  'csv-parse': ['import/csv.ts'],
  'stream-json/assembler.js': ['import/json.ts'],
  'stream-json/file/parser.js': ['import/json.ts'],
  '@fastify/helmet': ['plugins/response-headers.ts'],
  '@fastify/cors': ['plugins/response-headers.ts'],
  '@fastify/formbody': ['plugins/oauth.ts', 'plugins/drf.ts'],
  '@fastify/multipart': ['plugins/drf.ts'],
  '@fastify/rate-limit': ['plugins/rate-limits.ts'],
  '@fastify/swagger': ['plugins/openapi.ts', 'plugins/docs.ts'],
  '@fastify/swagger-ui': ['plugins/docs.ts'],
  ioredis: ['plugins/redis-windows.ts'],
  'prom-client': ['plugins/metrics.ts'],
  '@opentelemetry/api': ['plugins/tracing.ts'],
  '@opentelemetry/sdk-trace': ['plugins/tracing.ts'],
  'close-with-grace': ['server.ts'],
  jose: ['plugins/jose.ts']
}

const src = new URL('../src/', import.meta.url)
const files = (await readdir(src, { recursive: true })).filter(
  (name) => /\.(ts|js)$/.test(name) && !name.startsWith('assets')
)
const texts = new Map(
  await Promise.all(files.map(async (file) => [file, await readFile(new URL(file, src), 'utf8')] as const))
)

interface Import {
  readonly target: string
  readonly typeOnly: boolean
  /** Whether it is loaded when it is needed first, and not with the file. */
  readonly later: boolean
}

function* imports(text: string): Generator<Import> {
  for (const [statement, target] of text.matchAll(/^(?:import|export)\b[^'"]*?from '([^']+)'/gm)) {
    yield { target: target!, typeOnly: /^(?:import|export) type\b/.test(statement), later: false }
  }
  for (const [, target] of text.matchAll(/\bimport\('([^']+)'\)/g)) {
    yield { target: target!, typeOnly: false, later: true }
  }
}

t.test('the arrows all point inwards', async (t) => {
  for (const [file, text] of texts) {
    const from = file.split('/')[0]!
    for (const { target } of imports(text)) {
      if (target.startsWith('.')) {
        const path = new URL(target, new URL(file, src)).pathname
        const to = path.startsWith(src.pathname)
          ? path.slice(src.pathname.length).split('/')[0]!.replace(/\.js$/, '.ts')
          : '../db'
        t.ok(mayImport[from]?.includes(to), `${file} imports ${target}`)
      } else if (packages[from]) t.match(target, packages[from], `${file} imports ${target}`)
    }
  }
})

// A container is asked for its health every few seconds, by a process of its own each time.
t.test('until it knows its command the program loads neither the service nor any package', async (t) => {
  const found = new Set<string>()
  const follow = async (file: URL): Promise<void> => {
    if (found.has(file.href)) return
    found.add(file.href)
    for (const { target, typeOnly, later } of imports(await readFile(file, 'utf8'))) {
      if (typeOnly || later || target.startsWith('node:')) continue
      t.ok(target.startsWith('.'), `${file.pathname.slice(src.pathname.length)} loads ${target}`)
      if (target.startsWith('.')) await follow(new URL(target.replace(/\.js$/, '.ts'), file))
    }
  }
  await follow(new URL('cli/main.ts', src))
  for (const name of ['server.ts', 'app.ts']) t.notOk(found.has(new URL(name, src).href), name)
})

t.test('what is loaded when it is needed, and by its names, is in no bundle, which has only its default', async (t) => {
  const named = /const \{ (?!default\b)[^}]+\} = await import\('([^.'][^']*)'\)/g
  const found = [...texts.values()].flatMap((text) => [...text.matchAll(named)].map(([, target]) => target!))
  t.ok(found.length > 0)
  for (const target of found) t.ok(external.includes(target), target)
})

t.test('routes take only types from flows and storage', async (t) => {
  for (const [file, text] of texts) {
    if (!file.startsWith('routes/')) continue
    for (const { target, typeOnly } of imports(text)) {
      if (/\/(flows|storage)\//.test(target)) t.ok(typeOnly, `${file} imports ${target}`)
    }
  }
})

t.test('routes reach the flows by their request, so that what these tell of names its sender', async (t) => {
  for (const [file, text] of texts) {
    if (!file.startsWith('routes/')) continue
    t.notMatch(text, /app\.flows\.(?!drfId\b)|\bflows\b[^\n]* = app\b/, file)
  }
})

t.test('one file per wrapped dependency', async (t) => {
  for (const [file, text] of texts) {
    for (const { target } of imports(text)) {
      const homes = wrappedBy[target]
      if (homes)
        t.ok(
          homes.some((home) => file === home || file.startsWith(`${home}/`)),
          `${file} imports ${target}`
        )
    }
  }
})

t.test('nobody but the process’s own files reads the environment, the clock or chance', async (t) => {
  for (const [file, text] of texts) {
    if (/^(cli|server|config|settings|embedded|version|extensions)/.test(file)) continue
    t.notMatch(text, /process\.env/, `${file} reads the environment`)
    if (/^(domain|flows|storage)\//.test(file)) {
      t.notMatch(
        text,
        /Date\.now\(\)|new Date\(\)|Math\.random|randomBytes|randomUUID/,
        `${file} is given time and chance`
      )
    }
  }
})
