import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { describeRequirement, type Verdict } from '../../src/index.js'
import { scratchFolder } from '../support/service.js'
import { goodPassword, world } from '../support/world.js'

/** Code of the documentation, by the name in its first line, with this package where it stands for itself. */
async function documented<Exports>(t: Test, document: string, name: string): Promise<Exports> {
  const text = readFileSync(new URL(`../../docs/${document}`, import.meta.url), 'utf8')
  const blocks = [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code!)
  const code = blocks.find((code) => code.startsWith(`// ${name}\n`))!
  const folder = scratchFolder(t)
  const here = join(folder, 'node_modules/keyturn')
  mkdirSync(here, { recursive: true })
  writeFileSync(join(here, 'package.json'), '{"type": "module", "exports": "./index.js"}')
  const index = new URL('../../src/index.ts', import.meta.url).href
  writeFileSync(join(here, 'index.js'), `export * from ${JSON.stringify(index)}\n`)
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
  writeFileSync(join(folder, name), code)
  return (await import(pathToFileURL(join(folder, name)).href)) as Exports
}

t.test('a route of one’s own behind the Django face answers in Django’s words', async (t) => {
  const { articles } = await documented<{ articles(app: FastifyInstance): Promise<void> }>(
    t,
    'django.md',
    'articles.js'
  )
  const w = await world(t, undefined, articles)
  await w.role('author', ['articles.add_article'])
  const person = async (username: string, roles: string[]) => {
    const { id } = await w.app.flows.createAccount({ username, password: goodPassword, roles })
    return `Token ${(await w.app.flows.obtainAuthtoken(id)).key}`
  }
  const [reader, author] = [await person('bob', []), await person('ada', ['author'])]
  const post = (authorization?: string, title = 'Hello') =>
    w.app.inject({
      method: 'POST',
      url: '/api/articles/',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...(authorization === undefined ? {} : { authorization })
      },
      payload: `title=${title}`
    })

  const anonymous = await post()
  t.equal(anonymous.statusCode, 401)
  t.equal(anonymous.body, '{"detail":"Authentication credentials were not provided."}')
  t.equal(anonymous.headers['www-authenticate'], 'Bearer realm="api"')
  const wrong = await post(`Token ${'0'.repeat(40)}`)
  t.equal(wrong.statusCode, 401)
  t.equal(wrong.body, '{"detail":"Invalid token."}')
  const forbidden = await post(reader)
  t.equal(forbidden.statusCode, 403)
  t.equal(forbidden.body, '{"detail":"You do not have permission to perform this action."}')
  for (let time = 0; time < 2; time++)
    t.match((await post(author)).json(), { title: 'Hello', owner: /^[0-9a-f-]{36}$/ })
  const throttled = await post(author)
  t.equal(throttled.statusCode, 429)
  t.match(throttled.body, /^\{"detail":"Request was throttled\. Expected available in \d+ seconds?\."\}$/)
  t.match(throttled.headers['retry-after'], /^\d+$/)
  for (const { headers } of [anonymous, wrong, forbidden, throttled]) {
    t.equal(headers['content-type'], 'application/json', 'as Django writes it')
  }
  t.equal((await w.get('/api/articles/')).json().length, 2, 'whoever it is may read')
  t.equal((await w.get('/openapi.json')).statusCode, 200, 'and the document has the route')
})

t.test('another service judges the claims of a token by the same requirements', async (t) => {
  const { mayChange } = await documented<{ mayChange(claims: object, now?: Date): Verdict }>(
    t,
    'authenticators.md',
    'may-change.js'
  )
  const w = await world(t)
  await w.role('editor')
  const claims = async (roles: string[]) => {
    const username = `u${roles.length}`
    await w.app.flows.createAccount({ username, password: goodPassword, roles })
    const { access_token } = await w.login(username)
    return JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString())
  }
  const editor = await claims(['editor'])
  t.same(mayChange(editor), { ok: true })
  t.same(mayChange(await claims([])), { ok: false, because: 'denied' })
  t.same(mayChange({ ...editor, scope: 'read' }), { ok: false, because: 'denied' }, 'limited to another scope')
  t.same(describeRequirement({ any: [{ role: 'editor' }] }), { any: [{ role: 'editor' }] })
})
