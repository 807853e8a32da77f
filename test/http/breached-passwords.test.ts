import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { scratchFolder } from '../support/service.js'
import { goodPassword, type World, world } from '../support/world.js'

const leaked = 'correct horse leaked battery'
const sha1 = (text: string) => createHash('sha1').update(text).digest('hex').toUpperCase()

const withSource = (t: Test, source: string | URL) =>
  world(t, (options) => ({ ...options, breachedPasswords: { source, timeout: 500 } }))

let people = 0
const register = async (w: World, password: string) => {
  const response = await w.post('/v1/register', { username: `person${people++}`, password })
  return response.statusCode === 201 ? 'registered' : response.json().errors[0].code
}

/** A service like Have I Been Pwned's, which answers as it is told. */
async function service(
  t: Test,
  answer: (prefix: string) => { status?: number; body: string; headers?: object } | null
) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const prefix = request.url!.split('/').at(-1)!
    asked.push(`${request.method} ${request.url} ${request.headers['add-padding']}`)
    const given = answer(prefix)
    if (given === null) return
    response.writeHead(given.status ?? 200, { 'content-type': 'text/plain', ...given.headers })
    response.end(given.body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/range`), asked }
}

t.test('a service that is asked for a range tells what leaked, and never learns the password', async (t) => {
  const others = ['0018A45C4D1DEF81644B54AB7F969B88D65:1', 'FFFF98E3F3D2E6C7E4A1F8A1CF1F2A7D001:0']
  const { url, asked } = await service(t, () => ({ body: [...others, `${sha1(leaked).slice(5)}:37`].join('\r\n') }))
  const w = await withSource(t, url)
  t.equal(await register(w, leaked), 'breached')
  t.equal(await register(w, goodPassword), 'registered')
  t.same(asked, [`GET /range/${sha1(leaked).slice(0, 5)} true`, `GET /range/${sha1(goodPassword).slice(0, 5)} true`])
})

t.test('a line of the padding is no password that leaked', async (t) => {
  const { url } = await service(t, () => ({ body: `${sha1(goodPassword).slice(5)}:0` }))
  t.equal(await register(await withSource(t, url), goodPassword), 'registered')
})

t.test('a new password is looked up when it is changed, and what is told is how to go on', async (t) => {
  const { url } = await service(t, () => ({ body: `${sha1(leaked).slice(5)}:2` }))
  const w = await withSource(t, url)
  const { access_token: token } = await w.login(await w.account())
  const change = { current_password: goodPassword, new_password: leaked }
  const response = await w.as(token, 'POST', '/v1/me/password', change)
  t.match(response.json(), {
    status: 400,
    code: 'validation_failed',
    errors: [{ pointer: '/new_password', code: 'breached', detail: /Use another one/ }]
  })
  const djoser = await w.post('/auth/users/', { username: 'bob', password: leaked })
  t.same(djoser.json(), { password: ['This password is too common.'] })
  const near = await w.post('/auth/users/', { username: 'countess', password: 'Countess-2026!!!' })
  t.same(near.json(), { password: ['The password is too similar to the username.'] })
})

t.test(
  'a service that fails, hangs, redirects or never ends keeps nobody from registering, and the log tells',
  async (t) => {
    const answers: Record<string, Parameters<typeof service>[1]> = {
      fails: () => ({ status: 503, body: 'no' }),
      hangs: () => null,
      redirects: () => ({ status: 302, body: '', headers: { location: 'http://127.0.0.1:1/' } }),
      'never ends': () => ({ body: 'A'.repeat(2_000_000) })
    }
    for (const [what, answer] of Object.entries(answers)) {
      const w = await withSource(t, (await service(t, answer)).url)
      t.equal(await register(w, goodPassword), 'registered', what)
      t.ok(
        w.logs.some((line) => line.includes('could not be compared')),
        what
      )
    }
  }
)

t.test('a file is searched by halving: each of its lines is found, and nothing between them', async (t) => {
  const file = join(scratchFolder(t), 'leaked.txt')
  const passwords = Array.from({ length: 500 }, (_, n) => `some horse leaked ${n}`)
  const lines = passwords.map((password, n) => `${sha1(password)}:${n + 1}`).sort()
  for (const text of [`${lines.join('\n')}\n`, lines.join('\r\n')]) {
    writeFileSync(file, text)
    const w = await withSource(t, file)
    for (const password of passwords) {
      if (!(await w.app.isBreached(password))) t.fail(password)
      if (await w.app.isBreached(`${password} `)) t.fail(`not ${password}`)
    }
    t.equal(await register(w, passwords[77]!), 'breached')
  }
  writeFileSync(file, '')
  t.equal(await (await withSource(t, file)).app.isBreached(leaked), false, 'an empty one')
})

t.test('a file that is not there stops the start with what to mend', async (t) => {
  await t.rejects(withSource(t, '/nowhere/leaked.txt'), {
    message: /AUTH_BREACHED_PASSWORDS names \/nowhere\/leaked\.txt/
  })
})
