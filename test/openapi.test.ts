import { readFile } from 'node:fs/promises'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { world } from './support/world.js'

interface Operation {
  operationId: string
  security: object[]
}

const committed = await readFile(new URL('../openapi.yaml', import.meta.url), 'utf8')
const document = parse(committed) as { paths: Record<string, Record<string, Operation>>; servers: unknown }

t.test('openapi.yaml is what the routes say', async (t) => {
  // Which also finds the schemas that are none.
  const { app } = await world(t, (options) => ({ ...options, schemas: 'ahead' }))
  const { servers, ...actual } = JSON.parse(JSON.stringify(await app.openapi()))
  const { servers: _, ...expected } = document
  actual.info.version = (expected as unknown as { info: { version: string } }).info.version
  t.equal(stringify(actual), stringify(expected), 'run `npm run openapi` and commit the result')
})

t.test('every operation that claims a lock has one, and no other has', async (t) => {
  const { app } = await world(t)
  const open: string[] = []
  for (const [url, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const locked = operation.security.length > 0
      const path = url.replace('{id}', '00000000-0000-4000-8000-000000000000').replace('{code}', 'not_found')
      if (operation.operationId === 'streamRevocations') {
        // An answer without an end.
        const opened = await app.inject({ url: path, payloadAsStream: true })
        t.equal(opened.statusCode, 200)
        opened.stream().destroy()
        open.push(operation.operationId)
        continue
      }
      // Who may come in is asked by its address, of the request that it is about: test/http/forward-auth.test.ts.
      if (operation.operationId.startsWith('forwardAuth')) {
        t.match(await app.inject(path), { statusCode: 403, headers: { 'x-auth-error': 'permission_denied' } }, url)
        continue
      }
      const response = await app.inject({ method: method.toUpperCase() as 'GET', url: path })
      const refused = response.statusCode === 401 && /authentication_required|invalid_client/.test(response.body)
      t.equal(refused, locked, `${method} ${url}`)
      if (!locked) open.push(operation.operationId)
    }
  }
  // Being open is the exception, so each exception is written down.
  t.same(open.sort(), [
    'explainProblem',
    'listStatusLists',
    'livez',
    'login',
    'logout',
    'logoutAll',
    'readAuthorizationServerMetadata',
    'readKeySet',
    'readOpenapi',
    'readOpenidConfiguration',
    'readRevocations',
    'readStatusList',
    'readyz',
    'refresh',
    'register',
    'streamRevocations'
  ])
})

t.test('every operation under /v1/admin demands the role', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  for (const [url, operations] of Object.entries(document.paths)) {
    if (!url.startsWith('/v1/admin')) continue
    for (const method of Object.keys(operations)) {
      const response = await w.as(access_token, method.toUpperCase() as 'GET', url.replace('{id}', 'x'))
      t.match(response.json(), { code: 'permission_denied', status: 403 }, `${method} ${url}`)
    }
  }
})
