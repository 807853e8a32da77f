import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { allow, buildApp, defineAuthenticator, guard, principal } from '../../src/index.js'
import type { Authenticator } from '../../src/plugins/authenticators.js'
import { freshDatabase } from '../support/postgres.js'
import { type Embed, testOptions, world } from '../support/world.js'

/** A built service with routes of one's own that is not ready yet: how its start ends is for the test to see. */
async function starting(t: Test, embed: Embed, custom: readonly Authenticator[] = []) {
  const { url } = await freshDatabase(t)
  const options = testOptions(url, () => new Date())
  const app = await buildApp({ ...options, authenticators: { ...options.authenticators, custom } })
  t.teardown(() => app.close())
  await embed(app)
  return app.ready()
}

const answer = async () => ({ ok: true })

t.test('a route that says nothing of who may come in stops the start', async (t) => {
  await t.rejects(
    starting(t, (app) => void app.get('/open', answer)),
    /GET \/open says nothing of who may come in: register it behind a guard/
  )
  await t.rejects(
    starting(t, (app) => void app.register(async (scope) => void scope.post('/open', answer), { prefix: '/x' })),
    /POST \/x\/open says nothing/
  )
})

t.test('a route that asks for somebody and accepts no credential stops the start', async (t) => {
  const embed: Embed = async (app) => {
    await app.register(guard, { authenticators: [] })
    app.get('/closed', answer)
  }
  await t.rejects(starting(t, embed), /GET \/closed asks for a principal and accepts no credential/)
})

t.test('an authenticator that is not there stops the start', async (t) => {
  const embed: Embed = async (app) => {
    await app.register(guard)
    app.get('/x', { config: { authenticators: ['saml'] } }, answer)
  }
  await t.rejects(
    starting(t, embed),
    /There is no authenticator "saml"; AUTH_AUTHENTICATORS may name session, token, bearer, basic/
  )
})

t.test('an authenticator of one’s own is looked at when it is registered', async (t) => {
  const good: Authenticator = { name: 'mine', authenticate: () => null }
  t.equal(defineAuthenticator(good), good)
  const wrong: Array<[unknown, RegExp]> = [
    [{ ...good, name: 'Mine' }, /needs a name/],
    [{ ...good, name: '' }, /needs a name/],
    [{ name: 'mine' }, /needs a function authenticate/],
    [{ ...good, recognizes: true }, /recognizes of the authenticator mine must be a function/],
    [{ ...good, challenge: 'Mine\r\nset-cookie: a=b' }, /challenge of the authenticator mine/],
    [{ ...good, challenge: 7 }, /challenge of the authenticator mine/]
  ]
  for (const [authenticator, message] of wrong) {
    t.throws(() => defineAuthenticator(authenticator as Authenticator), message)
  }
  await t.rejects(
    starting(t, () => {}, [{ ...good, name: 'bearer' }]),
    /two authenticators named bearer/
  )
})

t.test(
  'the innermost guard decides, whatever the ones around it say, and a route’s own word goes before all',
  async (t) => {
    const embed: Embed = async (app) => {
      await app.register(guard)
      app.get('/any', answer)
      app.get('/open', { config: { requirement: allow.allowAny() } }, answer)
      await app.register(async (inner) => {
        await inner.register(guard, { requirement: allow.admin(), authenticators: ['bearer'] })
        inner.get('/admin', answer)
        inner.get('/own-word', { config: { requirement: allow.authenticated(), authenticators: ['token'] } }, answer)
        await inner.register(async (innermost) => {
          await innermost.register(guard, { requirement: allow.allowAny(), authenticators: [] })
          innermost.get('/public', answer)
        })
      })
    }
    const w = await world(t, undefined, embed)
    const { access_token: member } = await w.login(await w.account())
    const { access_token: admin } = await w.admin()
    const status = async (url: string, token?: string) => (await w.get(url, token)).statusCode
    for (const method of ['GET', 'HEAD'] as const) {
      const send = async (url: string, token?: string) => {
        const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
        return (await w.app.inject({ method, url, headers })).statusCode
      }
      t.equal(await send('/any'), 401)
      t.equal(await send('/any', member), 200)
      t.equal(await send('/open'), 200)
      t.equal(await send('/admin'), 401)
      t.equal(await send('/admin', member), 403, 'the inner guard is not overruled by the outer one')
      t.equal(await send('/admin', admin), 200)
      t.equal(await send('/own-word', admin), 401)
      t.equal(await send('/public'), 200)
      t.equal(await send('/public', 'garbage'), 200, 'a route that looks at no credential looks at none')
    }
    t.equal(await status('/v1/admin/users', member), 403, 'what is the service’s own stays as it was')
    t.equal(await status('/livez'), 200)
  }
)

t.test('a guard holds every method of a route', async (t) => {
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
  const w = await world(t, undefined, async (app) => {
    await app.register(guard, { requirement: allow.readOnlyOr(allow.admin()) })
    app.route({ method: [...methods], url: '/probe', handler: answer })
  })
  for (const method of methods) {
    const isSafe = ['GET', 'HEAD'].includes(method)
    t.equal((await w.app.inject({ method, url: '/probe' })).statusCode, isSafe ? 200 : 401, method)
  }
  const preflight = { origin: 'https://app.test', 'access-control-request-method': 'DELETE' }
  for (const headers of [{}, preflight]) {
    const { body } = await w.app.inject({ method: 'OPTIONS', url: '/probe', headers })
    t.notMatch(body, 'ok', 'preflights are answered before any route')
  }
})

t.test('an authenticator of one’s own that returns nothing has found nobody', async (t) => {
  const forgetful = { name: 'forgetful', authenticate: () => undefined } as unknown as Authenticator
  const w = await world(
    t,
    (options) => ({ ...options, authenticators: { order: ['forgetful', 'bearer'], custom: [forgetful] } }),
    async (app) => {
      await app.register(guard)
      app.get('/probe', answer)
    }
  )
  t.equal((await w.get('/probe')).statusCode, 401)
  t.equal((await w.get('/probe', (await w.login(await w.account())).access_token)).statusCode, 200)
})

t.test('nobody is asked for by name where nobody has to be: request.principal is never undefined', async (t) => {
  const w = await world(t, undefined, async (app: FastifyInstance) => {
    await app.register(guard, { requirement: allow.allowAny() })
    app.get('/greeting', async (request) => ({ id: request.principal.accountId }))
  })
  t.match((await w.get('/greeting')).json(), { code: 'authentication_required', status: 401 })
  const { access_token, user } = await w.login(await w.account())
  t.same((await w.get('/greeting', access_token)).json(), { id: user.id })
  t.match((await w.get('/greeting', 'garbage')).json(), { code: 'token_invalid' }, 'a bad credential is never nobody')
})

t.test('what a handler does to its principal is of that request alone', async (t) => {
  const w = await world(t, undefined, async (app) => {
    await app.register(guard)
    app.get('/probe', async ({ principal }) => {
      const seen = [...principal.roles, ...principal.permissions, ...principal.scopes]
      for (const set of [principal.roles, principal.permissions, principal.scopes]) (set as Set<string>).add('admin')
      return seen
    })
  })
  const { user } = await w.login(await w.account())
  const { key } = await w.app.flows.createApiToken(user.id, { name: 'x' })
  for (let time = 0; time < 3; time++) {
    t.same((await w.app.inject({ url: '/probe', headers: { authorization: `Token ${key}` } })).json(), [])
  }
})

t.test('what one person is told is for nobody’s cache', async (t) => {
  const w = await world(t, undefined, async (app) => {
    await app.register(guard)
    app.get('/probe', answer)
  })
  const { access_token } = await w.login(await w.account())
  for (const token of [access_token, 'garbage', undefined]) {
    t.equal((await w.get('/probe', token)).headers['cache-control'], 'no-store')
  }
})

t.test('whom another system vouches for and this one does not know has no account to read or to change', async (t) => {
  const stranger: Authenticator = {
    name: 'mine',
    authenticate: (request) =>
      request.headers['x-mine'] === undefined ? null : principal({ accountId: 'ext:1', authenticator: 'mine' })
  }
  const w = await world(t, (options) => ({
    ...options,
    authenticators: { order: ['token', 'mine'], custom: [stranger] }
  }))
  const id = '00000000-0000-4000-8000-000000000001'
  const ask = async (method: 'GET' | 'PATCH' | 'DELETE' | 'POST', url: string, payload?: object) => {
    const headers = { 'x-mine': '1' }
    const response = await w.app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) })
    return response.statusCode
  }
  t.equal(await ask('GET', '/v1/me'), 200)
  t.equal(await ask('GET', '/v1/sessions'), 200)
  t.equal(await ask('GET', '/v1/tokens'), 200)
  t.equal(await ask('GET', '/v1/me/profile'), 404)
  t.equal(await ask('DELETE', `/v1/sessions/${id}`), 404)
  t.equal(await ask('PATCH', '/v1/me', { username: 'another' }), 404)
  t.equal(await ask('DELETE', '/v1/me', { current_password: 'x' }), 404)
  t.equal(await ask('POST', '/v1/me/password', { current_password: 'x', new_password: 'y' }), 404)
})

t.test('openapi.json names the authenticators of one’s own, also those without a challenge', async (t) => {
  const custom = [
    { name: 'partner', authenticate: () => null },
    { name: 'apikey', challenge: 'ApiKey realm="test"', authenticate: () => null },
    { name: 'idle', authenticate: () => null }
  ]
  const w = await world(
    t,
    (options) => ({ ...options, authenticators: { order: ['partner', 'bearer'], custom } }),
    async (app) => {
      await app.register(guard, { authenticators: ['apikey'], requirement: allow.role('editor') })
      app.get('/probe', answer)
      app.get('/hidden', { schema: { hide: true }, config: { authenticators: ['drf-token'] } as object }, answer)
    }
  )
  const response = await w.get('/openapi.json')
  t.equal(response.statusCode, 200)
  const { components, paths } = response.json()
  t.same(Object.keys(components.securitySchemes), ['bearer', 'token', 'session', 'client', 'partner', 'apikey'])
  t.match(components.securitySchemes, {
    partner: { type: 'apiKey', in: 'header', name: 'partner' },
    apikey: { type: 'http', scheme: 'apikey' }
  })
  t.same(paths['/v1/me'].get.security, [{ partner: [] }, { bearer: [] }])
  t.match(paths['/probe'].get, { security: [{ apikey: [] }], 'x-requirement': { role: 'editor' } })
})
