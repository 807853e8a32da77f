import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http, { type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { identityHeaders, nobody, readDemand } from '../../src/domain/forward-auth.js'
import { startExample } from '../support/examples.js'
import { type FaultyLink, faultyLink } from '../support/faulty-link.js'
import { freshDatabase } from '../support/postgres.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

/** The examples as people start them: one command, the proxy itself, Keyturn and a shop behind it. */

const examples = fileURLToPath(new URL('../../examples/', import.meta.url))
const identityNames = Object.keys(identityHeaders(nobody))

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** As it is said: fetch would add headers, follow redirects and refuse some methods. */
async function send(
  url: string,
  method = 'GET',
  headers: Record<string, string | string[]> = {},
  body = ''
): Promise<Answer> {
  const request = http.request(url, { method, headers, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode!, headers: response.headers, body: text }
}

/** The proxy's example, with a link that can be cut between Keyturn and its database. */
async function startProxy(t: Test, proxy: string): Promise<{ site: string; link: FaultyLink }> {
  const link = await faultyLink(t, (await freshDatabase(t)).url)
  const example = await startExample(t, proxy, ['PROXY_PORT', 'KEYTURN_PORT', 'SHOP_PORT'], link.url)
  return { site: example.at('PROXY_PORT'), link }
}

/** What the shop was told of a request that passed. */
const told = (answer: Answer) =>
  JSON.parse(answer.body) as { headers: Record<string, string>; who: { sub: string } | null }

for (const proxy of ['nginx', 'caddy'] as const) {
  const isThere = spawnSync(proxy, [proxy === 'nginx' ? '-v' : 'version']).status === 0
  const skip = isThere ? false : `${proxy} is not installed: run scripts/test-deps.sh`
  t.test(`examples/${proxy}: who is let in, what the shop is told, and what a client makes up`, { skip }, async (t) => {
    const { site, link } = await startProxy(t, proxy)
    const json = { 'content-type': 'application/json' }
    const register = await send(
      `${site}/v1/register`,
      'POST',
      json,
      JSON.stringify({ username: 'ada', password: goodPassword })
    )
    t.equal(register.status, 201, register.body)
    const { user } = JSON.parse(register.body)
    const login = await send(
      `${site}/v1/login`,
      'POST',
      json,
      JSON.stringify({ username: 'ada', password: goodPassword })
    )
    const { access_token: token, refresh_token } = JSON.parse(login.body)
    const page = { ...json, origin: site, 'sec-fetch-site': 'same-origin', 'x-auth-request': '1' }
    const byCookie = JSON.stringify({
      username: 'ada',
      password: goodPassword,
      refresh_transport: 'cookie',
      session: true
    })
    const signIn = await send(`${site}/v1/login`, 'POST', page, byCookie)
    const cookie = signIn.headers['set-cookie']!.find((line) => line.startsWith('keyturn-session'))!.split(';')[0]!
    const bearer = { authorization: `Bearer ${token}` }
    const forged = Object.fromEntries(identityNames.map((name) => [name, 'admin']))
    const html = { accept: 'text/html,application/xhtml+xml' }

    for (const [title, headers] of [
      ['an access token', bearer],
      ['a session cookie', { cookie }]
    ] as const) {
      const answer = await send(`${site}/orders?role=admin&demand=anyone`, 'GET', { ...forged, ...headers })
      t.equal(answer.status, 200, title)
      const { headers: seen, who } = told(answer)
      t.match(seen, { 'x-auth-subject': user.id }, title)
      t.match(who, { sub: user.id, aud: 'shop' }, `${title}: the shop verified the token by itself`)
      t.notOk(JSON.stringify(seen).includes('admin'), `${title}: nothing that was made up arrives`)
    }

    const anonymous = await send(`${site}/orders`, 'GET', forged)
    t.match(anonymous, { status: 401, headers: { 'x-auth-error': 'authentication_required' } })
    t.match(anonymous.headers['www-authenticate'], /Bearer realm="keyturn"/)
    t.equal((await send(`${site}/orders`, 'POST', forged, 'a body that nobody may send')).status, 401)
    const seen = told(await send(`${site}/public/x`, 'GET', forged))
    t.equal(seen.who, null, 'where everybody may come in, somebody made up is nobody')
    t.notOk(JSON.stringify(seen.headers).includes('admin'))
    t.match(told(await send(`${site}/public/x`, 'GET', { ...forged, ...bearer })).who, { sub: user.id })
    t.equal((await send(`${site}/login`, 'GET', forged)).status, 200, 'the login page is for everybody')

    const sent = await send(`${site}/orders?page=2`, 'GET', html)
    t.equal(sent.status, 302, 'a browser is sent to sign in')
    const { pathname, searchParams } = new URL(sent.headers.location!, site)
    t.same([pathname, searchParams.get('returnTo')], ['/login', `${site}/orders?page=2`])

    const editors = await send(`${site}/editors/x`, 'GET', bearer)
    t.match(editors, { status: 403, headers: { 'x-auth-error': 'permission_denied' } })

    const evil = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    t.equal((await send(`${site}/orders`, 'POST', evil, 'x=1')).status, 403, 'a form of another site')
    t.equal((await send(`${site}/orders`, 'GET', { ...evil, 'x-forwarded-method': 'POST' })).status, 200, 'that reads')
    const tricks = { 'x-forwarded-method': 'GET', 'x-original-method': 'GET', 'x-http-method-override': 'GET' }
    t.equal((await send(`${site}/orders`, 'DELETE', { ...evil, ...tricks })).status, 403, 'whatever it claims to be')
    const own = { cookie, origin: site, 'content-type': 'application/x-www-form-urlencoded' }
    const posted = await send(`${site}/orders`, 'POST', own, 'x=1')
    t.match(JSON.parse(posted.body), { method: 'POST' }, 'a form of its own')

    t.equal((await send(`${site}/v1/forward-auth/anyone`, 'GET', bearer)).status, 404, 'the door is the proxy’s alone')
    t.equal((await send(`${site}/v1/forward-auth`, 'GET', bearer)).status, 404)
    t.notOk((await send(`${site}/_keyturn/anyone`, 'GET', bearer)).headers['x-auth-subject'])

    t.equal((await send(`${site}/v1/logout`, 'POST', json, JSON.stringify({ refresh_token }))).status, 204)
    t.ok(await until(async () => (await send(`${site}/orders`, 'GET', bearer)).status === 401), 'a sign-out counts')

    await link.cut()
    const unknown = await send(`${site}/editors/x`, 'GET', { cookie })
    t.match(
      unknown,
      { status: 503, headers: { 'x-auth-error': 'service_unavailable' } },
      'it cannot tell, and nobody is signed out'
    )
    t.ok(unknown.headers['retry-after'])
    await link.mend()
  })
}

const textOf = (file: string) => readFileSync(join(examples, file), 'utf8')

t.test('each example asks for what can be read, and hands on and takes away every header', async (t) => {
  const traefik = parse(textOf('traefik/shop.yml')).http
  const envoy = JSON.stringify(parse(textOf('envoy/envoy.yaml'), { merge: true }))
  const { nobody: nobodysHeaders, ...asking } = traefik.middlewares
  const addresses: string[] = Object.values(asking).map(
    (one) => (one as { forwardAuth: { address: string } }).forwardAuth.address
  )
  addresses.push(/"path_prefix":"([^"]+)"/.exec(envoy)![1]!)
  for (const [, path] of textOf('nginx/shop.conf').matchAll(/rewrite \S+ (\S+) break;/g)) addresses.push(path!)
  for (const [, demand] of textOf('caddy/Caddyfile').matchAll(/import keyturn (\S+)/g))
    addresses.push(`/v1/forward-auth/${demand}`)
  t.equal(addresses.length, 10)
  for (const address of addresses) {
    const [, demand] = /\/v1\/forward-auth(?:\/(?:nginx|envoy))?(?:\/([^/]+))?$/.exec(address)!
    t.not(readDemand(demand), null, address)
  }

  const named = (text: string) => [...new Set(text.toLowerCase().match(/x-auth-[a-z]+/g))].sort()
  const wanted = [...identityNames].sort()
  t.same(named(JSON.stringify(nobodysHeaders)), wanted)
  for (const { forwardAuth } of Object.values(asking) as Array<{ forwardAuth: Record<string, unknown> }>) {
    t.same(named(JSON.stringify(forwardAuth.authResponseHeaders)), wanted)
    t.equal(forwardAuth.trustForwardHeader, undefined, 'what a client says it is forwarded for counts for nothing')
  }
  for (const [name, router] of Object.entries(traefik.routers) as Array<[string, { middlewares?: string[] }]>) {
    if (name !== 'keyturn') t.equal(router.middlewares?.[0], 'nobody', name)
  }
  t.same(named(/"mutations":(\[.*?\])/.exec(envoy)![1]!), wanted)
  t.same(named(/"allowed_upstream_headers":(\{.*?\]\})/.exec(envoy)![1]!), wanted)
  t.match(envoy, /"failure_mode_allow":false/)
  const [, given] = /\(nobody\) \{([\s\S]*?)\n\}/.exec(textOf('caddy/Caddyfile'))!
  t.same(named(given!), wanted)
  t.same(named(/copy_headers (.*)/.exec(textOf('caddy/Caddyfile'))![1]!), wanted)
  const set = [...textOf('nginx/shop.conf').matchAll(/proxy_set_header (X-Auth-\w+) \$auth_(\w+);/g)]
  t.same(named(set.map(([, header]) => header).join(' ')), wanted)
  for (const [, header, variable] of set) {
    t.ok(
      textOf('nginx/shop.conf').includes(
        `auth_request_set $auth_${variable} $upstream_http_${header!.toLowerCase().replaceAll('-', '_')};`
      )
    )
  }
})
