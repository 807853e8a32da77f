import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.js'
import { contract } from '../support/contract.js'
import { type BoundTokens, clientKey, proofFor } from '../support/dpop.js'
import { type FaultyLink, faultyLink } from '../support/faulty-link.js'
import { freshDatabase } from '../support/postgres.js'
import { until } from '../support/until.js'
import { fromOwnPage, goodPassword, type Tokens, testOptions } from '../support/world.js'

interface Setting {
  app: FastifyInstance
  link: FaultyLink
  tokens: Tokens
  admin: Tokens
  /** Of a session that is bound to `key`. */
  bound: BoundTokens
}

const key = clientKey()
const realTime = { now: () => new Date() }

async function service(t: Test): Promise<Setting> {
  const { url } = await freshDatabase(t)
  const link = await faultyLink(t, url)
  const options = testOptions(link.url, () => new Date())
  const faults: string[] = []
  t.teardown(() => {
    if (faults.length > 0) throw new Error(`responses that are not what openapi.yaml says:\n${faults.join('\n')}`)
  })
  const before = contract(faults)
  const app = await buildApp({ ...options, before, database: { url: link.url, poolSize: 10, timeout: 1_000 } })
  t.teardown(() => app.close())
  await app.ready()
  const login = async (username: string, roles: string[]) => {
    await app.flows.createAccount({ username, password: goodPassword, roles })
    const payload = { username, password: goodPassword }
    return (await app.inject({ method: 'POST', url: '/v1/login', payload })).json() as Tokens
  }
  const tokens = await login('grace', [])
  const dpop = proofFor(realTime, key, { path: '/v1/login' })
  const payload = { username: 'grace', password: goodPassword }
  const bound = (await app.inject({ method: 'POST', url: '/v1/login', payload, headers: { dpop } })).json()
  return { app, link, tokens, admin: await login('root', ['admin']), bound }
}

/** Every operation that needs the database, with what a client would send. */
function requests({ tokens, admin }: Setting): Array<[string, string, (object | undefined)?, string?]> {
  const id = '00000000-0000-4000-8000-000000000000'
  const { access_token: own } = tokens
  const { access_token: root } = admin
  const password = { current_password: goodPassword }
  return [
    ['POST', '/v1/register', { username: 'new', password: goodPassword }],
    ['POST', '/v1/login', { username: 'grace', password: goodPassword }],
    ['POST', '/v1/refresh', { refresh_token: tokens.refresh_token }],
    ['POST', '/v1/logout', { refresh_token: tokens.refresh_token }],
    ['POST', '/v1/logout/all', { refresh_token: tokens.refresh_token }],
    ['GET', '/v1/me/profile', undefined, own],
    ['PATCH', '/v1/me', { username: 'other' }, own],
    ['DELETE', '/v1/me', password, own],
    ['POST', '/v1/me/password', { ...password, new_password: 'battery horse correct' }, own],
    ['GET', '/v1/sessions', undefined, own],
    ['DELETE', `/v1/sessions/${id}`, undefined, own],
    ['GET', '/v1/admin/users', undefined, root],
    ['POST', '/v1/admin/users', { username: 'new' }, root],
    ['GET', `/v1/admin/users/${id}`, undefined, root],
    ['POST', `/v1/admin/users/${id}/disable`, undefined, root],
    ['POST', `/v1/admin/users/${id}/enable`, undefined, root],
    ['PUT', `/v1/admin/users/${id}/roles`, { roles: [] }, root],
    ['DELETE', `/v1/admin/users/${id}/sessions`, undefined, root],
    ['POST', '/v1/admin/invitations', {}, root]
  ]
}

function send(app: FastifyInstance, [method, url, payload, token]: [string, string, (object | undefined)?, string?]) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return app.inject({ method: method as 'GET', url, headers, ...(payload === undefined ? {} : { payload }) })
}

for (const fault of ['cut', 'hang'] as const) {
  t.test(
    `with the database ${fault === 'cut' ? 'gone' : 'silent'} every route that needs it is a 503 within 2 s`,
    async (t) => {
      const setting = await service(t)
      const { app, link, tokens } = setting
      await link[fault]()

      const all = requests(setting)
      const answers = await Promise.all(
        all.map(async (request): Promise<[string, LightMyRequestResponse, number]> => {
          const before = performance.now()
          const response = await send(app, request)
          return [request.slice(0, 2).join(' '), response, performance.now() - before]
        })
      )
      const { access_token: accessToken, refresh_token } = setting.bound
      const proven = await Promise.all([
        app.inject({
          method: 'POST',
          url: '/v1/refresh',
          payload: { refresh_token },
          headers: { dpop: proofFor(realTime, key, { path: '/v1/refresh' }) }
        }),
        app.inject({
          url: '/v1/me',
          headers: {
            authorization: `DPoP ${accessToken}`,
            dpop: proofFor(realTime, key, { method: 'GET', path: '/v1/me', accessToken })
          }
        })
      ])
      for (const response of proven) {
        t.match(
          response.json(),
          { code: 'service_unavailable', status: 503 },
          'a proof that cannot be spent is no proof'
        )
      }
      for (const [where, response, took] of answers) {
        t.match(response.json(), { code: 'service_unavailable', status: 503 }, where)
        t.ok(response.headers['retry-after'], `${where} says when to try again`)
        t.ok(took < 2_000, `${where} took ${Math.round(took)} ms`)
      }

      const ready = await app.inject('/readyz')
      t.equal(ready.statusCode, 503)
      t.match(ready.json(), { status: 'unavailable', checks: { database: 'failed' } })
      t.equal((await app.inject('/livez')).statusCode, 200)
      const headers = { authorization: `Bearer ${tokens.access_token}` }
      t.equal((await app.inject({ url: '/v1/me', headers })).statusCode, 200, 'access tokens still verify')
      t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200)

      await link.mend()
      t.ok(await until(async () => (await app.inject('/readyz')).statusCode === 200), 'it heals by itself')
      const after = await send(app, ['POST', '/v1/refresh', { refresh_token: tokens.refresh_token }])
      t.equal(after.statusCode, 200, 'and nobody was signed out')
    }
  )
}

t.test('a logout that could not be written is no logout: the cookie stays', async (t) => {
  const { app, link } = await service(t)
  const payload = { username: 'grace', password: goodPassword, refresh_transport: 'cookie' }
  const login = await app.inject({ method: 'POST', url: '/v1/login', headers: fromOwnPage, payload })
  const [cookie] = login.cookies as unknown as Array<{ name: string; value: string }>
  const logout = () =>
    app.inject({
      method: 'POST',
      url: '/v1/logout',
      headers: { ...fromOwnPage, cookie: `${cookie!.name}=${cookie!.value}` },
      payload: {}
    })
  await link.cut()
  const failed = await logout()
  t.equal(failed.statusCode, 503)
  t.equal(failed.headers['set-cookie'], undefined)
  await link.mend()
  await until(async () => (await app.inject('/readyz')).statusCode === 200)
  const done = await logout()
  t.equal(done.statusCode, 204)
  t.match(done.headers['set-cookie'], /Max-Age=0/)
})
