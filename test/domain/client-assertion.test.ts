import t from 'tap'
import {
  assertionDigest,
  assertionMaxLife,
  candidateKeys,
  judgeAssertion,
  readAssertion
} from '../../src/domain/client-assertion.js'
import { encode } from '../support/forge.js'

const now = new Date('2030-01-01T12:00:00Z')
const at = now.getTime() / 1000
const expected = { clientId: 'ktc_a', audience: ['https://auth.test', 'https://auth.test/oauth/token'], leeway: 5 }
const claims = { iss: 'ktc_a', sub: 'ktc_a', aud: 'https://auth.test', exp: at + 60, iat: at, jti: 'one' }
const judge = (change: object) => judgeAssertion({ ...claims, ...change }, expected, now)

t.test('what an assertion must say (RFC 7523 §3)', async (t) => {
  const good: Array<[string, object]> = [
    ['as it is', {}],
    ['for the token endpoint', { aud: 'https://auth.test/oauth/token' }],
    ['a list of one', { aud: ['https://auth.test'] }],
    ['without iat', { iat: undefined }],
    ['iat ahead by the leeway', { iat: at + 5 }],
    ['just not expired', { exp: at - 4 }],
    ['as far away as it may be', { exp: at + assertionMaxLife + 5 }],
    ['a long jti', { jti: 'x'.repeat(200) }]
  ]
  for (const [title, change] of good) t.match(judge(change), { ok: true, jti: /./ }, title)
  const bad: Array<[string, object]> = [
    ['another issuer', { iss: 'ktc_b' }],
    ['another subject', { sub: 'ktc_b' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: 'https://other.test' }],
    ['the audience with a slash', { aud: 'https://auth.test/' }],
    ['two audiences', { aud: ['https://auth.test', 'https://other.test'] }],
    ['two of ours', { aud: ['https://auth.test', 'https://auth.test/oauth/token'] }],
    ['no audience in a list', { aud: [] }],
    ['no audience', { aud: undefined }],
    ['an audience that is no text', { aud: { toString: 'https://auth.test' } }],
    ['no end', { exp: undefined }],
    ['an end as a text', { exp: String(at + 60) }],
    ['an end that never comes', { exp: Number.POSITIVE_INFINITY }],
    ['an end between two seconds', { exp: at + 0.5 }],
    ['expired', { exp: at - 5 }],
    ['an end too far away', { exp: at + assertionMaxLife + 6 }],
    ['issued tomorrow', { iat: at + 6 }],
    ['issued at a text', { iat: 'x' }],
    ['not before', { nbf: at + 6 }],
    ['no jti', { jti: undefined }],
    ['an empty jti', { jti: '' }],
    ['a jti that is no text', { jti: 1 }],
    ['a jti that is too long', { jti: 'x'.repeat(201) }]
  ]
  for (const [title, change] of bad) t.match(judge(change), { ok: false, because: /\S/ }, title)
})

t.test('an assertion is remembered for longer than any clock takes it for good', async (t) => {
  const verdict = judge({})
  t.ok(verdict.ok && verdict.expiresAt.getTime() / 1000 > claims.exp + 2 * expected.leeway)
  t.notSame(assertionDigest('a', 'bc'), assertionDigest('ab', 'c'), 'of one client')
  t.same(assertionDigest('a', 'b'), assertionDigest('a', 'b'))
  t.equal(assertionDigest('a', 'b').length, 32)
})

const jwt = (header: unknown, payload: unknown = claims, signature = 'c2ln') =>
  `${encode(header)}.${encode(payload)}.${signature}`

t.test('what cannot be an assertion is refused by its form', async (t) => {
  const header = { alg: 'ES256', kid: 'one', typ: 'JWT' }
  t.match(readAssertion(jwt(header)), { header: { alg: 'ES256', kid: 'one' }, claims: { sub: 'ktc_a' } })
  for (const good of [{ alg: 'ES256' }, { ...header, typ: 'client-authentication+jwt' }, { ...header, x5t: 'x' }]) {
    t.ok(readAssertion(jwt(good)), JSON.stringify(good))
  }
  const rows: Array<[string, string]> = [
    ['nothing', ''],
    ['dots', '...'],
    ['two parts', jwt(header).split('.').slice(0, 2).join('.')],
    ['five parts', `${jwt(header)}.x.y`],
    ['a space at the end', `${jwt(header)} `],
    ['padding', `${encode(header)}=.${encode(claims)}.c2ln`],
    ['left-over bits', `${encode(header)}.${encode(claims)}.c2lnMR`],
    ['no signature', `${encode(header)}.${encode(claims)}.`],
    ['too long', jwt(header, { ...claims, more: 'x'.repeat(9000) })],
    ['none', jwt({ ...header, alg: 'none' })],
    ['HMAC', jwt({ ...header, alg: 'HS256' })],
    ['another spelling', jwt({ ...header, alg: 'es256' })],
    ['an algorithm that is none', jwt({ ...header, alg: ['ES256'] })],
    ['an access token', jwt({ ...header, typ: 'at+jwt' })],
    ['a proof of possession', jwt({ ...header, typ: 'dpop+jwt' })],
    ['an extension that counts', jwt({ ...header, crit: ['x'], x: 1 })],
    ['a payload as it is', jwt({ ...header, b64: false })],
    ['a name that is no text', jwt({ ...header, kid: 1 })],
    ['a list', jwt(header, [])],
    ['a text', jwt(header, '"x"')],
    ['no JSON', jwt(header, '{')],
    ['a claim twice', jwt(header, '{"sub":"a","sub":"b"}')],
    ['a byte order mark', jwt(header, `\ufeff${JSON.stringify(claims)}`)]
  ]
  for (const [title, text] of rows) t.equal(readAssertion(text), undefined, title)
})

t.test('a key signs in its own algorithm, under its own name', async (t) => {
  const one = { kty: 'EC', alg: 'ES256', kid: 'one' }
  const two = { kty: 'OKP', alg: 'EdDSA', kid: 'two' }
  const unnamed = { kty: 'EC', alg: 'ES256' }
  const keys = [one, two, unnamed]
  t.same(candidateKeys(keys, { alg: 'ES256', kid: 'one' }), [one])
  t.same(candidateKeys(keys, { alg: 'ES256', kid: undefined }), [one, unnamed])
  t.same(candidateKeys(keys, { alg: 'EdDSA', kid: 'one' }), [], 'the header chooses no algorithm')
  t.same(candidateKeys(keys, { alg: 'ES256', kid: 'three' }), [])
})
