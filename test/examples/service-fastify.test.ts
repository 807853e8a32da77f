import t from 'tap'
import { runSession, startExample } from '../support/examples.js'
import { until } from '../support/until.js'
import { goodPassword } from '../support/world.js'

t.test('examples/service-fastify: who may do what, and what a sign-out ends', async (t) => {
  const example = await startExample(t, 'service-fastify', ['KEYTURN_PORT', 'FASTIFY_PORT'])
  const [keyturn, service] = [example.at('KEYTURN_PORT'), example.at('FASTIFY_PORT')]
  const send = (url: string, method: string, body?: object, token?: string) =>
    fetch(url, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token && { authorization: `Bearer ${token}` })
      },
      ...(body && { body: JSON.stringify(body) })
    })
  t.equal(
    await runSession('service-fastify', { KEYTURN_URL: keyturn, SERVICE_URL: service }),
    '201 200 401 201 200 403 403 204 over',
    'the session of the README, word for word'
  )

  const signIn = async (username: string) =>
    (await (await send(`${keyturn}/v1/login`, 'POST', { username, password: goodPassword })).json()) as {
      access_token: string
      refresh_token: string
    }
  const [root, ada] = [await signIn('root'), await signIn('ada')]
  const articles = (await (await send(`${service}/articles`, 'GET', undefined, ada.access_token)).json()) as {
    reader: string
    articles: Array<{ title: string; authorId: string }>
  }
  t.match(articles.articles, [{ title: 'Read by everybody' }, { authorId: articles.reader }])
  t.equal((await send(`${service}/articles/1`, 'PATCH', { title: 'x' }, root.access_token)).status, 200)
  t.equal((await send(`${service}/articles/2`, 'DELETE', undefined, root.access_token)).status, 204)
  t.equal((await send(`${service}/articles/2`, 'DELETE', undefined, root.access_token)).status, 404)
  t.equal((await send(`${service}/articles`, 'POST', { heading: 'x' }, ada.access_token)).status, 400)

  const forged = await send(`${service}/articles`, 'GET', undefined, `${ada.access_token.slice(0, -4)}AAAA`)
  t.equal(forged.status, 401, 'a bad token is none, also where everybody may come in')
  t.match(forged.headers.get('www-authenticate'), /error="invalid_token"/)
  t.match(await forged.json(), { code: 'token_invalid' })

  const { refresh_token } = root
  t.equal((await send(`${keyturn}/v1/logout`, 'POST', { refresh_token })).status, 204)
  const deleting = () => send(`${service}/articles/9`, 'DELETE', undefined, root.access_token)
  t.ok(
    await until(async () => ((await (await deleting()).json()) as { code?: string }).code === 'token_revoked'),
    'an administrator who signed out'
  )
})
