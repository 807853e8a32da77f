import fc from 'fast-check'
import t from 'tap'
import { type AccessTokenSubject, composeClaims, judgeClaims } from '../../src/domain/access-token.js'

const now = new Date('2030-01-01T12:00:00Z')
const epoch = now.getTime() / 1000
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)

const subject: AccessTokenSubject = {
  accountId: '01890a5d-ac96-774b-bcce-b302099a8057',
  sessionId: '7f0c7e3e-5f0b-4c43-9c3e-0d3a1c9f5b11',
  clientId: 'web',
  scope: '',
  roles: ['editor'],
  permissions: ['articles.change_article'],
  revision: 7,
  userId: undefined,
  jkt: null,
  authenticatedAt: at(-3600),
  amr: ['pwd'],
  acr: 'aal1',
  sessionExpiresAt: at(86_400),
  statusIndex: null
}
const issuance = { issuer: 'https://auth.test', audience: 'api', lifetime: 600_000 }
const expected = { issuer: 'https://auth.test', audience: ['api', 'files'], leeway: 5 }
const claims = composeClaims(subject, issuance, 'token-id', 0, now)

const judge = (change: Record<string, unknown>, when = now) => judgeClaims({ ...claims, ...change }, expected, when)
const reason = (change: Record<string, unknown>, when = now) => {
  const verdict = judge(change, when)
  return verdict.ok ? 'good' : `${verdict.because}${verdict.claim === undefined ? '' : `: ${verdict.claim}`}`
}
const malformed = (claim: string) => `claim_missing_or_malformed: ${claim}`

t.test('the claims of a new token are the sixteen that verifiers are promised, and no personal data', async (t) => {
  t.strictSame(claims, {
    iss: 'https://auth.test',
    sub: subject.accountId,
    aud: 'api',
    exp: epoch + 600,
    iat: epoch,
    jti: 'token-id',
    client_id: 'web',
    sid: subject.sessionId,
    scope: '',
    roles: ['editor'],
    permissions: ['articles.change_article'],
    rev: 7,
    auth_time: epoch - 3600,
    amr: ['pwd'],
    acr: 'aal1',
    token_type: 'access'
  })
  t.equal(reason({}), 'good')
})

t.test('every claim is required', async (t) => {
  for (const claim of Object.keys(claims)) {
    const { [claim]: _, ...rest } = claims as unknown as Record<string, unknown>
    const verdict = judgeClaims(rest, expected, now)
    t.match(verdict, { ok: false, because: 'claim_missing_or_malformed', claim }, claim)
    t.equal(reason({ [claim]: null }), malformed(claim), `${claim}: null`)
    t.equal(reason({ [claim]: undefined }), malformed(claim), `${claim}: undefined`)
  }
})

t.test('a token that a service got for itself says nothing of a sign-in (RFC 9068 §2.2.1)', async (t) => {
  const {
    sessionId: _,
    authenticatedAt: _at,
    amr: _amr,
    acr: _acr,
    sessionExpiresAt: _end,
    ...holder
  } = subject as {
    sessionId: string
  } & typeof subject
  const alone = composeClaims({ ...holder, sessionId: null, clientId: 'ktc_x' }, issuance, 'token-id', 0, now)
  const { sid, auth_time: time, amr, acr, ...rest } = claims
  t.strictSame(alone, { ...rest, client_id: 'ktc_x' })
  t.match(judgeClaims(alone, expected, now), { ok: true })
  const limited = (audience: string[]) =>
    composeClaims({ ...holder, sessionId: null, audience }, issuance, 'token-id', 0, now).aud
  t.same(limited(['files']), 'files')
  t.same(limited(['files', 'api']), ['files', 'api'])
  // With some of them, it would be a session's token that no end of that session reaches.
  const ofSignIn = { sid, auth_time: time, amr, acr }
  for (const [claim, value] of Object.entries(ofSignIn)) {
    t.match(judgeClaims({ ...alone, [claim]: value }, expected, now), { ok: false }, `${claim} alone`)
    t.match(
      judgeClaims({ ...alone, ...ofSignIn, [claim]: null }, expected, now),
      { ok: false, claim },
      `${claim}: null`
    )
    t.match(judgeClaims({ ...alone, [claim]: null }, expected, now), { ok: false }, `${claim} alone: null`)
  }
})

t.test('every claim is of its own type', async (t) => {
  const wrong: Record<string, unknown[]> = {
    numbers: [0, 1.5],
    texts: ['', 'x', '0'],
    others: [true, false, {}, [], [1], [['x']], [null]]
  }
  const types: Record<string, unknown[]> = {
    text: [...wrong.numbers!, ...wrong.others!, ''],
    instant: [
      ...wrong.texts!,
      ...wrong.others!,
      1.5,
      -1,
      Number.NaN,
      Infinity,
      -Infinity,
      2 ** 53,
      1e308,
      String(epoch + 60)
    ],
    list: [...wrong.numbers!, ...wrong.texts!, true, {}, [1], [null], [['x']]]
  }
  const kinds: Record<string, string> = {
    iss: 'text',
    sub: 'text',
    jti: 'text',
    client_id: 'text',
    sid: 'text',
    acr: 'text',
    exp: 'instant',
    iat: 'instant',
    auth_time: 'instant',
    roles: 'list',
    amr: 'list'
  }
  for (const [claim, kind] of Object.entries(kinds)) {
    for (const value of types[kind]!)
      t.equal(reason({ [claim]: value }), malformed(claim), `${claim}: ${String(JSON.stringify(value) ?? value)}`)
  }
  for (const value of [0, null, [], ['x'], true, {}]) t.equal(reason({ scope: value }), malformed('scope'))
  for (const value of ['refresh', 'Access', '', null, ['access']])
    t.equal(reason({ token_type: value }), malformed('token_type'))
})

t.test('CVE-2026-25537: an exp that no clock reaches is no exp, also as JSON writes it', async (t) => {
  const rest = JSON.stringify({ ...claims, exp: undefined }).slice(1)
  for (const exp of [
    '1e400',
    '-1e400',
    '1e308',
    '9007199254740993',
    '"9999999999"',
    'true',
    'null',
    '[9999999999]',
    '{}',
    '1.9e9001',
    '1893500000.5',
    '-1'
  ]) {
    t.match(
      judgeClaims(JSON.parse(`{"exp":${exp},${rest}`), expected, now),
      { ok: false, because: 'claim_missing_or_malformed', claim: 'exp' },
      exp
    )
  }
  t.match(judgeClaims(JSON.parse(`{"exp":-0,${rest}`), expected, now), { ok: false, because: 'expired' }, '-0')
  t.match(judgeClaims(JSON.parse(`{"exp":1.8e9,${rest}`), expected, now), { ok: false, because: 'expired' }, '1.8e9')
})

t.test('CVE-2026-107723: a payload that is no object has no claims that could be right', async (t) => {
  for (const payload of [[], [claims], 'x', '', 1, 0, true, null, undefined]) {
    t.strictSame(judgeClaims(payload, expected, now), { ok: false, because: 'payload_not_an_object' })
  }
  const array = Object.assign([], claims)
  t.strictSame(
    judgeClaims(array, expected, now),
    { ok: false, because: 'payload_not_an_object' },
    'an array with the claims as members'
  )
})

t.test('CVE-2025-30144: the issuer is one text, letter by letter', async (t) => {
  for (const iss of [
    'https://auth.test/',
    'https://auth.tes',
    'https://auth.test.evil.example',
    'https://AUTH.test',
    'http://auth.test',
    'auth.test',
    ' https://auth.test',
    'https://auth.test\0',
    'x'
  ]) {
    t.equal(reason({ iss }), 'issuer_wrong: iss', iss)
  }
  for (const iss of [
    ['https://auth.test'],
    ['https://auth.test', 'https://evil.example'],
    { toString: 'https://auth.test' }
  ]) {
    t.equal(reason({ iss }), malformed('iss'), JSON.stringify(iss))
  }
})

t.test('CVE-2020-26160: the audience names us, and a list is a list of texts', async (t) => {
  for (const aud of ['api', 'files', ['api'], ['other', 'api'], ['api', 'files']])
    t.equal(reason({ aud }), 'good', JSON.stringify(aud))
  for (const aud of ['ap', 'apis', 'API', 'api ', 'api,files', '*', [''], ['other'], ['API', 'apis'], ['api,files']]) {
    t.equal(reason({ aud }), 'audience_wrong: aud', JSON.stringify(aud))
  }
  for (const aud of [
    [],
    '',
    [['api']],
    [['api'], 'api'],
    ['api', 1],
    ['api', null],
    1,
    true,
    {},
    { 0: 'api', length: 1 }
  ]) {
    t.equal(reason({ aud }), malformed('aud'), JSON.stringify(aud))
  }
})

t.test('a token expires on its second, and the leeway is the only grace', async (t) => {
  t.equal(reason({}, at(604.999)), 'good')
  t.equal(reason({}, at(605)), 'expired: exp')
  t.equal(reason({ exp: epoch - 5 }), 'expired: exp')
  t.equal(reason({ exp: epoch - 4 }), 'good')
})

t.test('a token from the future is not valid yet', async (t) => {
  t.equal(reason({ iat: epoch + 5 }), 'good')
  t.equal(reason({ iat: epoch + 6 }), 'not_yet_valid: iat')
  t.equal(reason({ nbf: epoch + 5 }), 'good')
  for (const nbf of [epoch + 6, '0', null, Infinity, -1, true, [0], 0.5])
    t.equal(reason({ nbf }), 'not_yet_valid: nbf', String(nbf))
})

t.test('a token that is bound to a key says so, and a confirmation that is not understood is refused', async (t) => {
  const jkt = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I'
  const bound = composeClaims({ ...subject, jkt }, issuance, 'token-id', 0, now)
  t.strictSame(bound, { ...claims, cnf: { jkt } })
  t.equal(reason({ cnf: { jkt } }), 'good')
  for (const cnf of [
    null,
    {},
    [],
    '',
    jkt,
    [jkt],
    { jkt: '' },
    { jkt: null },
    { jkt: [jkt] },
    { jkt: jkt.slice(1) },
    { jkt: `${jkt}A` },
    { jkt: `${'A'.repeat(42)}B` },
    { JKT: jkt },
    { 'x5t#S256': jkt },
    { jkt, 'x5t#S256': jkt },
    { jwk: { kty: 'EC' } }
  ]) {
    t.equal(reason({ cnf }), malformed('cnf'), JSON.stringify(cnf))
  }
})

t.test('claims that we do not know change nothing', async (t) => {
  t.equal(reason({ admin: true, crit: ['x'], status: {} }), 'good')
  const polluted = JSON.parse(`{"__proto__":${JSON.stringify(claims)}}`)
  t.match(judgeClaims(polluted, expected, now), { ok: false, because: 'claim_missing_or_malformed' })
})

t.test('no claims but right ones are good, whatever else is there', async (t) => {
  const values = fc.oneof(fc.constantFrom(...Object.values(claims)), fc.jsonValue())
  const payloads = fc
    .dictionary(fc.constantFrom(...Object.keys(claims)), values)
    .map((change) => ({ ...claims, ...change }))
  fc.assert(
    fc.property(payloads, (payload) => {
      const verdict = judgeClaims(payload, expected, now)
      if (!verdict.ok) return true
      const { iss, aud, exp, iat } = verdict.claims
      return (
        iss === expected.issuer &&
        [aud].flat().some((one) => expected.audience.includes(one)) &&
        exp + 5 > epoch &&
        iat - 5 <= epoch &&
        Number.isSafeInteger(exp)
      )
    }),
    { numRuns: 3_000 }
  )
  t.pass()
})

t.test('what we issue is good for all of its life and not a moment longer, and ends with its session', async (t) => {
  const lifetimes = fc.integer({ min: 30, max: 3600 })
  const unit = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
  fc.assert(
    fc.property(lifetimes, unit, fc.integer({ min: 1, max: 7200 }), (lifetime, random, session) => {
      const issued = composeClaims(
        { ...subject, sessionExpiresAt: at(session) },
        { ...issuance, lifetime: lifetime * 1000 },
        'id',
        random,
        now
      )
      const life = issued.exp - issued.iat
      const strict = { ...expected, leeway: 0 }
      return (
        life <= lifetime &&
        life >= Math.min(session, Math.floor(lifetime * 0.95)) &&
        issued.exp <= epoch + session &&
        judgeClaims(issued, strict, now).ok &&
        judgeClaims(issued, strict, at(life - 0.001)).ok &&
        !judgeClaims(issued, strict, at(life)).ok
      )
    })
  )
  t.pass()
})
