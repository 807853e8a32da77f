import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import {
  judgeProof,
  normalizedUri,
  type ProofExpectation,
  passProofGate,
  proofAlgorithms,
  proofHeaders,
  proofMaxLength
} from '../../src/domain/dpop.js'
import { noncesAt, proofOf, tokenHash } from '../../src/domain/dpop-proof.js'
import { thumbprint } from '../../src/domain/key-ring.js'
import { isSignedBy } from '../../src/plugins/jose.js'
import { clientKey, signProof } from '../support/dpop.js'
import { encode } from '../support/forge.js'

const vectors = JSON.parse(readFileSync(new URL('../vectors/dpop/rfc9449.json', import.meta.url), 'utf8'))
const [vector] = vectors.proofs as [{ proof: string; header: Json; payload: Json; jkt: string }]
type Json = Record<string, unknown> & { jwk?: Json }

/** The moment of the RFC's proof. */
const then = new Date((vector.payload.iat as number) * 1000)
const at = (seconds: number) => new Date(then.getTime() + seconds * 1000)
const expected: ProofExpectation = { method: 'POST', uri: 'https://server.example.com/token', nonces: null }
const jwk = vector.header.jwk!

/** The RFC's proof with another header and another payload; texts are taken as they are. Its signature is then wrong. */
const changed = (header: unknown, payload: unknown = vector.payload) =>
  `${encode(header)}.${encode(payload)}.${vector.proof.split('.')[2]}`
const withHeader = (change: object) => changed({ ...vector.header, ...change })
const withPayload = (change: object) => changed(vector.header, { ...vector.payload, ...change })

/** Why a text is refused; `good` where nothing but the signature is left to look at. */
function reason(text: string, expectation: Partial<ProofExpectation> = {}, now = then): string {
  const gate = passProofGate(text)
  if (!gate.ok) return gate.because
  const verdict = judgeProof(gate.draft, { ...expected, ...expectation }, now)
  if (verdict.ok) return 'good'
  return verdict.claim === undefined ? verdict.because : `${verdict.because}: ${verdict.claim}`
}

t.test('the proof of RFC 9449 figure 2 is good at its moment, by its key and for its request', async (t) => {
  t.equal(reason(vector.proof), 'good')
  const gate = passProofGate(vector.proof)
  if (!gate.ok) throw new Error(gate.because)
  t.strictSame(gate.draft, { algorithm: 'ES256', jwk: { ...jwk }, payload: vector.payload })
  t.ok(await isSignedBy(vector.proof, gate.draft.jwk, 'ES256'))
  t.equal(tokenHash(vectors.ath.accessToken), vectors.ath.ath)
})

const without = (object: Json, member: string) =>
  Object.fromEntries(Object.entries(object).filter(([k]) => k !== member))
const good = vector.proof
const [head = '', body = '', signature = ''] = good.split('.')
const malformed = (claim: string) => `claim_missing_or_malformed: ${claim}`
const rsa = (bits: number) =>
  generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' }) as Json
const rsa2048 = rsa(2048)

const cases: Array<[number, string, string, string, Partial<ProofExpectation>?]> = [
  [2, 'nothing', '', 'not_a_compact_jws'],
  [2, 'one part', head, 'not_a_compact_jws'],
  [2, 'two parts', `${head}.${body}`, 'not_a_compact_jws'],
  [2, 'five parts, as a JWE has', `${good}.AAAA.AAAA`, 'not_a_compact_jws'],
  [2, 'two proofs in one header', `${good}, ${good}`, 'not_a_compact_jws'],
  [2, 'no signature', `${head}.${body}.`, 'not_canonical'],
  [2, 'a space behind', `${good} `, 'not_canonical'],
  [2, 'padding', `${good}==`, 'not_canonical'],
  [2, 'bits left over in the signature', `${good.slice(0, -1)}h`, 'not_canonical'],
  [2, 'a JSON serialization', JSON.stringify({ protected: head, payload: body, signature }), 'not_a_compact_jws'],
  [2, 'too long', withPayload({ more: 'x'.repeat(proofMaxLength) }), 'too_long'],
  [2, 'a header that is not JSON', changed('typ'), 'header_unreadable'],
  [2, 'an array as header', changed('[]'), 'header_unreadable'],
  [2, 'null as header', changed('null'), 'header_unreadable'],
  [
    2,
    'a member of the header twice',
    changed(JSON.stringify(vector.header).replace('{', '{"alg":"ES256",')),
    'header_unreadable'
  ],
  [
    2,
    'a member of the key twice',
    changed(JSON.stringify(vector.header).replace('"jwk":{', '"jwk":{"crv":"P-256",')),
    'header_unreadable'
  ],
  [2, 'a payload that is not JSON', changed(vector.header, 'x'), 'payload_unreadable'],
  [2, 'an array as payload', changed(vector.header, '[]'), 'payload_unreadable'],
  [
    2,
    'a claim twice',
    changed(vector.header, JSON.stringify(vector.payload).replace('{', '{"htm":"GET",')),
    'payload_unreadable'
  ],
  [2, 'a header that has a kid', withHeader({ kid: 'k1' }), 'header_member_unknown'],
  [2, 'a header that is critical', withHeader({ crit: ['b64'], b64: false }), 'header_member_unknown'],
  [2, 'a header with a link to keys', withHeader({ jku: 'https://evil.example' }), 'header_member_unknown'],
  [2, 'a header with a certificate', withHeader({ x5c: ['MIIB'] }), 'header_member_unknown'],
  [4, 'no typ', changed(without(vector.header, 'typ')), 'type_wrong'],
  [4, 'typ JWT', withHeader({ typ: 'JWT' }), 'type_wrong'],
  [4, 'typ of an access token', withHeader({ typ: 'at+jwt' }), 'type_wrong'],
  [4, 'typ in capitals', withHeader({ typ: 'DPOP+JWT' }), 'type_wrong'],
  [4, 'typ with its tree', withHeader({ typ: 'application/dpop+jwt' }), 'type_wrong'],
  [4, 'typ as a list', withHeader({ typ: ['dpop+jwt'] }), 'type_wrong'],
  [7, 'no key', changed(without(vector.header, 'jwk')), 'key_malformed'],
  [7, 'null as key', withHeader({ jwk: null }), 'key_malformed'],
  [7, 'a key as text', withHeader({ jwk: JSON.stringify(jwk) }), 'key_malformed'],
  [7, 'keys in a list', withHeader({ jwk: [jwk] }), 'key_malformed'],
  [7, 'a key without a coordinate', withHeader({ jwk: without(jwk, 'y') }), 'key_malformed'],
  [7, 'a coordinate that is too short', withHeader({ jwk: { ...jwk, x: 'AAAA' } }), 'key_malformed'],
  [7, 'a coordinate that is too long', withHeader({ jwk: { ...jwk, x: `AA${jwk.x}` } }), 'key_malformed'],
  [7, 'a coordinate with bits left over', withHeader({ jwk: { ...jwk, x: `${'A'.repeat(42)}B` } }), 'key_malformed'],
  [7, 'a coordinate that is a number', withHeader({ jwk: { ...jwk, x: 1 } }), 'key_malformed'],
  [7, 'another curve', withHeader({ jwk: { ...jwk, crv: 'P-384' } }), 'key_malformed'],
  [7, 'the curve of Bitcoin', withHeader({ jwk: { ...jwk, crv: 'secp256k1' } }), 'key_malformed'],
  [7, 'a key of another type', withHeader({ jwk: { ...jwk, kty: 'OKP' } }), 'key_malformed'],
  [7, 'a key that is meant for another algorithm', withHeader({ jwk: { ...jwk, alg: 'ES384' } }), 'key_malformed'],
  [7, 'an EC key for an RSA algorithm', withHeader({ alg: 'RS256' }), 'key_malformed'],
  [7, 'an RSA key for ES256', withHeader({ jwk: rsa2048 }), 'key_malformed'],
  [7, 'an RSA key of 1024 bits', withHeader({ alg: 'RS256', jwk: rsa(1024) }), 'key_malformed'],
  [
    7,
    'an RSA key of 2047 bits',
    withHeader({ alg: 'RS256', jwk: { ...rsa2048, n: `f${'_'.repeat(340)}w` } }),
    'key_malformed'
  ],
  [
    7,
    'an RSA key with a zero before',
    withHeader({ alg: 'PS256', jwk: { ...rsa2048, n: `AAAA${rsa2048.n}` } }),
    'key_malformed'
  ],
  [
    7,
    'an RSA key of 4104 bits',
    withHeader({ alg: 'PS256', jwk: { ...rsa2048, n: '_'.repeat(684) } }),
    'key_malformed'
  ],
  [7, 'an exponent of one', withHeader({ alg: 'RS256', jwk: { ...rsa2048, e: 'AQ' } }), 'key_malformed'],
  [7, 'an even exponent', withHeader({ alg: 'RS256', jwk: { ...rsa2048, e: 'AQAA' } }), 'key_malformed'],
  [7, 'an exponent that is slow', withHeader({ alg: 'RS256', jwk: { ...rsa2048, e: rsa2048.n } }), 'key_malformed'],
  [7, 'no exponent', withHeader({ alg: 'RS256', jwk: without(rsa2048, 'e') }), 'key_malformed'],
  [3, 'no jti', changed(vector.header, without(vector.payload, 'jti')), malformed('jti')],
  [3, 'an empty jti', withPayload({ jti: '' }), malformed('jti')],
  [3, 'a jti that others will have as well', withPayload({ jti: 'x'.repeat(15) }), malformed('jti')],
  [3, 'a jti that is too long', withPayload({ jti: 'x'.repeat(257) }), malformed('jti')],
  [3, 'a jti that is a number', withPayload({ jti: 1e20 }), malformed('jti')],
  [3, 'a jti that is a list', withPayload({ jti: ['-BwC3ESc6acc2lTc'] }), malformed('jti')],
  [3, 'no htm', changed(vector.header, without(vector.payload, 'htm')), malformed('htm')],
  [3, 'no htu', changed(vector.header, without(vector.payload, 'htu')), malformed('htu')],
  [3, 'no iat', changed(vector.header, without(vector.payload, 'iat')), malformed('iat')],
  [3, 'an empty payload', changed(vector.header, '{}'), malformed('jti')],
  [8, 'another method', withPayload({ htm: 'GET' }), 'method_wrong'],
  [8, 'the method in small letters', withPayload({ htm: 'post' }), 'method_wrong'],
  [8, 'the method with a space', withPayload({ htm: 'POST ' }), 'method_wrong'],
  [8, 'a list of methods', withPayload({ htm: ['POST'] }), malformed('htm')],
  [8, 'another method of the request', good, 'method_wrong', { method: 'PUT' }],
  [9, 'another path', withPayload({ htu: 'https://server.example.com/tokens' }), 'uri_wrong'],
  [9, 'a path that goes on', withPayload({ htu: 'https://server.example.com/token/' }), 'uri_wrong'],
  [9, 'the path in capitals', withPayload({ htu: 'https://server.example.com/TOKEN' }), 'uri_wrong'],
  [9, 'no path', withPayload({ htu: 'https://server.example.com' }), 'uri_wrong'],
  [9, 'another host', withPayload({ htu: 'https://evil.example/token' }), 'uri_wrong'],
  [9, 'a host that goes on', withPayload({ htu: 'https://server.example.com.evil.example/token' }), 'uri_wrong'],
  [
    9,
    'a user in front of another host',
    withPayload({ htu: 'https://server.example.com@evil.example/token' }),
    'uri_wrong'
  ],
  [9, 'a user', withPayload({ htu: 'https://me@server.example.com/token' }), 'uri_wrong'],
  [9, 'another scheme', withPayload({ htu: 'http://server.example.com/token' }), 'uri_wrong'],
  [9, 'another port', withPayload({ htu: 'https://server.example.com:444/token' }), 'uri_wrong'],
  [9, 'a path alone', withPayload({ htu: '/token' }), 'uri_wrong'],
  [9, 'a scheme of scripts', withPayload({ htu: 'javascript:alert(1)' }), 'uri_wrong'],
  [9, 'a line break within', withPayload({ htu: 'https://server.example.com/to\nken' }), 'uri_wrong'],
  [9, 'a space before', withPayload({ htu: ' https://server.example.com/token' }), 'uri_wrong'],
  [9, 'an encoded slash', withPayload({ htu: 'https://server.example.com/%2Ftoken' }), 'uri_wrong'],
  [9, 'a list of addresses', withPayload({ htu: ['https://server.example.com/token'] }), malformed('htu')],
  [9, 'another address of the request', good, 'uri_wrong', { uri: 'https://server.example.com/other' }],
  [9, 'an address of the request that is none', good, 'uri_wrong', { uri: 'server' }],
  [10, 'no nonce where one is asked for', good, 'nonce_missing', { nonces: ['n1', 'n0'] }],
  [10, 'a nonce of long ago', withPayload({ nonce: 'n-1' }), 'nonce_wrong', { nonces: ['n1', 'n0'] }],
  [10, 'a nonce that is a list', withPayload({ nonce: ['n1'] }), 'nonce_wrong', { nonces: ['n1', 'n0'] }],
  [10, 'an empty nonce', withPayload({ nonce: '' }), 'nonce_wrong', { nonces: ['n1', 'n0'] }],
  [11, 'an iat that is a text', withPayload({ iat: '1562262616' }), malformed('iat')],
  [11, 'an iat with a fraction', withPayload({ iat: 1562262616.5 }), malformed('iat')],
  [11, 'an iat that is null', withPayload({ iat: null }), malformed('iat')],
  [
    11,
    'an iat without end',
    changed(vector.header, JSON.stringify(vector.payload).replace('1562262616', '1e400')),
    malformed('iat')
  ],
  [11, 'an iat in milliseconds', withPayload({ iat: 1562262616000 }), 'not_yet_valid'],
  [11, 'a negative iat', withPayload({ iat: -1562262616 }), 'too_old'],
  [12, 'no ath beside a token', good, malformed('ath'), { accessTokenHash: vectors.ath.ath }],
  [
    12,
    'the ath of another token',
    withPayload({ ath: tokenHash('x') }),
    'token_hash_wrong',
    { accessTokenHash: vectors.ath.ath }
  ],
  [
    12,
    'an ath in hexadecimal',
    withPayload({ ath: Buffer.from(vectors.ath.ath, 'base64url').toString('hex') }),
    'token_hash_wrong',
    { accessTokenHash: vectors.ath.ath }
  ],
  [
    12,
    'an ath that is a list',
    withPayload({ ath: [vectors.ath.ath] }),
    malformed('ath'),
    { accessTokenHash: vectors.ath.ath }
  ]
]
for (const alg of [
  'none',
  'None',
  'HS256',
  'es256',
  'ES384',
  'ES256K',
  'RS512',
  'RS1',
  'ed25519',
  'ML-DSA-44',
  '',
  null,
  ['ES256'],
  5
]) {
  cases.push([5, `alg ${JSON.stringify(alg)}`, withHeader({ alg }), 'algorithm_refused'])
}
cases.push([5, 'no alg', changed(without(vector.header, 'alg')), 'algorithm_refused'])
for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']) {
  for (const value of ['AAAA', '', null]) {
    const title = `a key with ${member}, ${JSON.stringify(value)}`
    cases.push([7, title, withHeader({ jwk: { ...jwk, [member]: value } }), 'key_private'])
  }
}

for (const number of [2, 3, 4, 5, 7, 8, 9, 10, 11, 12]) {
  t.test(`check ${number} of RFC 9449 §4.3: a proof is refused that has`, async (t) => {
    for (const [check, title, text, because, expectation] of cases) {
      if (check === number) t.equal(reason(text, expectation), because, title)
    }
  })
}

t.test('check 1: every DPoP header of a request is seen, whatever its case', async (t) => {
  t.same(proofHeaders(['Host', 'x', 'DPoP', 'a', 'accept', 'dpop', 'dpop', 'b', 'DPOP', '', 'dpop2', 'c']), [
    'a',
    'b',
    ''
  ])
  t.same(proofHeaders([]), [])
})

t.test(
  'check 6: a signature is by the key in the header, over what was sent, in the algorithm that was named',
  async (t) => {
    for (const algorithm of proofAlgorithms) {
      const key = clientKey(algorithm)
      const text = signProof(key, vector.payload)
      t.equal(reason(text), 'good', algorithm)
      const gate = passProofGate(text)
      if (!gate.ok) throw new Error(gate.because)
      t.equal(thumbprint(gate.draft.jwk), key.jkt)
      const { draft } = gate
      t.ok(await isSignedBy(text, draft.jwk, algorithm), algorithm)
      const [header, , mac] = text.split('.')
      t.notOk(await isSignedBy(`${header}.${encode({ ...vector.payload, htm: 'GET' })}.${mac}`, draft.jwk, algorithm))
      const other = clientKey(algorithm).jwk as typeof draft.jwk
      t.notOk(await isSignedBy(text, other, algorithm), `${algorithm}: another key`)
      const half = text.slice(0, -4)
      t.notOk(await isSignedBy(half, draft.jwk, algorithm), `${algorithm}: a signature that was cut`)
    }
    const [header, payload] = good.split('.')
    t.notOk(await isSignedBy(`${header}.${payload}.${'A'.repeat(86)}`, jwk as never, 'ES256'), 'a signature of zeros')
    const off = { ...jwk, y: `${'A'.repeat(42)}E` } as never
    t.notOk(await isSignedBy(good, off, 'ES256'), 'a point that is not on the curve is no key')
    t.notOk(
      await isSignedBy(signProof(clientKey('RS256'), {}), rsa2048 as never, 'PS256'),
      'the header does not choose'
    )
  }
)

t.test('a proof is good from 5 s before to 60 s after the moment that it names, on the instant', async (t) => {
  for (const [seconds, verdict] of [
    [-5, 'good'],
    [-5.001, 'not_yet_valid'],
    [-3600, 'not_yet_valid'],
    [60, 'good'],
    [60.001, 'too_old'],
    [86_400, 'too_old']
  ] as const) {
    t.equal(reason(good, {}, at(seconds)), verdict, `${seconds} s after`)
  }
})

t.test('one address has one normal form, without query and fragment', async (t) => {
  for (const htu of [
    'https://server.example.com/token?code=1',
    'https://server.example.com/token#part',
    'HTTPS://SERVER.example.com/token',
    'https://server.example.com:443/token',
    'https://server.example.com/a/../token',
    'https://server.example.com/%74oken'
  ]) {
    t.equal(reason(withPayload({ htu })), 'good', htu)
  }
  t.equal(normalizedUri('http://localhost:3000/a%2fb%c3%a9~%7e?x'), 'http://localhost:3000/a%2Fb%C3%A9~~')
  for (const text of ['', 'x', 'ftp://a/b', 'https://', 'https://a b/', 'https://exämple/', 'https://a:b@c/']) {
    t.equal(normalizedUri(text), undefined, text)
  }
})

t.test('what a key says of itself besides is left out of what it is', async (t) => {
  const browser = {
    ...jwk,
    ext: true,
    key_ops: ['verify'],
    kid: 'x',
    use: 'sig',
    alg: 'ES256',
    x5u: 'https://evil.example'
  }
  const gate = passProofGate(withHeader({ jwk: browser }))
  if (!gate.ok) throw new Error(gate.because)
  t.strictSame(gate.draft.jwk, jwk)
  t.equal(thumbprint(gate.draft.jwk), vector.jkt)
})

t.test('claims that nobody asks for change nothing, and an ath only counts beside a token', async (t) => {
  t.equal(reason(withPayload({ ath: 'x', nonce: 'x', exp: 0, sub: 'ada' })), 'good')
  const accessTokenHash = tokenHash(vectors.ath.accessToken)
  t.equal(reason(withPayload({ ath: vectors.ath.ath }), { accessTokenHash }), 'good')
  for (const nonce of ['n1', 'n0']) t.equal(reason(withPayload({ nonce }), { nonces: ['n1', 'n0'] }), 'good', nonce)
})

t.test('the nonce is looked at last: nobody is sent for one with a proof that is wrong besides', async (t) => {
  t.equal(reason(withPayload({ htm: 'GET' }), { nonces: ['n1', 'n0'] }), 'method_wrong')
  t.equal(reason(good, { nonces: ['n1', 'n0'] }, at(61)), 'too_old')
})

t.test('a nonce is good for one to two minutes, and known to whoever has the secret alone', async (t) => {
  const secret = Buffer.alloc(32, 'a')
  const start = new Date('2030-01-01T12:00:00Z')
  const after = (seconds: number) => new Date(start.getTime() + seconds * 1000)
  const [nonce, before] = noncesAt(secret, start)
  t.match(nonce, /^[A-Za-z0-9_-]{43}$/)
  t.not(nonce, before)
  t.equal(noncesAt(secret, after(-1))[0], before)
  for (const seconds of [0, 59, 60, 119]) t.ok(noncesAt(secret, after(seconds)).includes(nonce), `after ${seconds} s`)
  for (const seconds of [-1, 120, 3600]) t.notOk(noncesAt(secret, after(seconds)).includes(nonce), `after ${seconds} s`)
  t.notOk(noncesAt(Buffer.alloc(32, 'b'), start).includes(nonce))
})

t.test('what counts once is key, jti and address together', async (t) => {
  const gate = passProofGate(good)
  if (!gate.ok) throw new Error(gate.because)
  const { draft } = gate
  const id = (jti: string, uri: string, jwk = draft.jwk) =>
    proofOf({ ...draft, jwk }, jti, uri, then).identifier.toString('hex')
  const other = clientKey().jwk as typeof draft.jwk
  const same = id('a', 'https://a.example/x')
  t.equal(id('a', 'https://A.example:443/x?y'), same)
  t.equal(
    new Set([
      same,
      id('b', 'https://a.example/x'),
      id('a', 'https://a.example/y'),
      id('a', 'https://a.example/x', other)
    ]).size,
    4
  )
  t.equal(proofOf(draft, 'a', 'https://a.example/x', then).expiresAt.getTime(), at(130).getTime())
})

t.test('no text makes the gate throw', async (t) => {
  const part = fc.oneof(fc.json(), fc.string(), fc.constant(JSON.stringify(vector.header)))
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), fc.dictionary(fc.string(), fc.jsonValue()), (parts, payload) => {
        passProofGate(parts.join('.'))
        passProofGate(parts.map((one) => encode(one)).join('.'))
        reason(changed(vector.header, { ...vector.payload, ...payload }))
        return true
      }),
      { numRuns: 300 }
    )
  )
})
