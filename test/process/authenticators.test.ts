import { once } from 'node:events'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { keyturn, scratchFolder, startProcess, startService } from '../support/service.js'
import { goodPassword } from '../support/world.js'

const docs = readFileSync(new URL('../../docs/authenticators.md', import.meta.url), 'utf8')

/** A file of the documentation, by the name in its first line. */
function snippet(name: string): string {
  const blocks = [...docs.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => text!)
  return blocks.find((text) => text.startsWith(`// ${name}\n`))!
}

/** The other system: it knows one key, and can be told to fail. */
async function billing(t: Test) {
  let failing = false
  const server = createServer((request, response) => {
    const known: Record<string, string> = { 'key-of-ada': 'ada', 'key-of-nobody': 'nobody' }
    const username = known[String(request.headers['x-api-key'])]
    response.statusCode = failing ? 500 : username === undefined ? 403 : 200
    response.end(JSON.stringify({ username }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const fail = () => {
    failing = true
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, fail }
}

t.test('the authenticator of the documentation lets in the keys of another system', async (t) => {
  const folder = scratchFolder(t)
  const file = join(folder, 'x-api-key.js')
  writeFileSync(file, snippet('x-api-key.js'))
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  const other = await billing(t)
  const { url } = await freshDatabase(t)
  const service = await startService(t, {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(folder, 'data'),
    AUTH_PLUGINS: file,
    AUTH_AUTHENTICATORS: 'session,token,bearer,x-api-key',
    BILLING_URL: other.url
  })
  await service.post('/v1/register', { username: 'ada', password: goodPassword })
  const me = async (headers: Record<string, string>) => await fetch(`${service.url}/v1/me`, { headers })

  const good = await me({ 'x-api-key': 'key-of-ada' })
  t.equal(good.status, 200)
  t.match(await good.json(), { authenticator: 'x-api-key', session_id: null })

  const bad = await me({ 'x-api-key': 'another' })
  t.equal(bad.status, 401)
  t.equal(
    bad.headers.get('www-authenticate'),
    'Token realm="keyturn", Bearer realm="keyturn", ApiKey realm="billing"',
    'which names what counts'
  )
  t.equal((await me({ 'x-api-key': 'key-of-nobody' })).status, 401, 'whom the other system knows and this one does not')
  t.equal((await me({ 'x-api-key': 'key-of-ada', authorization: 'Bearer x' })).status, 400, 'two credentials')

  const described = await fetch(`${service.url}/openapi.json`)
  t.equal(described.status, 200)
  const { components, paths } = (await described.json()) as {
    components: { securitySchemes: Record<string, object> }
    paths: Record<string, { get: { security: object[]; 'x-requirement': object } }>
  }
  t.same(Object.keys(components.securitySchemes), ['bearer', 'token', 'session', 'client', 'x-api-key'])
  t.match(components.securitySchemes['x-api-key'], { type: 'http', scheme: 'apikey', description: /realm="billing"/ })
  t.same(paths['/v1/me']?.get.security, [{ session: [] }, { token: [] }, { bearer: [] }, { 'x-api-key': [] }])

  other.fail()
  t.equal((await me({ 'x-api-key': 'key-of-ada' })).status, 503, 'nobody knows, so nobody is refused for good')
})

t.test('the embedding of the documentation serves routes of its own behind the guard', async (t) => {
  const folder = scratchFolder(t)
  const root = fileURLToPath(new URL('../../', import.meta.url))
  mkdirSync(join(folder, 'node_modules/keyturn'), { recursive: true })
  for (const name of ['dist', 'node_modules']) symlinkSync(join(root, name), join(folder, 'node_modules/keyturn', name))
  cpSync(join(root, 'package.json'), join(folder, 'node_modules/keyturn/package.json'))
  writeFileSync(join(folder, 'embed.mjs'), snippet('embed.js'))
  const { url } = await freshDatabase(t)
  const service = await startProcess(t, [join(folder, 'embed.mjs')], {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(folder, 'data')
  })
  await service.post('/v1/register', { username: 'ada', password: goodPassword })
  const login = async () => {
    const response = await service.post('/v1/login', { username: 'ada', password: goodPassword })
    return ((await response.json()) as { access_token: string }).access_token
  }
  const put = async (token?: string) =>
    await fetch(`${service.url}/articles/1`, {
      method: 'PUT',
      body: '{"text": "Changed"}',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      }
    })

  t.match(await (await fetch(`${service.url}/articles/1`)).json(), { text: 'Hello' })
  t.equal((await put()).status, 401)
  t.equal((await put(await login())).status, 403)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(folder, 'data') }
  t.equal((await keyturn(['role', 'set', 'editor'], environment)).code, 0)
  t.equal((await keyturn(['user', 'roles', 'ada', '--set', 'editor'], environment)).code, 0)
  const changed = await put(await login())
  t.equal(changed.status, 200)
  t.match(await changed.json(), { text: 'Changed' })
})

t.test('a module that cannot be loaded, and a name that nobody has, stop the start with a sentence', async (t) => {
  const folder = scratchFolder(t)
  const { url } = await freshDatabase(t)
  const serve = async (environment: Record<string, string>) =>
    await keyturn(['serve'], { DATABASE_URL: url, AUTH_DATA_DIR: join(folder, 'data'), PORT: '0', ...environment })
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  for (const [module, message] of [
    ['./nowhere.mjs', /AUTH_PLUGINS names \.\/nowhere\.mjs, which cannot be loaded/],
    [write('number.mjs', 'export default 5'), /its default export must be an authenticator/],
    [write('nameless.mjs', 'export default { authenticate() {} }'), /an authenticator needs a name/],
    [write('idle.mjs', "export default { name: 'idle' }"), /the authenticator idle needs a function authenticate/]
  ] as const) {
    const { code, stderr } = await serve({ AUTH_PLUGINS: module })
    t.equal(code, 2, module)
    t.match(stderr, message)
  }
  const { code, stderr } = await serve({ AUTH_AUTHENTICATORS: 'session,tokens' })
  t.equal(code, 1)
  t.match(stderr, /There is no authenticator "tokens"; AUTH_AUTHENTICATORS may name session, token, bearer, basic/)
})
