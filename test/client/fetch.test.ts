import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { browserWorld } from '../support/browser-world.js'
import { FakeBrowser } from '../support/fake-browser.js'
import { goodPassword } from '../support/world.js'

type Test = Parameters<typeof browserWorld>[0]

/** A service of another origin, which refuses as many requests as it is told to. */
async function resource(t: Test) {
  const seen: Array<{ authorization: string | undefined; body: string }> = []
  const refusals: Array<Record<string, string>> = []
  const refused = new Set<string>()
  const server = http.createServer(async (request, response) => {
    seen.push({
      authorization: request.headers.authorization,
      body: Buffer.concat(await request.toArray()).toString()
    })
    const refusal = refused.has(request.headers.authorization ?? '') ? invalid : refusals.shift()
    response.writeHead(refusal ? 401 : 200, refusal).end(refusal?.body ?? 'done')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, seen, refusals, refused }
}

const invalid: Record<string, string> = { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' }

async function signedIn(t: Test) {
  const w = await browserWorld(t)
  const [api, foreign] = [await resource(t), await resource(t)]
  const tab = new FakeBrowser(w, t).tab({ resourceOrigins: [api.url] })
  await tab.client.login({ username: await w.account(), password: goodPassword })
  const refreshes = () => w.front.count('/v1/refresh')
  return { w, api, foreign, tab, client: tab.client, refreshes }
}

t.test('the access token goes to the origins that are listed, and to no other', async (t) => {
  const { api, foreign, client } = await signedIn(t)
  const token = await client.getAccessToken()
  await client.fetch(`${api.url}/articles`)
  await client.fetch(new Request(`${api.url}/articles`, { headers: { authorization: 'Basic eA==' } }))
  await client.fetch(`${foreign.url}/articles`)
  await client.fetch(new URL(`${api.url.replace('localhost', '127.0.0.1')}/articles`))
  t.same(
    api.seen.map(({ authorization }) => authorization),
    [`Bearer ${token}`, 'Basic eA==', undefined]
  )
  t.same(
    foreign.seen.map(({ authorization }) => authorization),
    [undefined]
  )
  t.equal((await client.authorize(new Request(foreign.url))).headers.get('authorization'), null)
  t.equal((await client.authorize(new Request(api.url))).headers.get('authorization'), `Bearer ${token}`)
})

t.test('a refused token is refreshed once, and the request is sent once more', async (t) => {
  const { api, client, refreshes } = await signedIn(t)
  api.refusals.push(invalid)
  const response = await client.fetch(api.url, { method: 'POST', body: 'text' })
  t.equal(await response.text(), 'done')
  t.equal(refreshes(), 1)
  t.same(
    api.seen.map(({ body }) => body),
    ['text', 'text']
  )
  t.not(api.seen[0]!.authorization, api.seen[1]!.authorization)
})

t.test('of many requests that are refused together one refresh comes', async (t) => {
  const { api, client, refreshes } = await signedIn(t)
  api.refused.add(`Bearer ${await client.getAccessToken()}`)
  const answers = await Promise.all(Array.from({ length: 10 }, () => client.fetch(api.url)))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(refreshes(), 1)
})

t.test('a service that refuses every token costs one refresh, and not one per request', async (t) => {
  const { api, client, refreshes, tab } = await signedIn(t)
  api.refusals.push(...Array.from({ length: 100 }, () => invalid))
  for (let request = 0; request < 20; request++) t.equal((await client.fetch(api.url)).status, 401)
  t.equal(refreshes(), 1)
  t.equal(api.seen.length, 21)
  t.equal(tab.signOuts(), 0)
  tab.clock.pass(31_000)
  await client.fetch(api.url)
  t.equal(refreshes(), 2, 'and after a while it is worth a try')
})

t.test('a 401 that does not speak of the token is only an answer', async (t) => {
  const { api, client, refreshes } = await signedIn(t)
  const json = { 'content-type': 'application/json' }
  api.refusals.push(
    {},
    { 'www-authenticate': 'Basic realm="x"' },
    { 'www-authenticate': 'Bearer error="insufficient_user_authentication"' },
    { ...json, body: '{"code":"reauthentication_required"}' },
    { ...json, body: '<html>' }
  )
  for (let request = 0; request < 5; request++) t.equal((await client.fetch(api.url)).status, 401)
  t.equal(refreshes(), 0)
  api.refusals.push({ ...json, body: '{"code":"token_expired"}' })
  t.equal((await client.fetch(api.url)).status, 200, 'the code of a problem counts where no challenge can be read')
  t.equal(refreshes(), 1)
})

t.test('a body that is gone after the first time is not sent again; what can be sent twice is', async (t) => {
  const { api, client } = await signedIn(t)
  const bodies = ['text', new Blob(['blob']), new URLSearchParams({ a: 'b' }), new Uint8Array([65]), new FormData()]
  for (const body of bodies) {
    api.refusals.push(invalid)
    t.equal((await client.fetch(api.url, { method: 'POST', body })).status, 200, String(body))
  }
  const stream = new Blob(['stream']).stream()
  api.refusals.push(invalid)
  const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit
  t.equal((await client.fetch(api.url, init)).status, 401)
  api.refusals.push(invalid)
  t.equal((await client.fetch(new Request(api.url, { method: 'POST', body: 'text' }))).status, 401)
  api.refusals.push(invalid)
  t.equal((await client.fetch(new Request(api.url))).status, 200)
})

t.test('authorize and shouldRetry do the same for other HTTP clients', async (t) => {
  const { api, foreign, client, refreshes } = await signedIn(t)
  api.refusals.push(invalid, invalid)
  const request = await client.authorize(new Request(api.url))
  const response = await fetch(request)
  const again = await client.shouldRetry(request, response)
  t.ok(again)
  t.equal(refreshes(), 1)
  const second = await fetch(again!)
  t.equal(second.status, 401)
  t.equal(await client.shouldRetry(again!, second), null, 'once')
  t.equal(await client.shouldRetry(request, new Response(null, { status: 200 })), null)
  t.equal(await client.shouldRetry(request, new Response(null, { status: 403, headers: invalid })), null)
  t.equal(await client.shouldRetry(new Request(api.url), new Response(null, { status: 401, headers: invalid })), null)
  const elsewhere = new Request(foreign.url, { headers: request.headers })
  t.equal(await client.shouldRetry(elsewhere, new Response(null, { status: 401, headers: invalid })), null)
  const used = await client.authorize(new Request(api.url, { method: 'POST', body: 'text' }))
  const spare = used.clone()
  api.refusals.push(invalid)
  const refused = await fetch(used)
  t.equal(await client.shouldRetry(used, refused), null)
  t.equal(await (await client.shouldRetry(spare, refused))?.text(), 'text', 'a clone can be sent again')
  t.equal(refreshes(), 2)
})

t.test('where a refused token cannot be replaced the answer is the refusal, and the session goes on', async (t) => {
  const { w, api, client, tab } = await signedIn(t)
  api.refusals.push(invalid)
  w.front.break({ kind: 'answer', status: 503 })
  t.equal((await client.fetch(api.url)).status, 401)
  t.match(client.state, { status: 'unreachable', user: { username: /./ } })
  await t.rejects(client.fetch(api.url), { name: 'AuthUnreachableError', problem: { status: 503 } })
  w.front.mend()
  tab.clock.pass(2_000)
  t.equal((await client.fetch(api.url)).status, 200)
  t.equal(tab.signOuts(), 0)
})

t.test('whoever is not signed in sends no token', async (t) => {
  const { api, client } = await signedIn(t)
  await client.logout()
  await client.fetch(api.url)
  t.equal(api.seen[0]!.authorization, undefined)
})
