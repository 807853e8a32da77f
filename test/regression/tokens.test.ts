import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { CompactEncrypt, importJWK } from 'jose'
import t from 'tap'
import { joseAlgorithm } from '../../src/domain/key-ring.js'
import { generateKey, makeEngine } from '../../src/plugins/token-engine.js'
import { algorithms, encode, forge, refused, workshop } from '../support/forge.js'
import { countingLink } from '../support/query-count.js'
import { world } from '../support/world.js'

/** Attacks on the algorithm, the key and the shape of an access token. */

const w = await world(t)
const shop = await workshop(w)
const { header, claims, publicJwk, token } = shop
const stray = generateKeyPairSync('ec', { namedCurve: 'P-256' })

t.test('the token that everything here is made from is good', async (t) => {
  t.match(await w.app.accessTokens.judge(token), { ok: true })
  t.match(await w.app.accessTokens.judge(shop.ours({})), { ok: true }, 'and so is one that the tests sign')
  t.equal((await w.get('/v1/me', shop.ours({}))).statusCode, 200)
})

/** Every form in which somebody could take a public key for a secret. */
function formsOf(key: KeyObject, jwk: object): Array<[string, Buffer | string]> {
  const pem = key.export({ format: 'pem', type: 'spki' }) as string
  const point = key.export({ format: 'jwk' })
  return [
    ['PEM', pem],
    ['PEM without its last line end', pem.trimEnd()],
    ['PEM behind white space', `\n ${pem}`],
    ['PEM with Windows line ends', pem.replaceAll('\n', '\r\n')],
    ['PEM behind a comment', `# key\n${pem}`],
    ['base64 of the PEM body', pem.replace(/-----[^-]+-----|\n/g, '')],
    ['DER', key.export({ format: 'der', type: 'spki' })],
    ['JWK', JSON.stringify(jwk)],
    ['JWK of the platform', JSON.stringify(point)],
    ['coordinate or modulus', Buffer.from(point.x ?? point.n!, 'base64url')],
    ['the same as text', point.x ?? point.n!],
    [
      'point',
      Buffer.concat([
        Buffer.from([4]),
        Buffer.from(point.x ?? point.n!, 'base64url'),
        Buffer.from(point.y ?? '', 'base64url')
      ])
    ],
    ['kid', header.kid],
    ['nothing', '']
  ]
}

t.test('CVE-2015-9235: an HS256 token MACed with a published key in any of its forms is refused', async (t) => {
  const key = createPublicKey({ key: publicJwk as never, format: 'jwk' })
  const forms = formsOf(key, publicJwk)
  const sec1 = key.export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(sec1.x!, 'base64url'), Buffer.from(sec1.y!, 'base64url')])
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const blob = Buffer.concat(
    ['ecdsa-sha2-nistp256', 'nistp256'].map((text) => field(Buffer.from(text))).concat(field(point))
  )
  forms.push(['OpenSSH (CVE-2022-29217)', `ecdsa-sha2-nistp256 ${blob.toString('base64')}`])
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    for (const [form, secret] of forms) {
      await refused(t, w, forge(alg, secret, { ...header, alg }, claims), 'algorithm_refused', `${alg} by ${form}`)
      await refused(t, w, forge(alg, secret, header, claims), 'signature_wrong', `${alg} by ${form}, header ES256`)
    }
  }
})

t.test('CVE-2026-107724: an HS256 token MACed with the very bytes of the key set is refused', async (t) => {
  const { body } = await w.get('/.well-known/jwks.json')
  for (const secret of [body, `${body}\n`, JSON.stringify(JSON.parse(body), null, 2)]) {
    await refused(t, w, forge('HS256', secret, { ...header, alg: 'HS256' }, claims), 'algorithm_refused', 'the body')
    await refused(t, w, forge('HS256', secret, header, claims), 'signature_wrong', 'the body, header ES256')
  }
})

t.test('CVE-2023-48223: the library behind the gate knows no HMAC either, for a key of any algorithm', async (t) => {
  for (const algorithm of algorithms) {
    const key = await generateKey(algorithm)
    const engine = await makeEngine(key, key.privateKey)
    const own = { alg: joseAlgorithm(algorithm), typ: 'at+jwt', kid: key.kid }
    t.match(engine.verify(await engine.sign({ sub: 'ada' })), { sub: 'ada' })
    for (const [form, secret] of formsOf(createPublicKey(key.privateKey), key.publicJwk)) {
      t.throws(() => engine.verify(forge('HS256', secret, { ...own, alg: 'HS256' }, claims)), `${algorithm}: ${form}`)
      t.throws(
        () => engine.verify(forge('HS256', secret, own, claims)),
        `${algorithm}: ${form}, header as it should be`
      )
    }
    t.throws(() => engine.verify(`${encode({ ...own, alg: 'none' })}.${encode(claims)}.`), `${algorithm}: none`)
    const signed = await engine.sign(claims)
    t.throws(() => engine.verify(signed.replace(/[^.]+$/, '')), `${algorithm}: no signature`)
  }
})

t.test('The "alg none" family: an unsigned token is refused however it spells none', async (t) => {
  const good = token.split('.')[2]!
  for (const alg of [
    'none',
    'None',
    'nOnE',
    'NONE',
    'noNE',
    '',
    null,
    undefined,
    ['none'],
    ['ES256'],
    0,
    false,
    {},
    'none\0',
    ' none'
  ]) {
    const head = encode({ ...header, alg })
    for (const signature of ['', 'AAAA', good]) {
      const because = signature === '' ? 'not_canonical' : 'algorithm_refused'
      await refused(
        t,
        w,
        `${head}.${encode(claims)}.${signature}`,
        because,
        `${JSON.stringify(alg)} with "${signature.slice(0, 4)}"`
      )
    }
    await refused(t, w, `${head}.${encode(claims)}`, 'not_a_compact_jws', `${JSON.stringify(alg)} in two parts`)
  }
})

t.test('CVE-2016-10555: the header does not choose the algorithm, the key does', async (t) => {
  for (const alg of ['RS256', 'PS256', 'EdDSA']) {
    await refused(t, w, forge('ES256', shop.privateKey, { ...header, alg }, claims), 'algorithm_not_the_keys', alg)
  }
})

t.test('CVE-2022-23541: a key of another type signs for nobody', async (t) => {
  for (const algorithm of algorithms) {
    const { privateKey } = await generateKey(algorithm)
    const alg = joseAlgorithm(algorithm)
    const reason = alg === 'ES256' ? 'signature_wrong' : 'algorithm_not_the_keys'
    await refused(t, w, forge(alg, privateKey, { ...header, alg }, claims), reason, alg)
    await refused(t, w, forge(alg, privateKey, header, claims), 'signature_wrong', `${alg}, header ES256`)
  }
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  await refused(t, w, forge('ES384', p384, { ...header, alg: 'ES384' }, claims), 'algorithm_refused', 'ES384')
})

t.test(
  'CVE-2026-48522: a signature with RSASSA-PKCS1-v1_5 is none of PSS by the same key, and the reverse',
  async (t) => {
    const rsa = await generateKey('RS256')
    for (const [algorithm, other] of [
      ['RS256', 'PS256'],
      ['PS256', 'RS256']
    ] as const) {
      const engine = await makeEngine({ ...rsa, algorithm }, rsa.privateKey)
      const own = { alg: algorithm, typ: 'at+jwt', kid: rsa.kid }
      t.match(engine.verify(forge(algorithm, rsa.privateKey, own, claims)), { sub: claims.sub })
      t.throws(() => engine.verify(forge(other, rsa.privateKey, { ...own, alg: other }, claims)))
      t.throws(() => engine.verify(forge(other, rsa.privateKey, own, claims)))
    }
  }
)

t.test('CVE-2026-44351: an unknown key id has no key, and an empty one least of all', async (t) => {
  for (const secret of ['', '\0', 'undefined', 'null']) {
    const head = { ...header, kid: 'unknown', alg: 'HS256' }
    await refused(t, w, forge('HS256', secret, head, claims), 'algorithm_refused', `HS256 by ${JSON.stringify(secret)}`)
  }
  await refused(
    t,
    w,
    forge('ES256', stray.privateKey, { ...header, kid: 'unknown' }, claims),
    'key_unknown',
    'a stray key'
  )
})

t.test(
  'CVE-2018-0114 and CVE-2024-21643: a key that the token brings, or an address of one, is not looked at',
  async (t) => {
    let requests = 0
    const listener = http.createServer((_request, response) => {
      requests++
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({ keys: [{ ...stray.publicKey.export({ format: 'jwk' }), kid: header.kid, alg: 'ES256' }] })
      )
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    t.teardown(() => listener.close())
    const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/jwks.json`
    const jwk = stray.publicKey.export({ format: 'jwk' })
    for (const kid of [header.kid, 'attacker', url]) {
      for (const extra of [
        { jku: url },
        { x5u: url },
        { jwk },
        { x5c: ['MIIB'] },
        { jku: url, jwk },
        { x5t: 'AAAA' }
      ]) {
        const forged = forge('ES256', stray.privateKey, { ...header, kid, ...extra }, claims)
        await refused(t, w, forged, 'header_member_unknown', `${Object.keys(extra)} with kid ${kid.slice(0, 8)}`)
      }
      const forged = forge(
        'ES256',
        stray.privateKey,
        { ...header, kid },
        { ...claims, iss: new URL(url).origin, jwks_uri: url }
      )
      await refused(
        t,
        w,
        forged,
        kid === header.kid ? 'signature_wrong' : 'key_unknown',
        'an issuer of the attacker’s own'
      )
    }
    t.equal(requests, 0)
  }
)

t.test(
  'CVE-2021-46743 and kid injection: a key id is looked up among our keys, and a flood of them asks the database once at most',
  async (t) => {
    const { url } = w
    const link = await countingLink(t, url)
    const app = await w.replica((options) => ({
      ...options,
      database: { ...options.database, url: link.url },
      // What happened is written down a moment later, by statements of its own.
      audit: { ...options.audit, retention: null }
    }))
    const judge = (forged: string) => app.accessTokens.judge(forged)
    t.match(await judge(token), { ok: true })

    const kids = [
      "' OR 1=1--",
      "x' UNION SELECT '",
      '../../dev/null',
      '/dev/null',
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '',
      ' ',
      '\0',
      '|id',
      'k'.repeat(5_000),
      `${header.kid}\0`,
      ` ${header.kid}`,
      header.kid.toLowerCase(),
      header.kid.slice(0, -1)
    ]
    const before = link.statements()
    for (const kid of kids) {
      const expected = kid === '' ? 'key_id_missing' : 'key_unknown'
      t.match(
        await judge(forge('ES256', stray.privateKey, { ...header, kid }, claims)),
        { ok: false, because: expected },
        JSON.stringify(kid.slice(0, 20))
      )
    }
    for (const kid of [1, 0, true, null, [header.kid], { kid: header.kid }]) {
      t.match(
        await judge(forge('ES256', stray.privateKey, { ...header, kid }, claims)),
        { because: 'key_id_missing' },
        JSON.stringify(kid)
      )
    }
    const long = forge('ES256', stray.privateKey, { ...header, kid: 'k'.repeat(10_240) }, claims)
    t.match(await judge(long), { because: 'too_long' })

    const flood = Array.from({ length: 1_000 }, (_, n) =>
      judge(forge('ES256', stray.privateKey, { ...header, kid: `k${n}` }, claims))
    )
    t.strictSame(
      new Set((await Promise.all(flood)).map((verdict) => verdict.ok || verdict.because)),
      new Set(['key_unknown'])
    )
    t.ok(
      link.statements() - before <= 1,
      `${link.statements() - before} statements for ${kids.length + 1_000} unknown keys`
    )

    const known = link.statements()
    for (let n = 0; n < 20; n++) await judge(token)
    t.equal(link.statements(), known, 'a known key asks it never')
  }
)

t.test('CVE-2023-51774 and CVE-2026-29000: a JWE for our public key is no token, whatever is in it', async (t) => {
  const key = await importJWK({ ...publicJwk, alg: 'ECDH-ES' }, 'ECDH-ES')
  for (const inner of [JSON.stringify(claims), `${encode({ alg: 'none' })}.${encode(claims)}.`, token]) {
    const jwe = await new CompactEncrypt(Buffer.from(inner))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', typ: 'at+jwt', kid: header.kid, cty: 'JWT' })
      .encrypt(key)
    await refused(t, w, jwe, 'not_a_compact_jws', 'five parts')
  }
})

t.test('CVE-2022-36083 and CVE-2024-28176: no iteration and no inflation is done for a token', async (t) => {
  for (const extra of [
    { alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31, p2s: 'AAAA' },
    { alg: 'dir', zip: 'DEF' }
  ]) {
    const head = encode({ ...header, enc: 'A256GCM', ...extra })
    await refused(t, w, `${head}.AAAA.AAAA.AAAA.AAAA`, 'not_a_compact_jws', `${extra.alg} in five parts`)
    await refused(t, w, `${head}.${encode(claims)}.AAAA`, 'header_member_unknown', `${extra.alg} in three parts`)
  }
})

t.test('GHSA-jc38-x7x8-2xc8: a JSON serialization, whose header nobody signed, is no token', async (t) => {
  const [protectedHeader, payload, signature] = token.split('.')
  for (const json of [
    { protected: protectedHeader, payload, signature },
    { payload, signature, header },
    { payload, signatures: [{ protected: protectedHeader, signature }] },
    { protected: protectedHeader, payload, signature, header: { alg: 'none' } }
  ]) {
    await refused(t, w, JSON.stringify(json), 'not_a_compact_jws', Object.keys(json).join())
    await refused(t, w, encode(json), 'not_a_compact_jws', `${Object.keys(json).join()} encoded`)
  }
})

t.test('CVE-2025-59420 and CVE-2026-35042: what crit asks for is not understood here, so it is refused', async (t) => {
  for (const extra of [
    { crit: ['x'], x: 1 },
    { crit: [] },
    { crit: 'exp' },
    { crit: ['exp'], exp: 1 },
    { crit: null },
    { b64: false, crit: ['b64'] },
    { b64: false },
    { b64: true }
  ]) {
    await refused(t, w, shop.ours({}, extra), 'header_member_unknown', JSON.stringify(extra))
  }
})

t.test(
  'CVE-2025-30204: a mebibyte of dots costs nothing, nor does a token that is one character too long',
  async (t) => {
    const dots = '.'.repeat(1_048_576)
    const before = performance.now()
    for (let n = 0; n < 1_000; n++) await w.app.accessTokens.judge(dots)
    t.ok(performance.now() - before < 1_000, 'a thousand of them within a second')
    await refused(t, w, dots, 'too_long', 'dots')
    await refused(t, w, '.'.repeat(8_192), 'not_a_compact_jws', '8 KiB of dots')
    const padding = 'x'.repeat(8_192)
    await refused(t, w, shop.ours({ padding }), 'too_long', 'our own, but too long')
  }
)

t.test('GHSA-42vr-xj54-vc7v: a payload that is nested deeply is not read before its signature is right', async (t) => {
  const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  const head = encode(header)
  await refused(t, w, `${head}.${encode(deep(20_000))}.${'A'.repeat(86)}`, 'too_long', '20,000 levels')
  await refused(t, w, `${head}.${encode(deep(2_900))}.${'A'.repeat(86)}`, 'signature_wrong', '2,900 levels, which fit')
  await refused(t, w, forge('ES256', stray.privateKey, header, '{'.repeat(5_000)), 'signature_wrong', 'no JSON at all')
  const ours = forge('ES256', shop.privateKey, header, deep(2_900))
  await refused(t, w, ours, ['payload_not_an_object', 'signature_wrong'], 'signed by us')
})
