import { once } from 'node:events'
import http, { type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { authErrors, authOf, authOrNull, guard as expressGuard } from '../../packages/verifier/src/express.js'
import { guard as fastifyGuard } from '../../packages/verifier/src/fastify.js'
import { allow, type Verifier } from '../../packages/verifier/src/index.js'
import { bindingLogin, clientKey, proofFor } from '../support/dpop.js'
import { workshop } from '../support/forge.js'
import { verifierOf } from '../support/verifier.js'
import { issuer, world } from '../support/world.js'

/** The same routes in each framework: the origin of the service is that of the proofs that tests make. */
type Build = (t: Test, verifier: Verifier) => Promise<string>

const withFastify: Build = async (t, verifier) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/public', async () => 'anybody')
  app.register(async (scope) => {
    scope.get('/early', async () => 'early')
    scope.register(fastifyGuard, { verifier, origin: issuer })
    scope.register(async (inner) => {
      inner.register(fastifyGuard, { verifier, origin: issuer, requirement: allow.role('editor') })
      inner.get('/inner', async () => 'inner')
    })
    scope.get('/articles', async ({ auth }) => ({ sub: auth.accountId }))
    scope.get('/open', { config: { auth: allow.allowAny() } }, async ({ authOrNull }) => ({
      sub: authOrNull?.accountId ?? null
    }))
    scope.get('/open/me', { config: { auth: allow.allowAny() } }, async ({ auth }) => ({ sub: auth.accountId }))
    scope.post('/articles', { config: { auth: allow.role('editor') } }, async () => 'written')
    scope.post('/drafts', { config: { auth: allow.readOnlyOr(allow.role('editor')) } }, async () => 'written')
    scope.get('/drafts', { config: { auth: allow.readOnlyOr(allow.role('editor')) } }, async () => 'read')
    scope.get(
      '/users/:id',
      { config: { auth: allow.owner(({ params }) => (params as { id: string }).id) } },
      async () => 'own'
    )
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

async function listen(t: Test, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const withExpress: Build = async (t, verifier) => {
  const app = express()
  const guard = (need?: Parameters<typeof expressGuard>[1]) => expressGuard(verifier, need, { origin: issuer })
  app.get('/public', (_, response) => void response.send('anybody'))
  app.get('/articles', guard(), (request, response) => void response.json({ sub: authOf(request).accountId }))
  app.get('/early', guard(), (_, response) => void response.send('early'))
  app.get('/inner', guard(allow.role('editor')), (_, response) => void response.send('inner'))
  app.get('/open', guard(allow.allowAny()), (request, response) => {
    response.json({ sub: authOrNull(request)?.accountId ?? null })
  })
  app.get(
    '/open/me',
    guard(allow.allowAny()),
    (request, response) => void response.json({ sub: authOf(request).accountId })
  )
  app.post('/articles', guard(allow.role('editor')), (_, response) => void response.send('written'))
  app.all('/drafts', guard(allow.readOnlyOr(allow.role('editor'))), (_, response) => void response.send('read'))
  app.get(
    '/users/:id',
    guard(allow.owner(({ params }) => (params as { id: string }).id)),
    (_, response) => void response.send('own')
  )
  app.use(authErrors)
  return await listen(t, http.createServer(app))
}

for (const [name, build] of [
  ['Fastify', withFastify],
  ['Express', withExpress]
] as const) {
  t.test(`${name}: who may come in comes in, and everybody else is told why`, async (t) => {
    const w = await world(t)
    const shop = await workshop(w)
    const url = await build(t, verifierOf(t, w))
    const ask = async (path: string, token?: string, init: RequestInit = {}) => {
      const headers = {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(init.headers as object)
      }
      const response = await fetch(url + path, { ...init, headers })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text.startsWith('{') ? JSON.parse(text) : text
      }
    }
    const editor = shop.ours({ roles: ['editor'] })
    const sub = shop.claims.sub as string
    t.match(await ask('/articles', shop.token), { status: 200, body: { sub } })
    t.equal((await ask('/articles', shop.token)).headers.get('cache-control'), 'no-store')
    t.match(await ask('/early'), { status: 401 })
    t.match(await ask('/inner', shop.token), { status: 403 })
    t.match(await ask('/inner', editor), { status: 200, body: 'inner' })
    t.match(await ask('/public'), { status: 200, body: 'anybody' })
    t.match(await ask('/open'), { status: 200, body: { sub: null } })
    t.match(await ask('/open', shop.token), { status: 200, body: { sub } })
    t.match(await ask('/open', `${shop.token}x`), { status: 401 }, 'a bad credential is no absent one')
    t.match(await ask('/articles', editor, { method: 'POST' }), { status: 200, body: 'written' })
    t.match(await ask('/drafts'), { status: 200, body: 'read' })
    t.match(await ask('/drafts', undefined, { method: 'POST' }), { status: 401 })
    t.match(await ask('/drafts', shop.token, { method: 'POST' }), { status: 403 })
    t.match(await ask(`/users/${sub}`, shop.token), { status: 200, body: 'own' })
    t.match(await ask('/users/x', shop.token), { status: 403 })
    t.match(await ask('/articles', undefined, { method: 'HEAD' }), { status: 401 })

    const none = await ask('/articles')
    t.match(none, {
      status: 401,
      body: { status: 401, code: 'authentication_required', type: `${issuer}/problems/authentication_required` }
    })
    t.equal(none.headers.get('content-type')?.split(';')[0], 'application/problem+json')
    t.equal(none.headers.get('www-authenticate'), 'Bearer realm="api"')
    const denied = await ask('/articles', shop.token, { method: 'POST' })
    t.match(denied, { status: 403, body: { code: 'permission_denied' } })
    t.match(denied.headers.get('www-authenticate'), /insufficient_scope/)
    t.match(await ask(`/articles?access_token=${shop.token}`), { status: 400, body: { code: 'request_malformed' } })
    t.match(await ask(`/articles?access_token=${shop.token}`, shop.token), { status: 400 })
    t.match(await ask('/open/me'), { status: 401 }, 'nobody is never undefined')

    const two = await new Promise<number>((resolve) => {
      const request = http.request(`${url}/articles`, {
        headers: ['Authorization', `Bearer ${shop.token}`, 'Authorization', `Bearer ${editor}`] as never
      })
      request.on('response', (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      request.end()
    })
    t.equal(two, 400, 'two credentials')
  })

  t.test(`${name}: a token that is bound to a key comes with its proof`, async (t) => {
    const w = await world(t)
    const url = await build(t, verifierOf(t, w))
    const key = clientKey()
    const { access_token: token } = await bindingLogin(w, key)
    const ask = async (path: string, dpop?: string) => {
      const headers = { authorization: `DPoP ${token}`, ...(dpop === undefined ? {} : { dpop }) }
      return (await fetch(url + path, { headers })).status
    }
    const proof = (path: string) => proofFor(w, key, { method: 'GET', path, accessToken: token })
    t.equal(await ask('/articles?page=2', proof('/articles')), 200)
    t.equal(await ask('/articles', proof('/open')), 401)
    t.equal(await ask('/articles'), 401)
    t.equal(await ask('/inner', proof('/inner')), 403, 'of two guards both look, and the proof counts once')
    const used = proof('/articles')
    t.same([await ask('/articles', used), await ask('/articles', used)], [200, 401])
  })
}

t.test('refusals can be left to the error handlers of the application', async (t) => {
  const w = await world(t)
  const verifier = verifierOf(t, w)
  const app = Fastify()
  t.teardown(() => app.close())
  app.setErrorHandler<Error & { code?: string; statusCode?: number }>((error, _, reply) =>
    reply.code(error.statusCode ?? 500).send({ mine: error.code })
  )
  app.register(fastifyGuard, { verifier, onRefusal: 'throw' })
  app.register(async (scope) => void scope.get('/', async () => 'x'))
  const response = await app.inject('/')
  t.equal(response.statusCode, 401)
  t.same(response.json(), { mine: 'authentication_required' })
  const seen: unknown[] = []
  const server = http.createServer((request, response) => {
    expressGuard(verifier, allow.authenticated(), { onRefusal: 'throw' })(request, response, (error) => {
      seen.push((error as { code?: string }).code)
      response.end()
    })
  })
  await fetch(await listen(t, server))
  t.same(seen, ['authentication_required'], 'and a bare server of Node will do for the middleware')
  for (const origin of ['https://api.example.com/', 'api.example.com', 'https://api.example.com/v1']) {
    t.throws(() => expressGuard(verifier, undefined, { origin }), /origin/)
  }
})
