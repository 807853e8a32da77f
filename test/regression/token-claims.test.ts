import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import t from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import type { TokenReason } from '../../src/plugins/access-tokens.js'
import { encode, forge, refused, workshop } from '../support/forge.js'
import { world } from '../support/world.js'

/** Attacks with tokens that are signed rightly, or by somebody else: claims, spellings, kinds, issuers. */

const w = await world(t)
const shop = await workshop(w)
const { header, claims, token } = shop
const epoch = Math.floor(w.now().getTime() / 1000)
const raw = (payload: string) => forge('ES256', shop.privateKey, header, payload)

t.test('CVE-2026-25537: a token whose times are no numbers is refused, though we signed it', async (t) => {
  const rest = JSON.stringify({ ...claims, exp: undefined }).slice(1)
  const malformed = 'claim_missing_or_malformed'
  for (const exp of [
    `"${epoch + 600}"`,
    'true',
    'null',
    `[${epoch + 600}]`,
    '{}',
    '1e400',
    '1e308',
    `${epoch}.5`,
    '-1',
    '9007199254740993',
    '""'
  ]) {
    await refused(t, w, raw(`{"exp":${exp},${rest}`), malformed, `exp ${exp}`)
  }
  await refused(t, w, raw(`{${rest}`), malformed, 'no exp')
  for (const claim of ['iat', 'auth_time']) await refused(t, w, shop.ours({ [claim]: '1' }), malformed, claim)
  for (const nbf of ['"0"', 'null', '1e400', `${epoch + 60}`]) {
    await refused(t, w, raw(`{"exp":${epoch + 600},"nbf":${nbf},${rest}`), 'not_yet_valid', `nbf ${nbf}`)
  }
  const expired = await w.get('/v1/me', raw(`{"exp":-0,${rest}`))
  t.match(expired.json(), { code: 'token_expired', status: 401 }, 'exp -0')
})

t.test('CVE-2026-107723: a payload that is no object is refused, though we signed it', async (t) => {
  for (const payload of [
    '[]',
    '"x"',
    '1',
    'null',
    'true',
    JSON.stringify([claims]),
    JSON.stringify(JSON.stringify(claims))
  ]) {
    await refused(t, w, raw(payload), ['payload_not_an_object', 'signature_wrong'], payload.slice(0, 10))
  }
  for (const payload of ['', '{', 'x', '{}}', '\u0000']) {
    await refused(t, w, raw(payload), ['signature_wrong', 'not_canonical'], JSON.stringify(payload))
  }
})

t.test('every claim of RFC 9068 and of ours is required, though we signed it', async (t) => {
  for (const claim of Object.keys(claims)) {
    await refused(t, w, shop.ours({ [claim]: undefined }), 'claim_missing_or_malformed', `no ${claim}`)
  }
})

t.test('CVE-2025-30144 and CVE-2024-53861: an issuer that is almost ours is not ours', async (t) => {
  const iss = String(claims.iss)
  for (const wrong of [
    `${iss}/`,
    iss.slice(0, -1),
    `${iss}.evil.example`,
    iss.toUpperCase(),
    iss.replace('https', 'http'),
    ` ${iss}`,
    'https://evil.example'
  ]) {
    await refused(t, w, shop.ours({ iss: wrong }), 'issuer_wrong', wrong)
  }
  for (const wrong of [[iss], [iss, 'https://evil.example'], { iss }, null, '']) {
    await refused(t, w, shop.ours({ iss: wrong }), 'claim_missing_or_malformed', JSON.stringify(wrong))
  }
})

t.test('CVE-2020-26160: a token for nobody, or for somebody else, is refused', async (t) => {
  for (const aud of ['other', 'ap', 'apis', 'API', ['other'], [''], ['API', 'api ']]) {
    await refused(t, w, shop.ours({ aud }), 'audience_wrong', JSON.stringify(aud))
  }
  for (const aud of [[], '', [['api']], 1, ['api', 1], {}, null]) {
    await refused(t, w, shop.ours({ aud }), 'claim_missing_or_malformed', JSON.stringify(aud))
  }
})

t.test(
  'CVE-2026-107719: a token that was good a moment ago is refused once it expires, on its very millisecond',
  async (t) => {
    const own = await world(t)
    const { token, claims } = await workshop(own)
    const left = (Number(claims.exp) + 5) * 1000 - own.now().getTime()
    for (let n = 0; n < 3; n++) t.match(await own.app.accessTokens.judge(token), { ok: true })
    own.wait(left - 1)
    t.equal((await own.get('/v1/me', token)).statusCode, 200)
    own.wait(1)
    t.match((await own.get('/v1/me', token)).json(), { code: 'token_expired', status: 401 })
    own.wait(-60_000)
    t.match(await own.app.accessTokens.judge(token), { ok: true }, 'the clock alone decides, nothing is remembered')
  }
)

t.test('CVE-2026-35039: two tokens that differ in little are never taken for each other', async (t) => {
  t.match(await w.app.accessTokens.judge(token), { ok: true })
  const last = token.at(-1)!
  for (const letter of 'AEIMQUYcgkosw048') {
    if (letter !== last)
      await refused(t, w, token.slice(0, -1) + letter, ['signature_wrong', 'not_canonical'], `ending in ${letter}`)
  }
  const other = shop.ours({ sub: '00000000-0000-4000-8000-000000000000' })
  t.match(await w.app.accessTokens.judge(other), { claims: { sub: '00000000-0000-4000-8000-000000000000' } })
  t.match(await w.app.accessTokens.judge(token), { claims: { sub: claims.sub } })
})

t.test('CVE-2024-51744: a wrong signature is told first, and its claims are never read', async (t) => {
  const stray = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  for (const change of [{ exp: 1 }, { iss: 'https://evil.example' }, { aud: 'other' }, { sub: null }]) {
    await refused(
      t,
      w,
      forge('ES256', stray, header, { ...claims, ...change }),
      'signature_wrong',
      JSON.stringify(change)
    )
  }
})

t.test('ECDSA malleability: the other signature of a token makes no other token of it', async (t) => {
  const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const [head, payload, signature] = token.split('.')
  const bytes = Buffer.from(signature!, 'base64url')
  const s = BigInt(`0x${bytes.toString('hex', 32)}`)
  const twin = (r: Buffer, s: bigint) =>
    `${head}.${payload}.${Buffer.concat([r, Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]).toString('base64url')}`
  const malleated = twin(bytes.subarray(0, 32), order - s)
  t.not(malleated, token)
  const [one, other] = await Promise.all([token, malleated].map((text) => w.app.accessTokens.judge(text)))
  // Whoever holds the token can make its twin: what counts is that both have one id, one session and one end.
  if (other!.ok) t.strictSame(other, one)
  else t.match(other, { because: 'signature_wrong' })

  for (const [title, r, value] of [
    ['r and s of zero (CVE-2022-21449)', Buffer.alloc(32), 0n],
    ['s of zero', bytes.subarray(0, 32), 0n],
    ['r of zero', Buffer.alloc(32), s],
    ['s at the order', bytes.subarray(0, 32), order],
    ['r at the order', Buffer.from(order.toString(16), 'hex'), order]
  ] as const) {
    await refused(t, w, twin(r, value), 'signature_wrong', title)
  }
})

t.test('a signature in another encoding or length is none', async (t) => {
  const signed = `${encode(header)}.${encode(claims)}`
  const der = sign('sha256', Buffer.from(signed), { key: shop.privateKey, dsaEncoding: 'der' })
  t.ok(verify('sha256', Buffer.from(signed), createPublicKey(shop.privateKey), der))
  await refused(t, w, `${signed}.${der.toString('base64url')}`, 'signature_wrong', 'DER')
  const good = Buffer.from(token.split('.')[2]!, 'base64url')
  const start = token.slice(0, token.lastIndexOf('.') + 1)
  for (const length of [1, 32, 63]) {
    await refused(t, w, start + good.subarray(0, length).toString('base64url'), 'signature_wrong', `${length} bytes`)
  }
  for (const more of [Buffer.alloc(1), Buffer.alloc(64)]) {
    await refused(
      t,
      w,
      start + Buffer.concat([good, more]).toString('base64url'),
      'signature_wrong',
      `${more.length} bytes more`
    )
    await refused(
      t,
      w,
      start + Buffer.concat([more, good]).toString('base64url'),
      'signature_wrong',
      `${more.length} bytes before`
    )
  }
})

t.test('JWT malleability: a token has one spelling', async (t) => {
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const next = (letter: string) => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    return alphabet[alphabet.indexOf(letter) + 1]!
  }
  for (const [title, text] of [
    ['a space behind', `${token} `],
    ['a line end behind', `${token}\n`],
    ['a tab before', `\t${token}`],
    ['padding', `${token}=`],
    ['padding to the full length', `${token}==`],
    ['left-over bits in the signature', `${head}.${payload}.${signature.slice(0, -1)}${next(signature.at(-1)!)}`],
    ['a BOM', `\ufeff${token}`],
    ['white space within', `${head}. ${payload}.${signature}`],
    ['a fragment behind', `${token}#`],
    ['a part behind', `${token}.`],
    ['plus and slash', token.replaceAll('-', '+').replaceAll('_', '/')]
  ] as const) {
    if (text !== token) await refused(t, w, text, ['not_canonical', 'not_a_compact_jws'], title)
  }
  for (const [title, payload] of [
    ['a BOM before the claims', `\ufeff${JSON.stringify(claims)}`],
    ['text behind the claims', `${JSON.stringify(claims)}x`]
  ] as const) {
    await refused(t, w, raw(payload), 'signature_wrong', title)
  }
})

t.test('CVE-2023-48309 and RFC 8725 §3.12: no other kind of token passes for an access token', async (t) => {
  const others: Array<[string, object]> = [
    ['dpop+jwt', { htm: 'GET', htu: 'https://auth.test/v1/me' }],
    ['statuslist+jwt', { status_list: { bits: 1, lst: 'eNrbuRgAAhcBXQ' } }],
    ['token-introspection+jwt', { token_introspection: claims }],
    ['logout+jwt', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
    ['secevent+jwt', { events: {} }],
    ['JWT', { nonce: 'x' }],
    ['jwt', {}],
    ['AT+JWT', {}],
    ['application/at+jwt', {}],
    ['', {}]
  ]
  for (const [typ, extra] of others) await refused(t, w, shop.ours(extra, { typ }), 'type_wrong', typ)
  await refused(t, w, shop.ours({}, { typ: undefined }), 'type_wrong', 'no typ')
  await refused(
    t,
    w,
    shop.ours({ token_type: 'refresh' }),
    'claim_missing_or_malformed',
    'a refresh token of another service'
  )
  const { refresh_token } = await w.login(await w.account())
  await refused(t, w, refresh_token, 'not_a_compact_jws', 'our own refresh token')
  t.match(
    (await w.refresh(token.slice(0, 500))).json(),
    { code: 'token_invalid' },
    'and an access token refreshes nothing'
  )
  t.match((await w.refresh(token)).json(), { code: 'validation_failed' })
})

t.test('Storm-0558 and CVE-2026-18500: a token of one service is none at another, whoever made its key', async (t) => {
  const twin = await w.replica((options) => ({ ...options, issuer: 'https://other.test' }))
  t.match(await twin.accessTokens.judge(token), { ok: false, because: 'issuer_wrong' }, 'the same keys, another issuer')
  const narrow = await w.replica((options) => ({ ...options, audience: ['billing'] }))
  t.match(
    await narrow.accessTokens.judge(token),
    { ok: false, because: 'audience_wrong' },
    'the same issuer, another audience'
  )

  const stranger = await world(t)
  const foreign = await workshop(stranger)
  await refused(t, w, foreign.token, 'key_unknown', 'another installation')
  await refused(t, w, forge('ES256', foreign.privateKey, header, claims), 'signature_wrong', 'its key under our id')
  t.not(stranger.app.keys.signing().kid, w.app.keys.signing().kid, 'two new installations have two keys')
  t.match(await stranger.app.accessTokens.judge(foreign.token), { ok: true }, 'while it is good at home')
})

t.test('CVE-2022-23539: each algorithm of the settings is held to the same', async (t) => {
  for (const algorithm of ['Ed25519', 'RS256', 'PS256'] satisfies SigningAlgorithm[]) {
    const own = await world(t, (options) => ({ ...options, signing: { ...options.signing, algorithm } }))
    const { token, header, claims, privateKey, ours } = await workshop(own)
    t.equal((await own.get('/v1/me', token)).statusCode, 200, algorithm)
    t.equal((await own.get('/v1/me', ours({}))).statusCode, 200, `${algorithm}: signed by the test`)
    const pem = createPublicKey(privateKey).export({ format: 'pem', type: 'spki' }) as string
    const attempts: Array<[string, TokenReason]> = [
      [forge('HS256', pem, { ...header, alg: 'HS256' }, claims), 'algorithm_refused'],
      [forge('HS256', pem, header, claims), 'signature_wrong'],
      [`${encode({ ...header, alg: 'none' })}.${encode(claims)}.AAAA`, 'algorithm_refused'],
      [ours({ exp: '1' }), 'claim_missing_or_malformed'],
      [ours({}, { typ: 'JWT' }), 'type_wrong']
    ]
    for (const alg of ['ES256', 'EdDSA', 'RS256', 'PS256'].filter((one) => one !== header.alg)) {
      attempts.push([ours({}, { alg }), 'algorithm_not_the_keys'])
    }
    for (const [forged, because] of attempts) await refused(t, own, forged, because, `${algorithm}: ${because}`)
    if (algorithm === 'Ed25519') {
      // RFC 8032 §5.1.7: S must be below the order of the group; S + L verifies with careless libraries.
      const order = 2n ** 252n + 27742317777372353535851937790883648493n
      const bytes = Buffer.from(token.split('.')[2]!, 'base64url')
      const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order
      const twin = Buffer.concat([
        bytes.subarray(0, 32),
        Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
      ])
      await refused(t, own, token.replace(/[^.]+$/, twin.toString('base64url')), 'signature_wrong', 'S + L')
    }
  }
})
