import t from 'tap'
import { runSession, send, startExample } from '../support/examples.js'
import { missingModules } from '../support/python.js'
import { goodPassword } from '../support/world.js'

const skip = missingModules('cryptography', 'django', 'rest_framework', 'rest_framework_simplejwt')

t.test('examples/service-django: who may do what, by settings alone', { skip }, async (t) => {
  const example = await startExample(t, 'service-django', ['KEYTURN_PORT', 'DJANGO_PORT'])
  const [keyturn, service] = [example.at('KEYTURN_PORT'), example.at('DJANGO_PORT')]
  t.equal(
    await runSession('service-django', { KEYTURN_URL: keyturn, SERVICE_URL: service }),
    '201 200 401 200 201 403 204',
    'the session of the README, word for word'
  )

  const login = await send(`${keyturn}/v1/login`, 'POST', { body: { username: 'ada', password: goodPassword } })
  const { access_token: token, user } = login.body
  t.same((await send(`${service}/me`, 'GET', { token })).body, { id: user.id, is_staff: false })
  t.same((await send(`${service}/reviews`, 'POST', { token, body: { text: '' } })).status, 400)
  t.same((await send(`${service}/reviews`, 'GET')).body, [{ id: 1, text: 'Read by everybody', author: null }])

  const forged = await send(`${service}/me`, 'GET', { token: `${token.slice(0, -4)}AAAA` })
  t.match(forged, { status: 401, body: { code: 'token_not_valid' } })
  t.match(forged.headers.get('www-authenticate'), /^Bearer/)
})
