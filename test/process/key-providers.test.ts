import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { loadExtensions } from '../../src/extensions.js'
import { freshDatabase } from '../support/postgres.js'
import { freePort, keyturn, scratchFolder, startProcess, startService } from '../support/service.js'
import { goodPassword, type Tokens } from '../support/world.js'

const docs = readFileSync(new URL('../../docs/keys.md', import.meta.url), 'utf8')

/** A file of the documentation, by the name in its first line. */
function snippet(name: string): string {
  const blocks = [...docs.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => text!)
  return blocks.find((text) => text.startsWith(`// ${name}\n`))!
}

t.test('the key provider of the documentation signs in another process', async (t) => {
  const folder = scratchFolder(t)
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  for (const name of ['key-provider.js', 'key-server.js']) writeFileSync(join(folder, name), snippet(name))
  const keys = join(folder, 'keys')
  mkdirSync(keys)
  const port = String(await freePort())
  const secret = 'a secret of the key server'
  const startKeyServer = () =>
    startProcess(t, [join(folder, 'key-server.js')], { PORT: port, KEY_FOLDER: keys, KEY_SERVER_SECRET: secret })
  const keyServer = await startKeyServer()

  const { url } = await freshDatabase(t)
  const environment = {
    DATABASE_URL: url,
    AUTH_DATA_DIR: join(folder, 'data'),
    AUTH_PLUGINS: join(folder, 'key-provider.js'),
    AUTH_KEY_PROVIDER: 'key-server',
    AUTH_ISSUER: 'http://auth.test',
    KEY_SERVER_URL: `http://127.0.0.1:${port}`,
    KEY_SERVER_SECRET: secret
  }
  const service = await startService(t, environment)
  t.equal(readdirSync(keys).length, 1, 'one key, for the first start')

  await service.post('/v1/register', { username: 'ada', password: goodPassword })
  const login = await service.post('/v1/login', { username: 'ada', password: goodPassword })
  const tokens = (await login.json()) as Tokens
  const set = createLocalJWKSet((await (await fetch(`${service.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet)
  const { payload } = await jwtVerify(tokens.access_token, set, { issuer: 'http://auth.test', audience: 'api' })
  t.equal(payload.sub, tokens.user.id)

  await keyServer.kill('SIGKILL')
  const refused = await service.post('/v1/refresh', { refresh_token: tokens.refresh_token })
  t.equal(refused.status, 503)
  t.match(await refused.json(), { code: 'service_unavailable' })
  const headers = { authorization: `Bearer ${tokens.access_token}` }
  t.equal((await fetch(`${service.url}/v1/me`, { headers })).status, 200, 'verification asks nobody')

  await startKeyServer()
  const refreshed = await service.post('/v1/refresh', { refresh_token: tokens.refresh_token })
  t.equal(refreshed.status, 200, 'the very token that was sent before')

  const listed = await keyturn(['keys', 'list'], environment)
  t.match(listed.stdout, /KEPT BY\n\S+ +ES256 +signing .*key-server\n/)
  const without = await keyturn(['keys', 'list'], { ...environment, AUTH_PLUGINS: '' })
  t.equal(without.code, 1)
  t.match(without.stderr, /There is no key provider "key-server": no module of AUTH_PLUGINS defines it/)
})

t.test('modules define providers and authenticators side by side, and are told what they lack', async (t) => {
  const folder = scratchFolder(t)
  const load = async (text: string) => {
    const file = join(folder, `${randomUUID()}.mjs`)
    writeFileSync(file, `export default ({ defineKeyProvider, defineAuthenticator }) => ${text}`)
    return await loadExtensions([file])
  }
  const provider = "defineKeyProvider({ name: 'kms', create() {}, signer() {} })"
  const both = await load(`[${provider}, defineAuthenticator({ name: 'x', authenticate() {} })]`)
  t.match(both, { keyProviders: [{ name: 'kms' }], authenticators: [{ name: 'x' }] })
  for (const [text, message] of [
    ["defineKeyProvider({ name: 'kms', create() {} })", /kms needs a function signer/],
    ["({ name: 'kms', signer() {} })", /kms needs a function create/],
    ['[5]', /must be an authenticator, a key provider/],
    ['null', /must be an authenticator, a key provider/]
  ] as const) {
    await t.rejects(load(text), { name: 'ConfigError', message }, text)
  }
})
