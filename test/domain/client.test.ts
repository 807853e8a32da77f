import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { isApiToken } from '../../src/domain/api-token.js'
import {
  assertionAlgorithms,
  clientIdEntropy,
  clientSecretDigest,
  clientSecretEntropy,
  formatClientId,
  formatClientSecret,
  isClientId,
  isClientSecret,
  judgeClient,
  readClientKeys
} from '../../src/domain/client.js'
import { isUuid } from '../../src/domain/uuid.js'
import { keyPair } from '../support/clients.js'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((all) => Buffer.from(all))

t.test('ids and secrets have their randomness and their own forms', async (t) => {
  t.equal(clientIdEntropy * 8, 128)
  t.equal(clientSecretEntropy * 8, 256)
  fc.assert(
    fc.property(bytes(clientIdEntropy), bytes(clientSecretEntropy), (one, other) => {
      const [id, secret] = [formatClientId(one), formatClientSecret(other)]
      return isClientId(id) && isClientSecret(secret) && !isClientId(secret) && !isClientSecret(id)
    })
  )
  for (const fill of [0x00, 0xff]) {
    t.match(formatClientId(Buffer.alloc(16, fill)), /^ktc_[0-9A-Za-z]{22}$/)
    t.match(formatClientSecret(Buffer.alloc(32, fill)), /^kts_[0-9A-Za-z]{49}$/)
  }
  const id = formatClientId(Buffer.alloc(16, 1))
  t.notOk(isUuid(id), 'no account has such an id (RFC 9700 §4.15)')
  t.notOk(isApiToken(formatClientSecret(Buffer.alloc(32))))
  t.same(clientSecretDigest('x'), createHash('sha256').update('x').digest())
})

t.test('a secret that is cut, longer or mistyped is seen without asking anybody', async (t) => {
  const secret = formatClientSecret(Buffer.from('a secret of the test, 32 bytes..'))
  for (let at = 0; at < secret.length; at++) {
    t.notOk(isClientSecret(secret.slice(0, at)), `cut after ${at}`)
    t.notOk(isClientSecret(secret.slice(0, at) + (secret[at] === '0' ? '1' : '0') + secret.slice(at + 1)), `at ${at}`)
  }
  for (const more of ['0', ' ', '\n']) t.notOk(isClientSecret(secret + more))
})

t.test('public keys with one algorithm each are kept, without what nobody needs', async (t) => {
  for (const alg of assertionAlgorithms) {
    const { jwk } = keyPair(alg as 'ES256', 'one')
    const read = readClientKeys({
      keys: [{ ...jwk, use: 'sig', x5u: 'https://evil.test', key_ops: ['verify'], note: 1 }]
    })
    t.same(read, { keys: { keys: [{ ...jwk, use: 'sig' }] } }, alg)
  }
  t.notOk(
    assertionAlgorithms.some((alg) => /none|HS/.test(alg)),
    'nothing symmetric'
  )
})

t.test('what is not a public key of one algorithm is told with what to do', async (t) => {
  const { jwk } = keyPair('ES256', 'one')
  const { jwk: rsa } = keyPair('RS256')
  const rows: Array<[string, unknown, RegExp]> = [
    ['null', null, /not a JWK/],
    ['a text', 'x', /not a JWK/],
    ['a list', [], /not a JWK/],
    ['a private key', { ...jwk, d: 'x' }, /private key/],
    ['a symmetric key', { kty: 'oct', k: 'x', alg: 'HS256' }, /private key/],
    ['none', { ...jwk, alg: 'none' }, /"alg"/],
    ['HMAC', { kty: 'oct', alg: 'HS256' }, /"alg"/],
    ['no algorithm', { ...jwk, alg: undefined }, /"alg"/],
    ['a member of every object', { ...jwk, alg: 'constructor' }, /"alg"/],
    ['an algorithm of other keys', { ...jwk, alg: 'RS256' }, /other keys/],
    ['another curve', { ...jwk, crv: 'P-384' }, /other keys/],
    ['for encryption', { ...jwk, use: 'enc' }, /"use"/],
    ['a number for a name', { ...jwk, kid: 1 }, /"kid"/],
    ['an empty name', { ...jwk, kid: '' }, /"kid"/],
    ['a short RSA key', { ...rsa, n: String(rsa.n).slice(0, 171) }, /2,048/]
  ]
  for (const [title, key, detail] of rows) {
    const read = readClientKeys({ keys: [key] })
    t.match(read, { errors: [{ pointer: '/jwks/keys/0', code: 'invalid', detail }] }, title)
  }
  t.match(readClientKeys({ keys: [] }), { errors: [{ pointer: '/jwks/keys' }] })
  t.match(readClientKeys({ keys: Array(11).fill(jwk) }), { errors: [{ pointer: '/jwks/keys' }] })
  t.match(readClientKeys({ keys: [jwk, jwk] }), { errors: [{ detail: /Two keys/ }] })
  const { kid: _, ...unnamed } = jwk
  t.ok('keys' in readClientKeys({ keys: [unnamed, unnamed] }), 'keys without a name may be several')
})

t.test('a name, scopes and an audience are what they must be', async (t) => {
  t.same(judgeClient({ name: 'billing', scopes: ['a:b'], audience: ['api'] }, ['api']), [])
  t.same(judgeClient({}, []), [])
  const pointers = (input: object) => judgeClient(input, ['api']).map(({ pointer }) => pointer)
  t.same(pointers({ name: '' }), ['/name'])
  t.same(pointers({ name: 'a\nb' }), ['/name'])
  t.same(pointers({ name: 'x'.repeat(101) }), ['/name'])
  t.same(pointers({ scopes: ['a', 'b c', 'd"'] }), ['/scopes/1', '/scopes/2'])
  t.same(pointers({ audience: ['api', 'other'] }), ['/audience/1'])
})
