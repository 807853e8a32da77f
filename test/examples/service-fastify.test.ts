import t from 'tap'
import { runSession, send, startExample } from '../support/examples.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('examples/service-fastify: who may do what, and what a sign-out ends', async (t) => {
  const example = await startExample(t, 'service-fastify', ['KEYTURN_PORT', 'FASTIFY_PORT'])
  const [keyturn, service] = [example.at('KEYTURN_PORT'), example.at('FASTIFY_PORT')]
  t.equal(
    await runSession('service-fastify', { KEYTURN_URL: keyturn, SERVICE_URL: service }),
    '201 200 401 201 200 403 403 204 over',
    'the session of the README, word for word'
  )

  const signIn = async (username: string) =>
    (await send(`${keyturn}/v1/login`, 'POST', { body: { username, password: goodPassword } })).body
  const { access_token: root, refresh_token } = await signIn('root')
  const { access_token: ada } = await signIn('ada')
  const { reader, articles } = (await send(`${service}/articles`, 'GET', { token: ada })).body
  t.match(articles, [{ title: 'Read by everybody' }, { authorId: reader }])
  t.equal((await send(`${service}/articles/1`, 'PATCH', { token: root, body: { title: 'x' } })).status, 200)
  t.equal((await send(`${service}/articles/2`, 'DELETE', { token: root })).status, 204)
  t.equal((await send(`${service}/articles/2`, 'DELETE', { token: root })).status, 404)
  t.equal((await send(`${service}/articles`, 'POST', { token: ada, body: { heading: 'x' } })).status, 400)

  const forged = await send(`${service}/articles`, 'GET', { token: `${ada.slice(0, -4)}AAAA` })
  t.match(forged, { status: 401, body: { code: 'token_invalid' } }, 'a bad token is none, also where all may come in')
  t.match(forged.headers.get('www-authenticate'), /error="invalid_token"/)

  t.equal((await send(`${keyturn}/v1/logout`, 'POST', { body: { refresh_token } })).status, 204)
  const isRevoked = async () =>
    (await send(`${service}/articles/9`, 'DELETE', { token: root })).body.code === 'token_revoked'
  t.ok(await until(isRevoked), 'an administrator who signed out')
})
