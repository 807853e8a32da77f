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

const { KEYTURN_PORT = '3000', FASTIFY_PORT = '4001', EXPRESS_PORT = '4002', DJANGO_PORT = '4003' } = process.env

const keyturn = `http://localhost:${KEYTURN_PORT}`

/** An example's own `npm start`, in its folder. */
async function startService(name, port, issuer) {
  const cwd = join(root, 'examples', name)
  const { scripts } = JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8'))
  const [command, ...words] = scripts.start.split(' ')
  const environment = { PORT: port, AUTH_ISSUER: issuer, AUTH_BASE_URL: `http://127.0.0.1:${KEYTURN_PORT}` }
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
    environment: { AUTH_ISSUER: keyturn }
  })
  await answers(`http://localhost:${DJANGO_PORT}/readyz`)
  return `http://localhost:${DJANGO_PORT}`
}

const examples = {
  'service-fastify': {
    issuer: keyturn,
    begin: () => startService('service-fastify', FASTIFY_PORT, keyturn)
  },
  'service-express': {
    issuer: keyturn,
    begin: () => startService('service-express', EXPRESS_PORT, keyturn)
  },
  'service-django': {
    issuer: keyturn,
    lack: () =>
      python
        ? null
        : 'Django is not installed: apt-get install python3-djangorestframework-simplejwt python3-cryptography',
    begin: startDjango
  }
}

async function main(name) {
  const example = examples[name]
  if (example === undefined) throw new Error(`name one of ${Object.keys(examples).join(', ')}`)
  const lack = example.lack?.()
  if (lack) throw new Error(lack)
  await startKeyturn(KEYTURN_PORT, {
    AUTH_ISSUER: example.issuer,
    AUTH_DATA_DIR: process.env.AUTH_DATA_DIR ?? join(root, 'examples', name, '.keyturn'),
    AUTH_BOOTSTRAP_ADMIN_USERNAME: process.env.AUTH_BOOTSTRAP_ADMIN_USERNAME ?? 'root',
    AUTH_BOOTSTRAP_ADMIN_PASSWORD: process.env.AUTH_BOOTSTRAP_ADMIN_PASSWORD ?? 'correct horse battery'
  })
  const url = await example.begin()
  tellReady(`ready with Keyturn at ${example.issuer}: ${url}`)
}

main(process.argv[2]).catch((error) => {
  console.error(error.message)
  stop(1)
})
