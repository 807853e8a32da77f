// Starts Keyturn and an example that uses it, until it is told to stop.
//
//   node run.js service-fastify|service-express|service-django|spa
//
// Keyturn listens on KEYTURN_PORT (3000) and has an administrator, `root` with the password `correct horse battery`, unless
// AUTH_BOOTSTRAP_ADMIN_… says otherwise. The ports of the examples are FASTIFY_PORT (4001), EXPRESS_PORT (4002), DJANGO_PORT
// (4003) and SPA_PORT (5173). Keyturn's own settings are read from the environment, as ever.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { answers, root, start, startKeyturn, stop, tellReady } from '../processes.js'

const {
  KEYTURN_PORT = '3000',
  FASTIFY_PORT = '4001',
  EXPRESS_PORT = '4002',
  DJANGO_PORT = '4003',
  SPA_PORT = '5173',
  SPA_SERVER
} = process.env

const keyturn = `http://localhost:${KEYTURN_PORT}`

/** An example's own `npm start`, in its folder. */
async function startService(name, port) {
  const cwd = join(root, 'examples', name)
  const { scripts } = JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8'))
  const [command, ...words] = scripts.start.split(' ')
  const environment = { PORT: port, KEYTURN_ISSUER: keyturn }
  start(command === 'node' ? process.execPath : command, words, { cwd, environment })
  await answers(`http://localhost:${port}/readyz`)
  return `http://localhost:${port}`
}

/** An interpreter that has what Django's service needs: Debian's packages are Debian's own one's. */
const python = [process.env.PYTHON, '/usr/bin/python3', 'python3'].find(
  (one) => one && spawnSync(one, ['-c', 'import cryptography, rest_framework_simplejwt']).status === 0
)

async function startDjango() {
  start(python, ['-B', 'manage.py', 'runserver', '--noreload', `localhost:${DJANGO_PORT}`], {
    cwd: join(root, 'examples/service-django'),
    environment: { KEYTURN_ISSUER: keyturn }
  })
  await answers(`http://localhost:${DJANGO_PORT}/readyz`)
  return `http://localhost:${DJANGO_PORT}`
}

/** With what this repository has, or with Vite, which npx fetches. */
async function startPage() {
  const cwd = join(root, 'examples/spa')
  const page = `http://localhost:${SPA_PORT}`
  await startService('service-fastify', FASTIFY_PORT)
  await startService('service-express', EXPRESS_PORT)
  if (SPA_SERVER === 'vite') start('npx', ['--yes', 'vite@7'], { cwd, isLauncher: true })
  else start(process.execPath, ['serve.js'], { cwd })
  await answers(page)
  return page
}

const examples = {
  'service-fastify': {
    begin: () => startService('service-fastify', FASTIFY_PORT)
  },
  'service-express': {
    begin: () => startService('service-express', EXPRESS_PORT)
  },
  'service-django': {
    lack: () =>
      python
        ? null
        : 'Django is not installed: apt-get install python3-djangorestframework-simplejwt python3-cryptography',
    begin: startDjango
  },
  spa: {
    origins: `http://localhost:${SPA_PORT}`,
    begin: startPage
  }
}

async function main(name) {
  const example = examples[name]
  if (example === undefined) throw new Error(`name one of ${Object.keys(examples).join(', ')}`)
  const lack = example.lack?.()
  if (lack) throw new Error(lack)
  await startKeyturn(KEYTURN_PORT, {
    AUTH_ISSUER: keyturn,
    ...(example.origins && { AUTH_ALLOWED_ORIGINS: example.origins }),
    AUTH_DATA_DIR: process.env.AUTH_DATA_DIR ?? join(root, 'examples', name, '.keyturn'),
    AUTH_BOOTSTRAP_ADMIN_USERNAME: process.env.AUTH_BOOTSTRAP_ADMIN_USERNAME ?? 'root',
    AUTH_BOOTSTRAP_ADMIN_PASSWORD: process.env.AUTH_BOOTSTRAP_ADMIN_PASSWORD ?? 'correct horse battery'
  })
  const url = await example.begin()
  tellReady(`ready with Keyturn at ${keyturn}: ${url}`)
}

main(process.argv[2]).catch((error) => {
  console.error(error.message)
  stop(1)
})
