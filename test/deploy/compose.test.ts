import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { definitions } from '../../src/settings.js'
import { scratchFolder } from '../support/service.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

interface Service {
  image?: string
  build?: string
  user?: string
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  ports?: string[]
  networks?: string[]
  secrets?: string[]
  environment?: Record<string, string>
  healthcheck?: { test?: string[]; disable?: boolean }
  depends_on?: Record<string, { condition: string }>
  deploy?: { replicas?: number }
  container_name?: string
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as {
  services: Record<'postgres' | 'migrate' | 'keyturn' | 'proxy', Service>
  networks: Record<string, { internal?: boolean }>
  secrets: Record<string, { file: string }>
}
const { postgres, migrate, keyturn, proxy } = compose.services

/** A program that knows the whole specification, where one is installed. */
function composeProgram(): string[] | undefined {
  return [['docker', 'compose'], ['docker-compose']].find(
    ([program, ...words]) => spawnSync(program!, [...words, 'version']).status === 0
  )
}

t.test('the compose file is one by the specification', async (t) => {
  const program = composeProgram()
  if (program === undefined) {
    t.comment('neither `docker compose` nor `docker-compose` is installed: the file was not checked by either')
    return
  }
  const folder = scratchFolder(t)
  for (const file of ['docker-compose.yml', 'deploy', 'Dockerfile'])
    cpSync(join(root, file), join(folder, file), { recursive: true })
  t.equal(spawnSync('sh', ['deploy/init-secrets.sh'], { cwd: folder }).status, 0)
  const [name, ...words] = program
  const checked = spawnSync(name!, [...words, 'config', '-q'], { cwd: folder, encoding: 'utf8' })
  t.equal(checked.status, 0, checked.stderr)
})

t.test('the parts start in order: database, migration once, two replicas, proxy', async (t) => {
  t.same(migrate.depends_on, { postgres: { condition: 'service_healthy' } })
  t.same(keyturn.depends_on, { migrate: { condition: 'service_completed_successfully' } })
  t.same(proxy.depends_on, { keyturn: { condition: 'service_healthy' } })
  t.equal(keyturn.deploy?.replicas, 2)
  for (const service of Object.values(compose.services))
    t.equal(service.container_name, undefined, 'a name would forbid a second replica')
})

t.test('only the proxy is reached from outside', async (t) => {
  t.same(proxy.ports, ['80:80', '443:443'])
  for (const service of [postgres, migrate, keyturn]) t.equal(service.ports, undefined)
  t.equal(compose.networks.database?.internal, true)
  t.same(postgres.networks, ['database'])
  t.notOk(proxy.networks?.includes('database'))
})

t.test('containers have no more rights than they need', async (t) => {
  for (const service of [migrate, keyturn]) {
    t.match(service, {
      user: '10001:10001',
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true']
    })
  }
  t.match(proxy, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
})

t.test('secrets are files, and none has a default', async (t) => {
  const script = read('deploy/init-secrets.sh')
  for (const [name, { file }] of Object.entries(compose.secrets)) {
    t.equal(file, `./deploy/secrets/${name}`)
    t.ok(script.includes(`keep ${name} `), `init-secrets.sh makes ${name}`)
  }
  for (const service of Object.values(compose.services)) {
    for (const [name, value] of Object.entries(service.environment ?? {})) {
      if (/PASSWORD|MASTER_KEY|DATABASE_URL/.test(name)) t.match(`${name}=${value}`, /_FILE=\/run\/secrets\/\w+$/)
    }
    for (const secret of service.secrets ?? []) t.ok(secret in compose.secrets, secret)
  }
  t.match(read('.gitignore'), /^deploy\/secrets\/$/m)
})

t.test('every variable that the service is given is a setting', async (t) => {
  for (const service of [migrate, keyturn]) {
    for (const name of Object.keys(service.environment ?? {})) t.ok(name.replace(/_FILE$/, '') in definitions, name)
  }
  t.notSame(keyturn.environment?.DATABASE_URL_FILE, migrate.environment?.DATABASE_URL_FILE, 'two roles')
})

t.test('health is asked without curl', async (t) => {
  t.same(keyturn.healthcheck?.test, ['CMD', 'node', 'dist/src/cli/main.js', 'healthcheck'])
  const dockerfile = read('Dockerfile')
  t.match(dockerfile, /HEALTHCHECK .* CMD \["node", "dist\/src\/cli\/main\.js", "healthcheck"\]/)
  t.match(dockerfile, /^USER 10001:10001$/m)
  t.match(dockerfile, /^FROM node:24-bookworm-slim$/m)
  for (const text of [dockerfile, read('docker-compose.yml')]) t.notMatch(text, /\bcurl\b(?!,)/)
})

t.test('the image is built from what is listed, and from nothing else', async (t) => {
  const [first, ...listed] = read('.dockerignore').trim().split('\n')
  t.equal(first, '*')
  for (const name of ['.git', '.keyturn', 'node_modules', 'test', 'deploy']) t.notOk(listed.includes(`!${name}`), name)
})

t.test('what the image copies is enough to build it', async (t) => {
  const [, stage = ''] = read('Dockerfile').split(/^FROM /m)
  const sent = read('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => new RegExp(`^${line.slice(1).replaceAll('.', '\\.').replaceAll('*', '[^/]+')}(/|$)`))
  const folder = scratchFolder(t)
  for (const [, words = ''] of stage.matchAll(/^COPY (?!--)(.+)$/gm)) {
    const sources = words.split(' ')
    const target = sources.pop()!
    for (const source of sources) {
      t.ok(
        sent.some((one) => one.test(source)),
        `${source} is sent to the builder`
      )
      const name = target.endsWith('/') ? join(target, basename(source)) : target
      cpSync(join(root, source), join(folder, name), { recursive: true })
    }
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const built = spawnSync(process.execPath, ['scripts/build.js'], { cwd: folder, encoding: 'utf8' })
  t.equal(built.status, 0, built.stdout + built.stderr)
  const version = spawnSync(process.execPath, ['dist/src/cli/main.js', '--version'], { cwd: folder, encoding: 'utf8' })
  t.equal(version.stdout.trim(), JSON.parse(read('package.json')).version, version.stderr)
})
