import t from 'tap'
import { readAuthorization } from '../../src/domain/authorization.js'
import { assertionType, readClientCredentials } from '../../src/domain/client-credentials.js'

const header = (text: string) =>
  readAuthorization(['authorization', text]) as Exclude<ReturnType<typeof readAuthorization>, 'several'>
const basic = (text: string) => `Basic ${btoa(text)}`

t.test('each way in which a client says who it is', async (t) => {
  const rows: Array<[string, string | null, object, object]> = [
    ['the id alone', null, { client_id: 'web' }, { method: 'none', clientId: 'web' }],
    [
      'post',
      null,
      { client_id: 'a', client_secret: 's' },
      { method: 'client_secret_post', clientId: 'a', secret: 's' }
    ],
    ['Basic', basic('a:s'), {}, { method: 'client_secret_basic', clientId: 'a', secret: 's' }],
    ['Basic with its id once more', basic('a:s'), { client_id: 'a' }, { method: 'client_secret_basic', clientId: 'a' }],
    ['Basic in form encoding', basic('a%3Ab+c:%2B%25%20+'), {}, { clientId: 'a:b c', secret: '+%  ' }],
    ['Basic without a secret', basic('a:'), {}, { clientId: 'a', secret: '' }],
    ['another spelling of Basic', `bAsIc ${btoa('a:s')}`, {}, { clientId: 'a', secret: 's' }],
    [
      'an assertion',
      null,
      { client_assertion: 'x.y.z', client_assertion_type: assertionType },
      { method: 'private_key_jwt', clientId: undefined, assertion: 'x.y.z' }
    ],
    [
      'an assertion with an id',
      null,
      { client_assertion: 'x.y.z', client_assertion_type: assertionType, client_id: 'a' },
      { method: 'private_key_jwt', clientId: 'a', assertion: 'x.y.z' }
    ]
  ]
  for (const [title, authorization, parameters, credentials] of rows) {
    const read = readClientCredentials(authorization === null ? null : header(authorization), parameters)
    t.match(read, { kind: 'credentials', credentials }, title)
  }
})

t.test('two ways in one request, and half of one, cannot be read (RFC 6749 §2.3)', async (t) => {
  const assertion = { client_assertion: 'x.y.z', client_assertion_type: assertionType }
  const rows: Array<[string, string | null, object]> = [
    ['Basic and a secret', basic('a:s'), { client_id: 'a', client_secret: 's' }],
    ['Basic and the same secret without an id', basic('a:s'), { client_secret: 's' }],
    ['Basic and an assertion', basic('a:s'), assertion],
    ['Basic and half of an assertion', basic('a:s'), { client_assertion_type: assertionType }],
    ['a secret and an assertion', null, { client_id: 'a', client_secret: 's', ...assertion }],
    ['Bearer and a secret', 'Bearer x', { client_id: 'a', client_secret: 's' }],
    ['Basic and another id', basic('a:s'), { client_id: 'b' }],
    ['a secret without an id', null, { client_secret: 's' }],
    ['an assertion without its type', null, { client_assertion: 'x.y.z' }],
    ['an assertion of another type', null, { ...assertion, client_assertion_type: 'saml2-bearer' }],
    ['a type without an assertion', null, { client_assertion_type: assertionType }]
  ]
  for (const [title, authorization, parameters] of rows) {
    const read = readClientCredentials(authorization === null ? null : header(authorization), parameters)
    t.match(read, { kind: 'malformed', detail: /\S/ }, title)
  }
})

t.test('a header that no client could have sent is a wrong credential, and nothing is nothing', async (t) => {
  const wrong = ['Bearer x', 'Token x', 'Basic', 'Basic x', 'Basic !', basic('no colon'), basic(':s'), basic('%zz:s')]
  for (const text of [...wrong, basic('a:%'), basic('a:\0'), 'Digest a']) {
    t.same(readClientCredentials(header(text), {}), { kind: 'wrong' }, text)
  }
  t.same(readClientCredentials(null, {}), { kind: 'nothing' })
})
