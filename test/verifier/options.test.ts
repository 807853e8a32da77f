import t from 'tap'
import { createVerifier, fromEnv, type VerifierOptions } from '../../packages/verifier/src/index.js'

const good: VerifierOptions = { issuer: 'https://auth.test', audience: 'api', revocation: 'none' }

t.test('a verifier that is configured by half does not start, and says what to set', async (t) => {
  const bad: Array<[string, unknown, RegExp]> = [
    ['nothing', undefined, /issuer, audience and revocation/],
    ['no issuer', { ...good, issuer: undefined }, /issuer is no URL/],
    ['an empty issuer', { ...good, issuer: '' }, /issuer is no URL/],
    ['issuers in a list', { ...good, issuer: ['https://auth.test'] }, /issuer is no URL/],
    ['a pattern as issuer', { ...good, issuer: /auth/ }, /issuer is no URL/],
    ['an issuer without https', { ...good, issuer: 'http://auth.test' }, /allowHttp/],
    ['an issuer in a file', { ...good, issuer: 'file:///etc/passwd', allowHttp: true }, /is not https/],
    ['an issuer with a user', { ...good, issuer: 'https://a:b@auth.test' }, /has a user/],
    ['an issuer with a fragment', { ...good, issuer: 'https://auth.test#x' }, /fragment/],
    ['an issuer with a query', { ...good, issuer: 'https://auth.test?x' }, /query/],
    ['an issuer with a line break', { ...good, issuer: 'https://auth.test\n' }, /no URL/],
    ['no audience', { ...good, audience: undefined }, /audience/],
    ['an empty audience', { ...good, audience: '' }, /audience/],
    ['audiences of nothing', { ...good, audience: [] }, /audience/],
    ['a pattern as audience', { ...good, audience: /.*/ }, /audience/],
    ['null among audiences', { ...good, audience: ['api', null] }, /audience/],
    ['no word on revocation', { ...good, revocation: undefined }, /decides for how/],
    ['another word on revocation', { ...good, revocation: 'sometimes' }, /decides for how/],
    ['another mode', { ...good, revocation: { mode: 'none' } }, /decides for how/],
    ['no word on what is stale', { ...good, revocation: { mode: 'feed' } }, /onStale/],
    ['a misspelt one', { ...good, revocation: { mode: 'feed', onstale: 'deny' } }, /has no onstale/],
    [
      'a staleness below the interval',
      { ...good, revocation: { mode: 'feed', onStale: 'deny', interval: 60, maxStaleness: 30 } },
      /not less than/
    ],
    [
      'a stream that is stale before it can say that it lives',
      { ...good, revocation: { mode: 'push', onStale: 'deny', interval: 1, maxStaleness: 10 } },
      /not less than 20/
    ],
    ['introspection without a client', { ...good, revocation: { mode: 'introspect' } }, /needs client/],
    ['a client without a secret', { ...good, client: { clientId: 'x', clientSecret: '' } }, /client/],
    ['CVE-2026-107721: a leeway without end', { ...good, leeway: Number.POSITIVE_INFINITY }, /leeway/],
    ['a leeway that is no number', { ...good, leeway: Number.NaN }, /leeway/],
    ['a leeway in words', { ...good, leeway: '5' }, /leeway/],
    ['a leeway of minutes', { ...good, leeway: 61 }, /leeway/],
    ['a leeway below zero', { ...good, leeway: -1 }, /leeway/],
    ['a leeway in parts', { ...good, leeway: 0.5 }, /whole/],
    ['keys that never age', { ...good, keys: { maxAge: Number.POSITIVE_INFINITY } }, /keys.maxAge/],
    ['an option that is none', { ...good, ignoreExpiration: true }, /has no ignoreExpiration/],
    ['CVE-2022-23540: a key set that is none', { ...good, jwks: {} }, /jwks/],
    ['a secret as key set', { ...good, jwks: 'secret' }, /jwks/]
  ]
  for (const [title, options, message] of bad) {
    t.throws(() => createVerifier(options as VerifierOptions), { name: 'TypeError', message }, title)
  }
  for (const issuer of [
    'http://localhost:3000',
    'http://127.0.0.1',
    'http://[::1]:1',
    'http://auth.localhost',
    'https://auth.test/path/'
  ]) {
    await createVerifier({ ...good, issuer }).close()
  }
  t.pass('this machine may speak http')
})

t.test('the environment says the same, and nothing is trusted by default', async (t) => {
  const env = {
    KEYTURN_ISSUER: 'https://auth.test',
    KEYTURN_AUDIENCE: 'api, web',
    KEYTURN_REVOCATION: 'feed',
    KEYTURN_REVOCATION_ON_STALE: 'deny',
    KEYTURN_REVOCATION_INTERVAL: '5',
    KEYTURN_REVOCATION_MAX_STALENESS: '30',
    KEYTURN_BASE_URL: 'https://keyturn.internal.test',
    KEYTURN_JWKS_URI: '',
    KEYTURN_INTROSPECTION_CLIENT_ID: 'ktc_x',
    KEYTURN_INTROSPECTION_CLIENT_SECRET: 'secret'
  }
  t.same(fromEnv(env), {
    issuer: 'https://auth.test',
    audience: ['api', 'web'],
    revocation: { mode: 'feed', onStale: 'deny', interval: 5, maxStaleness: 30 },
    baseUrl: 'https://keyturn.internal.test',
    client: { clientId: 'ktc_x', clientSecret: 'secret' }
  })
  await createVerifier(fromEnv(env)).close()
  for (const name of ['KEYTURN_ISSUER', 'KEYTURN_AUDIENCE', 'KEYTURN_REVOCATION']) {
    t.throws(() => fromEnv({ ...env, [name]: '' }), { message: new RegExp(name) })
  }
  const built = (change: object) => () => createVerifier(fromEnv({ ...env, ...change }))
  t.throws(built({ KEYTURN_REVOCATION: 'off' }), /KEYTURN_REVOCATION/)
  t.throws(built({ KEYTURN_REVOCATION_ON_STALE: '' }), /KEYTURN_REVOCATION_ON_STALE is allow or deny/)
  t.throws(built({ KEYTURN_REVOCATION_INTERVAL: 'soon' }), /interval/)
  t.throws(built({ KEYTURN_INTROSPECTION_CLIENT_SECRET: '' }), /client/)
  t.throws(built({ KEYTURN_AUDIENCE: 'api,' }), /audience/)
  for (const KEYTURN_REVOCATION of ['none', 'push', 'status-list', 'introspect']) {
    await built({ KEYTURN_REVOCATION })().close()
  }
})
