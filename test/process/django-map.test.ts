import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { allow, guard, type Principal, type Requirement } from '../../src/index.js'
import { freshDatabase } from '../support/postgres.js'
import { keyturn, type Service, scratchFolder, startService } from '../support/service.js'
import { goodPassword, type Tokens, world } from '../support/world.js'

/** Each line of the README's map from Django REST Framework is run as it stands there. */

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const [, map = ''] = /## Coming from Django REST Framework\n([\s\S]*?)\n## /.exec(read('README.md')) ?? []
const lines = [...map.matchAll(/^\| (?!in Django|---)(.*?) \| (.*) \|$/gm)].map(([, django, here]) => ({
  django: django!,
  here: here!,
  code: [...here!.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)
}))
type Line = (typeof lines)[number]
const ran = new Set<string>()

/** The line of the map that begins like this. To read it is not to run it. */
function line(django: string): Line {
  const found = lines.find((one) => one.django.startsWith(django))
  if (found === undefined) throw new Error(`the map has no line "${django}"`)
  return found
}

/** Notes a line as run: called with what was asserted of it, and only that. */
function holds(asserted: boolean, ...held: Line[]): void {
  if (asserted) for (const { django } of held) ran.add(django)
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

/** Runs the command of a line, as `npx keyturn …`. */
async function command(t: Test, { environment }: Place, { code: [text = ''] }: Line, input = ''): Promise<string> {
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
  const migrate = line('`python manage.py migrate`')
  holds(t.match(await command(t, here, migrate), /migration|up to date/i), migrate)
  const superuser = line('`python manage.py createsuperuser`')
  await command(t, here, superuser, goodPassword)
  const root = JSON.parse((await keyturn(['user', 'show', 'root', '--json'], here.environment)).stdout)
  holds(t.same(root.user.roles, ['admin']), superuser)
  const settings = line('`settings.py`')
  holds(t.match(await command(t, here, settings), /AUTH_AUTHENTICATORS +session,token,bearer/), settings)
  const groups = line('groups and')
  holds(t.match(await command(t, here, groups), /Added editor: articles\.change_article/), groups)
  t.equal((await keyturn(['user', 'create', 'ada'], here.environment, goodPassword)).code, 0)
  const byHand = line('`Token.objects.create')
  const key = await command(t, here, byHand)
  t.match(key, /^[0-9a-f]{40}\n$/)
  holds(t.equal(await command(t, here, byHand), key, 'and the same again'), byHand)

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
  const table = line('the `auth_user` table')
  const ofHere = { ...table, code: [table.code[0]!.replace('users.json', file)] }
  holds(t.match(await command(t, here, ofHere), /created +1/), table)
})

t.test('classes of permissions let in the same people here', async (t) => {
  const classes = line('`AllowAny`')
  t.equal(classes.django.split(',').length, classes.code.length, 'one for each')
  const isAuthor = ({ accountId }: Principal) => accountId === author.user.id
  let author: Tokens
  const url = (at: number) => `/probe/${at}`
  const w = await world(t, undefined, async (app) => {
    await app.register(guard)
    for (const [at, text] of classes.code.entries()) {
      const requirement = new Function('allow', 'isAuthor', `return ${text}`)(allow, isAuthor) as Requirement
      app.route({ method: ['GET', 'POST'], url: url(at), config: { requirement }, handler: async () => ({}) })
    }
  })
  await w.role('editor', ['articles.change_article'])
  author = await w.login(await w.account())
  const editorName = (await w.app.flows.createAccount({ username: 'eve', password: goodPassword, roles: ['editor'] }))
    .username
  const people = {
    nobody: undefined,
    author: author.access_token,
    editor: (await w.login(editorName)).access_token,
    admin: (await w.admin()).access_token
  }
  // GET and POST of each class in the order of the line, as Django answers them.
  const expected: Record<keyof typeof people, string[]> = {
    nobody: ['200 200', '401 401', '401 401', '200 401', '401 401', '401 401'],
    author: ['200 200', '200 200', '403 403', '200 200', '403 403', '200 200'],
    editor: ['200 200', '200 200', '403 403', '200 200', '200 200', '403 403'],
    admin: ['200 200', '200 200', '200 200', '200 200', '403 403', '403 403']
  }
  let isRight = true
  for (const [who, token] of Object.entries(people) as Array<[keyof typeof people, string | undefined]>) {
    const got: string[] = []
    for (const at of classes.code.keys()) {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const statuses = []
      for (const method of ['GET', 'POST'] as const) {
        statuses.push((await w.app.inject({ method, url: url(at), headers })).statusCode)
      }
      got.push(statuses.join(' '))
    }
    isRight = t.same(got, expected[who], who) && isRight
  }
  holds(isRight, classes)
})

t.test('the endpoints: login, register, a protected view, tokens, logout, curl and Postman', async (t) => {
  const here = await place(t)
  const service = await startService(t, here.environment)
  const register = line('a register view')
  const registered = await ask(service, register.code[0]!, ada)
  t.equal(registered.status, 201)
  holds(t.same(await registered.json(), { message: 'User registered successfully' }), register)

  const login = line('a login view')
  const signedIn = await ask(service, login.code[0]!, ada)
  holds(t.match(await signedIn.json(), { token_type: 'Bearer', user: { username: 'ada' } }), login)
  const obtainPair = line('`path("api/token/"')
  const pair = (await (await ask(service, obtainPair.code[0]!, ada)).json()) as Record<string, string>
  const obtainToken = line('`path("api-token-auth/"')
  const { token } = (await (await ask(service, obtainToken.code[0]!, ada)).json()) as { token: string }

  const view = line('a view with')
  holds(t.equal((await ask(service, view.code[0]!)).status, 401), view)
  for (const [authorization, from] of [
    [`Bearer ${pair.access}`, obtainPair],
    [`Token ${token}`, obtainToken]
  ] as const) {
    const seen = await ask(service, view.code[0]!, undefined, { authorization })
    holds(t.match(await seen.json(), { username: 'ada' }), from)
  }

  const authorization = `Token ${token}`
  const logout = line('`request.user.auth_token.delete()`')
  t.equal((await ask(service, logout.code[0]!, undefined, { authorization })).status, 204)
  holds(t.equal((await ask(service, view.code[0]!, undefined, { authorization })).status, 401), logout)
  const blacklist = line('`RefreshToken(refresh).blacklist()`')
  t.equal((await ask(service, blacklist.code[0]!, { refresh: pair.refresh })).status, 200)
  holds(t.equal((await ask(service, blacklist.code[0]!, { refresh: pair.refresh })).status, 401), blacklist)

  const curl = line('trying it with curl')
  const shell = spawn('bash', ['-euo', 'pipefail'], { env: { ...process.env, A: service.url } })
  let output = ''
  shell.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  shell.stdin.end(curl.code[0])
  await once(shell, 'close')
  holds(t.match(JSON.parse(output), { refresh: /^ktr_/, access: /^eyJ/ }), curl)

  const postman = line('trying it with Postman')
  holds(await runCollection(t, service, postman.here.match(/\(([^)]+)\)/)![1]!), postman)
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
async function runCollection(t: Test, service: Service, path: string): Promise<boolean> {
  let answers = 0
  let isRight = true
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
      if (status) {
        answers++
        isRight = t.equal(response.status, Number(status[1]), `${name}: ${text}`) && isRight
      } else if (set) values.set(set[1]!, JSON.parse(text)[set[2]!])
      else isRight = t.fail(`${name}: ${sentence}`)
    }
  }
  return isRight && answers > 0
}

t.test('authentication classes count in their order, and no others', async (t) => {
  const here = await place(t)
  const classes = line('`DEFAULT_AUTHENTICATION_CLASSES`')
  const service = await startService(t, { ...here.environment, ...setting(classes.code[0]!) })
  await ask(service, 'POST /v1/register', ada)
  const me = async (headers: Record<string, string> = {}) => await ask(service, 'GET /v1/me', undefined, headers)
  const nobody = await me()
  t.equal(nobody.status, 401)
  // By default it is Token, Bearer; and by default the session cookie counts.
  const isOrdered = t.equal(nobody.headers.get('www-authenticate'), 'Bearer realm="keyturn", Token realm="keyturn"')
  const page = { 'x-auth-request': '1', origin: service.url, 'sec-fetch-site': 'same-origin' }
  const login = await ask(service, 'POST /v1/login', { ...ada, refresh_transport: 'cookie', session: true }, page)
  const cookie = login.headers
    .getSetCookie()
    .map((one) => one.split(';')[0])
    .join('; ')
  t.match(cookie, /keyturn-session=kts_/)
  const isLeftOut = t.equal((await me({ cookie })).status, 401, 'a class that is not named does not count')
  const { access_token } = (await login.json()) as { access_token: string }
  t.equal((await me({ authorization: `Bearer ${access_token}` })).status, 200)
  holds(isOrdered && isLeftOut, classes)
})

t.test('settings: a token for every user, throttling, a class of one’s own', async (t) => {
  const here = await place(t)
  const plugin = line('`class XApiKeyAuthentication')
  t.match(plugin.here, /docs\/authenticators\.md/)
  writeFileSync(
    join(here.folder, 'x-api-key.js'),
    /```js\n(\/\/ x-api-key\.js\n[\s\S]*?)```/.exec(read('docs/authenticators.md'))![1]!
  )
  writeFileSync(join(here.folder, 'package.json'), '{"type": "module"}')
  const throttle = line('`DEFAULT_THROTTLE_RATES')
  const rate = setting(throttle.code[0]!)
  t.same(rate, { AUTH_RATE_LIMIT_SIGN_IN: '100/m' })
  const signal = line('a `post_save` signal')

  const billing = createServer((request, response) => {
    response.statusCode = request.headers['x-api-key'] === 'key-of-ada' ? 200 : 403
    response.end('{"username": "ada"}')
  }).listen(0, '127.0.0.1')
  await once(billing, 'listening')
  t.teardown(() => billing.close())
  const [module, classes] = plugin.code
  const environment = {
    ...here.environment,
    ...setting(module!.replace('./', `${here.folder}/`)),
    BILLING_URL: `http://127.0.0.1:${(billing.address() as AddressInfo).port}`
  }
  const service = await startService(t, {
    ...environment,
    ...setting(signal.code[0]!),
    ...setting(classes!),
    AUTH_RATE_LIMIT_SIGN_IN: rate.AUTH_RATE_LIMIT_SIGN_IN!.replace('100', '2')
  })
  t.notMatch(service.output(), /does not name/)
  const made = (await (await ask(service, 'POST /v1/register', ada)).json()) as { api_token: string }
  const me = (headers: Record<string, string>) => ask(service, 'GET /v1/me', undefined, headers)
  const byToken = await me({ authorization: `Token ${made.api_token}` })
  holds(t.match(await byToken.json(), { authenticator: 'token' }), signal)

  const good = await me({ 'x-api-key': 'key-of-ada' })
  const bad = await me({ 'x-api-key': 'another' })
  const isLetIn = t.match(await good.json(), { authenticator: 'x-api-key' })
  holds(isLetIn && t.match(await bad.json(), { code: 'token_invalid', status: 401 }), plugin)

  for (const status of [200, 200, 429]) {
    const login = await ask(service, 'POST /api/token/', ada)
    t.equal(login.status, status)
    if (status !== 429) continue
    t.match(login.headers.get('retry-after'), /^\d+$/)
    const said = /^Request was throttled\. Expected available in \d+ seconds?\.$/
    holds(t.match(await login.json(), { detail: said }), throttle)
  }
  const problem = await ask(service, 'POST /v1/login', ada)
  t.match(await problem.json(), { code: 'rate_limited', status: 429 })
  await service.kill('SIGTERM')

  const forgotten = await startService(t, environment)
  t.match(forgotten.output(), /"level":40.*AUTH_PLUGINS defines x-api-key, which AUTH_AUTHENTICATORS does not name/)
  const ignored = await ask(forgotten, 'GET /v1/me', undefined, { 'x-api-key': 'key-of-ada' })
  t.match(await ignored.json(), { code: 'authentication_required' })
})

t.test('no line of the map was left out', async (t) => {
  t.same(
    lines.map(({ django }) => django).filter((django) => !ran.has(django)),
    []
  )
  t.ok(lines.length >= 20)
})
