import t from 'tap'
import { runSession, send, startExample } from '../support/examples.js'
import { goodPassword } from '../support/world.js'

t.test('examples/service-express: who may do what, and what a sign-out ends', async (t) => {
  const example = await startExample(t, 'service-express', ['KEYTURN_PORT', 'EXPRESS_PORT'])
  const [keyturn, service] = [example.at('KEYTURN_PORT'), example.at('EXPRESS_PORT')]
  t.equal(
    await runSession('service-express', { KEYTURN_URL: keyturn, SERVICE_URL: service }),
    '201 200 401 201 200 403 200 204 over',
    'the session of the README, word for word'
  )

  const signIn = async (username: string) =>
    (await send(`${keyturn}/v1/login`, 'POST', { body: { username, password: goodPassword } })).body.access_token
  await send(`${keyturn}/v1/register`, 'POST', { body: { username: 'eve', password: goodPassword } })
  const [root, ada, eve] = [await signIn('root'), await signIn('ada'), await signIn('eve')]
  t.match(await send(`${service}/orders`, 'GET', { token: ada }), { status: 200, body: [{ id: 1, fruit: 'pear' }] })
  t.same((await send(`${service}/orders`, 'GET', { token: eve })).body, [], 'another one sees their own')
  t.equal((await send(`${service}/orders/1`, 'GET', { token: eve })).status, 404)
  t.equal((await send(`${service}/orders/1`, 'GET', { token: root })).status, 200)
  t.equal((await send(`${service}/orders`, 'POST', { token: ada, body: { fruit: 'toString' } })).status, 400)

  const forged = await send(`${service}/orders`, 'GET', { token: `${ada.slice(0, -4)}AAAA` })
  t.match(forged, { status: 401, body: { code: 'token_invalid' } })
  t.match(forged.headers.get('www-authenticate'), /error="invalid_token"/)
})
