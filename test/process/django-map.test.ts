import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { allow, type Requirement } from '../../src/domain/requirement.js'
import { freshDatabase } from '../support/postgres.js'
import { freePort, keyturn, type Service, scratchFolder, startService } from '../support/service.js'
import { goodPassword } from '../support/world.js'

/** Each line of the README's map from Django REST Framework is run as it stands there. */

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const [, map = ''] = /## Coming from Django REST Framework\n([\s\S]*?)\n## /.exec(read('README.md')) ?? []
const lines = [...map.matchAll(/^\| (?!in Django|---)(.*?) \| (.*) \|$/gm)].map(([, django, here]) => ({
  django: django!,
  here: here!,
  code: [...here!.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
}))
const ran = new Set<string>()

/** The line of the map that begins like this. */
function line(django: string) {
  const found = lines.find((one) => one.django.startsWith(django))
  if (found === undefined) throw new Error(`the map has no line "${django}"`)
  ran.add(found.django)
  return found
}

interface Place {
  readonly environment: Record<string, string>
  readonly folder: string
}

async function place(t: Test): Promise<Place> {
  const { url } = await freshDatabase(t)
  const folder = scratchFolder(t)
  return { folder, environment: { DATABASE_URL: url, AUTH_DATA_DIR: join(folder, 'data') } }
}

/** Runs a command of the map, as `npx keyturn …`. */
async function command(t: Test, { environment }: Place, text: string, input = ''): Promise<string> {
  const words = text.split(' ')
  t.same(words.splice(0, 2), ['npx', 'keyturn'], text)
  const { code, stdout, stderr } = await keyturn(words, environment, input)
  t.equal(code, 0, `${text}: ${stderr}`)
  return stdout
}

/** A setting of the map, as an environment. */
const setting = (text: string): Record<string, string> => Object.fromEntries([text.split('=') as [string, string]])

/** Sends a request of the map, as `POST /path`. */
function ask(service: Service, text: string, body?: object, headers: Record<string, string> = {}) {
  const [method, path] = text.split(' ') as [string, string]
  return fetch(service.url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
}

const ada = { username: 'ada', password: goodPassword }

t.test('commands: migrate, superuser, settings, roles, tokens by hand, and the user table', async (t) => {
  const here = await place(t)
  await command(t, here, line('`python manage.py migrate`').code[0]!)
  await command(t, here, line('`python manage.py createsuperuser`').code[0]!, goodPassword)
  t.match(await command(t, here, line('`settings.py`').code[0]!), /AUTH_AUTHENTICATORS +session,token,bearer/)
  t.match(await command(t, here, line('groups and').code[0]!), /Added editor: articles\.change_article/)
  t.equal((await keyturn(['user', 'create', 'ada'], here.environment, goodPassword)).code, 0)
  const key = await command(t, here, line('`Token.objects.create').code[0]!)
  t.match(key, /^[0-9a-f]{40}\n$/)
  t.equal(await command(t, here, line('`Token.objects.create').code[0]!), key, 'and the same again')

  const users = [
    {
      model: 'auth.user',
      pk: 7,
      fields: {
        username: 'grace',
        password: 'pbkdf2_sha256$1000$salt$O9GZ3TmEHEGGSZjP8S7qhh3w4Rl4w2jM8G0xYVJ4kJ4=',
        is_active: true,
        date_joined: '2020-01-01T00:00:00Z'
      }
    }
  ]
  const file = join(here.folder, 'users.json')
  writeFileSync(file, JSON.stringify(users))
  const text = line('the `auth_user` table').code[0]!
  t.match(await command(t, here, text.replace('users.json', file)), /created +1/)
})

t.test('classes of permissions have their names here', async (t) => {
  const { django, code } = line('`AllowAny`')
  t.equal(django.split(',').length, code.length, 'one for each')
  const isAuthor = () => true
  const made = code.map((text) => new Function('allow', 'isAuthor', `return ${text}`)(allow, isAuthor) as Requirement)
  t.match(made, [
    { anyone: true },
    { authenticated: true },
    { role: 'admin' },
    { any: [{ read_only: true }, { authenticated: true }] },
    { permission: 'articles.change_article' },
    { check: 'is_author', run: isAuthor }
  ])
})

t.test('the endpoints: login, register, a protected view, tokens, logout, curl and Postman', async (t) => {
  const here = await place(t)
  const service = await startService(t, here.environment)
  const registered = await ask(service, line('a register view').code[0]!, ada)
  t.equal(registered.status, 201)
  t.same(await registered.json(), { message: 'User registered successfully' })

  const login = await ask(service, line('a login view').code[0]!, ada)
  t.match(await login.json(), { token_type: 'Bearer', user: { username: 'ada' } })
  const pair = (await (await ask(service, line('`path("api/token/"').code[0]!, ada)).json()) as Record<string, string>
  const obtained = await ask(service, line('`path("api-token-auth/"').code[0]!, ada)
  const { token } = (await obtained.json()) as { token: string }

  const view = line('a view with').code[0]!
  t.equal((await ask(service, view)).status, 401)
  for (const authorization of [`Bearer ${pair.access}`, `Token ${token}`]) {
    t.match(await (await ask(service, view, undefined, { authorization })).json(), { username: 'ada' })
  }

  const authorization = `Token ${token}`
  t.equal(
    (await ask(service, line('`request.user.auth_token.delete()`').code[0]!, undefined, { authorization })).status,
    204
  )
  t.equal((await ask(service, view, undefined, { authorization })).status, 401)
  const blacklist = line('`RefreshToken(refresh).blacklist()`').code[0]!
  t.equal((await ask(service, blacklist, { refresh: pair.refresh })).status, 200)
  t.equal((await ask(service, blacklist, { refresh: pair.refresh })).status, 401)

  const shell = spawn('bash', ['-euo', 'pipefail'], { env: { ...process.env, A: service.url } })
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  shell.stdin.end(line('trying it with curl').code[0]!)
  await once(shell, 'close')
  t.match(JSON.parse(output), { refresh: /^ktr_/, access: /^eyJ/ })

  await runCollection(t, service, line('trying it with Postman').here.match(/\(([^)]+)\)/)![1]!)
})

interface Collection {
  variable: Array<{ key: string; value: string }>
  item: Array<{
    name: string
    event: Array<{ script: { exec: string[] } }>
    request: {
      method: string
      header: Array<{ key: string; value: string }>
      url: { raw: string }
      body?: { raw: string }
    }
  }>
}

/** Sends a Postman collection from top to bottom, as its runner does: the scripts of these know two sentences. */
async function runCollection(t: Test, service: Service, path: string): Promise<void> {
  const collection = JSON.parse(read(path)) as Collection
  const values = new Map(collection.variable.map(({ key, value }) => [key, value]))
  values.set('base_url', service.url)
  const fill = (text: string) => text.replace(/\{\{(\w+)\}\}/g, (_, name) => values.get(name) ?? '')
  for (const { name, event, request } of collection.item) {
    const response = await fetch(fill(request.url.raw), {
      method: request.method,
      headers: Object.fromEntries(request.header.map(({ key, value }) => [key, fill(value)])),
      ...(request.body === undefined ? {} : { body: fill(request.body.raw) })
    })
    const text = await response.text()
    for (const sentence of event.flatMap(({ script }) => script.exec)) {
      const status = /have\.status\((\d+)\)/.exec(sentence)
      const set = /set\("(\w+)", pm\.response\.json\(\)\.(\w+)\)/.exec(sentence)
      if (status) t.equal(response.status, Number(status[1]), `${name}: ${text}`)
      else if (set) values.set(set[1]!, JSON.parse(text)[set[2]!])
      else t.fail(`${name}: ${sentence}`)
    }
  }
}

t.test('settings: authentication classes, a token for every user, throttling, a class of one’s own', async (t) => {
  const here = await place(t)
  const port = await freePort()
  const plugin = line('`class XApiKeyAuthentication')
  t.match(plugin.here, /docs\/authenticators\.md/)
  writeFileSync(
    join(here.folder, 'x-api-key.js'),
    /```js\n(\/\/ x-api-key\.js\n[\s\S]*?)```/.exec(read('docs/authenticators.md'))![1]!
  )
  writeFileSync(join(here.folder, 'package.json'), '{"type": "module"}')
  const throttle = setting(line('`DEFAULT_THROTTLE_RATES').code[0]!)
  t.same(throttle, { AUTH_RATE_LIMIT_SIGN_IN: '100/m' })

  const service = await startService(t, {
    ...here.environment,
    ...setting(line('`DEFAULT_AUTHENTICATION_CLASSES`').code[0]!),
    ...setting(line('a `post_save` signal').code[0]!),
    ...setting(plugin.code[0]!.replace('./', `${here.folder}/`)),
    AUTH_RATE_LIMIT_SIGN_IN: throttle.AUTH_RATE_LIMIT_SIGN_IN!.replace('100', '2'),
    BILLING_URL: `http://127.0.0.1:${port}`
  })
  const made = (await (await ask(service, 'POST /v1/register', ada)).json()) as { api_token: string }
  const me = await ask(service, 'GET /v1/me', undefined, { authorization: `Token ${made.api_token}` })
  t.match(await me.json(), { authenticator: 'token' })

  for (const status of [200, 200, 429]) {
    const login = await ask(service, 'POST /api/token/', ada)
    t.equal(login.status, status)
    if (status !== 429) continue
    t.match(login.headers.get('retry-after'), /^\d+$/)
    t.match(await login.json(), { detail: /^Request was throttled\. Expected available in \d+ seconds?\.$/ })
  }
  const problem = await ask(service, 'POST /v1/login', ada)
  t.match(await problem.json(), { code: 'rate_limited', status: 429 })
})

t.test('no line of the map was left out', async (t) => {
  t.same(
    lines.map(({ django }) => django).filter((django) => !ran.has(django)),
    []
  )
  t.ok(lines.length >= 20)
})
