import fc from 'fast-check'
import t from 'tap'
import { type GateReason, passGate, tokenAlgorithms, tokenMaxLength } from '../../src/domain/token-gate.js'

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const header = { alg: 'ES256', kid: 'k1', typ: 'at+jwt' }
const good = `${encode(header)}.${encode({ sub: 'ada' })}.AAAA`
const withHeader = (change: object) => `${encode({ ...header, ...change })}.e30.AAAA`
const reason = (token: string) => {
  const verdict = passGate(token)
  return verdict.ok ? 'passed' : verdict.because
}

t.test('a token of ours passes, and what its header says comes out', async (t) => {
  t.strictSame(passGate(good), { ok: true, header })
  for (const alg of ['ES256', 'EdDSA', 'RS256', 'PS256']) {
    t.strictSame(passGate(withHeader({ alg })), { ok: true, header: { ...header, alg } })
  }
  t.equal(tokenAlgorithms.size, 4)
})

const raw = (text: string) => `${Buffer.from(text).toString('base64url')}.e30.AAAA`

const cases: Array<[string, string, GateReason]> = [
  ['nothing', '', 'not_a_compact_jws'],
  ['one part', encode(header), 'not_a_compact_jws'],
  ['two parts', `${encode(header)}.e30`, 'not_a_compact_jws'],
  ['four parts', `${good}.AAAA`, 'not_a_compact_jws'],
  ['five parts, as a JWE has', `${good}.AAAA.AAAA`, 'not_a_compact_jws'],
  ['dots alone', '..', 'not_a_compact_jws'],
  ['no header', `.${encode({})}.AAAA`, 'not_a_compact_jws'],
  ['no payload (detached)', `${encode(header)}..AAAA`, 'not_canonical'],
  ['no signature', `${encode(header)}.e30.`, 'not_canonical'],
  ['a space behind', `${good} `, 'not_canonical'],
  ['a line end behind', `${good}\n`, 'not_canonical'],
  ['a space before', ` ${good}`, 'not_canonical'],
  ['a line end within', good.replace('.', '.\n'), 'not_canonical'],
  ['padding', `${good}=`, 'not_canonical'],
  ['base64 instead of base64url', `${encode(header)}.e30.A+/A`, 'not_canonical'],
  [
    'bits left over in the header',
    `${encode({ ...header, kid: 'k' }).replace(/.$/, (c) => String.fromCharCode(c.charCodeAt(0) + 1))}.e30.AAAA`,
    'not_canonical'
  ],
  ['bits left over in the payload', `${encode(header)}.e31.AAAA`, 'not_canonical'],
  ['bits left over in the signature', `${encode(header)}.e30.AAB`, 'not_canonical'],
  ['an impossible length', `${encode(header)}.e30.AAAAA`, 'not_canonical'],
  ['a NUL', `${good}\0`, 'not_canonical'],
  ['a BOM', `\ufeff${good}`, 'not_canonical'],
  ['a header that is not JSON', raw('alg: ES256'), 'header_unreadable'],
  ['a header with a BOM', raw(`\ufeff${JSON.stringify(header)}`), 'header_unreadable'],
  ['an array as header', raw('[]'), 'header_unreadable'],
  ['a text as header', raw('"ES256"'), 'header_unreadable'],
  ['a number as header', raw('1'), 'header_unreadable'],
  ['null as header', raw('null'), 'header_unreadable'],
  ['an empty header', raw('{}'), 'type_wrong'],
  ['too long', `${encode(header)}.${'A'.repeat(tokenMaxLength)}.AAAA`, 'too_long'],
  ['a mebibyte of dots', '.'.repeat(1_048_576), 'too_long'],
  ['8 KiB of dots', '.'.repeat(8_192), 'not_a_compact_jws'],
  [
    'a JSON serialization',
    JSON.stringify({ protected: encode(header), payload: 'e30', signature: 'AAAA' }),
    'not_a_compact_jws'
  ]
]
for (const member of [
  'crit',
  'b64',
  'jku',
  'jwk',
  'x5u',
  'x5c',
  'x5t',
  'x5t#S256',
  'zip',
  'enc',
  'cty',
  'p2c',
  'epk',
  'apu',
  'iss',
  'Alg',
  '__proto__',
  'constructor'
]) {
  const text = `{"alg":"ES256","kid":"k1","typ":"at+jwt",${JSON.stringify(member)}:["x"]}`
  cases.push([`a header with ${member}`, raw(text), 'header_member_unknown'])
}
for (const typ of [
  'JWT',
  'jwt',
  'AT+JWT',
  'application/at+jwt',
  'at+jwt ',
  'dpop+jwt',
  'logout+jwt',
  'statuslist+jwt',
  'secevent+jwt',
  'token-introspection+jwt',
  '',
  null,
  ['at+jwt'],
  1,
  undefined
]) {
  cases.push([`typ ${JSON.stringify(typ)}`, withHeader({ typ }), 'type_wrong'])
}
for (const alg of [
  'none',
  'None',
  'nOnE',
  'NONE',
  'noNE',
  '',
  null,
  undefined,
  [],
  ['ES256'],
  { alg: 'ES256' },
  0,
  true,
  'HS256',
  'HS384',
  'HS512',
  'es256',
  'ES256 ',
  'ES256\0',
  'ES256K',
  'ES384',
  'ES512',
  'RS1',
  'RS384',
  'RS512',
  'PS384',
  'PS512',
  'Ed25519',
  'Ed448',
  'eddsa',
  'RSA-OAEP',
  'dir',
  'A256KW',
  'PBES2-HS256+A128KW',
  'ML-DSA-44',
  '__proto__',
  'toString'
]) {
  cases.push([`alg ${JSON.stringify(alg)}`, withHeader({ alg }), 'algorithm_refused'])
}
for (const kid of ['', null, undefined, 1, true, [], ['k1'], { kid: 'k1' }]) {
  cases.push([`kid ${JSON.stringify(kid)}`, withHeader({ kid }), 'key_id_missing'])
}
for (const [title, token, because] of cases) {
  t.test(`the gate stops a token with ${title}`, async (t) => {
    t.equal(reason(token), because)
  })
}

t.test('of two members with one name the last counts, and it is held to the same', async (t) => {
  t.equal(reason(raw('{"alg":"ES256","alg":"none","kid":"k1","typ":"at+jwt"}')), 'algorithm_refused')
  t.equal(reason(raw('{"alg":"ES256","kid":"k1","typ":"at+jwt","typ":"JWT"}')), 'type_wrong')
})

t.test('the longest token that passes has 8,192 characters', async (t) => {
  const fill = (length: number) => {
    const rest = length - `${encode(header)}..AAAA`.length
    return `${encode(header)}.${'A'.repeat(rest)}.AAAA`
  }
  t.equal(fill(8_192).length, 8_192)
  t.equal(reason(fill(8_192)), 'passed')
  t.equal(reason(fill(8_193)), 'too_long')
})

t.test('another kind of token is asked for by its own typ, and each gate lets through its own', async (t) => {
  const kinds = ['at+jwt', 'statuslist+jwt', 'logout+jwt', 'secevent+jwt']
  for (const asked of kinds) {
    for (const sent of kinds) {
      t.equal(passGate(withHeader({ typ: sent }), asked).ok, asked === sent, `${sent} where ${asked} is asked for`)
    }
  }
})

t.test('whatever passes is three canonical parts with exactly alg, kid and typ', async (t) => {
  const value = fc.oneof(fc.constantFrom('ES256', 'at+jwt', 'k1', 'none', null), fc.string(), fc.integer())
  const headers = fc.dictionary(fc.constantFrom('alg', 'kid', 'typ', 'crit', 'jwk'), value)
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
    fc.string({ maxLength: 5 })
  )
  fc.assert(
    fc.property(fc.oneof(headers, fc.constant(header)), part, part, (header, payload, signature) => {
      const token = `${encode(header)}.${payload}.${signature}`
      const verdict = passGate(token)
      if (!verdict.ok) return true
      const parts = token.split('.')
      return (
        parts.length === 3 &&
        parts.every((one) => one !== '' && Buffer.from(one, 'base64url').toString('base64url') === one) &&
        Object.keys(header).sort().join() === 'alg,kid,typ' &&
        tokenAlgorithms.has(verdict.header.alg)
      )
    }),
    { numRuns: 5_000 }
  )
  t.pass()
})

t.test('no text makes the gate throw', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => !passGate(`${a}.${b}.${a}`).ok)
  )
  t.pass()
})
