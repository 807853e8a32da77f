import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { type SigningAlgorithm, signingAlgorithms } from '../../src/domain/key-ring.js'
import { type KeyImportError, readPrivateKey } from '../../src/plugins/key-import.js'
import { generateKey } from '../../src/plugins/token-engine.js'
import { issuer, world } from '../support/world.js'

const pem = (key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8') =>
  key.export({ format: 'pem', type: type as 'pkcs8' }) as string
const jwk = (key: KeyObject, more: object = {}) => JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const otherEc = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const ed = generateKeyPairSync('ed25519').privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey

for (const algorithm of signingAlgorithms) {
  t.test(`a ${algorithm} key of elsewhere becomes the next one, and its tokens verify`, async (t) => {
    const { privateKey, kid } = await generateKey(algorithm)
    const w = await world(t, (options) => ({ ...options, signing: { ...options.signing, algorithm } }))
    const first = w.app.keys.signing().kid
    const key = await readPrivateKey(pem(privateKey), algorithm)
    t.equal(key.kid, kid)
    t.equal(await w.app.keys.add(key), 'added')
    t.equal(await w.app.keys.add(key), 'known')
    t.equal(w.app.keys.signing().kid, first, 'not before verifiers know it')
    w.wait(605_000)
    t.equal(w.app.keys.signing().kid, kid)
    const { access_token } = await w.login(await w.account())
    const set = createLocalJWKSet((await w.get('/.well-known/jwks.json')).json() as JSONWebKeySet)
    const { protectedHeader } = await jwtVerify(access_token, set, { issuer, typ: 'at+jwt', currentDate: w.now() })
    t.equal(protectedHeader.kid, kid)
    t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
    await w.app.keys.rotateInEmergency('leaked')
    t.equal(await w.app.keys.add(key), 'revoked', 'what was compromised does not come back')
  })
}

t.test('one key is read out of each form that it has', async (t) => {
  const forms: Array<[string, string, SigningAlgorithm]> = [
    ['PKCS#8', pem(ec), 'ES256'],
    ['PKCS#8 with CRLF', pem(ec).replaceAll('\n', '\r\n'), 'ES256'],
    ['PKCS#8 without a last line break', pem(ec).trimEnd(), 'ES256'],
    ['SEC1', pem(ec, 'sec1'), 'ES256'],
    ['JWK', jwk(ec), 'ES256'],
    ['JWK with its purpose', jwk(ec, { alg: 'ES256', use: 'sig', kid: 'mine' }), 'ES256'],
    ['JWK with operations', jwk(ec, { key_ops: ['sign'] }), 'ES256'],
    ['a key set', `{"keys":[${jwk(createPublicKey(otherEc))},${jwk(ec)}]}`, 'ES256'],
    ['Ed25519 as EdDSA', jwk(ed, { alg: 'EdDSA' }), 'Ed25519'],
    ['Ed25519', jwk(ed, { alg: 'Ed25519' }), 'Ed25519'],
    ['PKCS#1', pem(rsa, 'pkcs1'), 'RS256'],
    ['PKCS#1 for PSS', pem(rsa, 'pkcs1'), 'PS256'],
    ['JWK of RSA', jwk(rsa, { alg: 'PS256' }), 'PS256']
  ]
  const kids = new Map<string, Set<string>>()
  for (const [title, text, algorithm] of forms) {
    const key = await readPrivateKey(text, algorithm)
    t.match(key.publicJwk, { kid: key.kid, use: 'sig', alg: algorithm === 'Ed25519' ? 'EdDSA' : algorithm }, title)
    t.notOk('d' in key.publicJwk)
    kids.set(algorithm, (kids.get(algorithm) ?? new Set()).add(key.kid))
  }
  for (const [algorithm, found] of kids) t.equal(found.size, 1, algorithm)
})

t.test('whatever is not one good private key of the configured algorithm is refused with a reason', async (t) => {
  const block = pem(ec)
  const rsa2048 = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const odd = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 }).privateKey
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  const { x, y } = otherEc.export({ format: 'jwk' })
  const encrypted = ec.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'p' }) as string
  const legacy = ec.export({ format: 'pem', type: 'sec1', cipher: 'aes-256-cbc', passphrase: 'p' }) as string
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 3072 }).privateKey
  const der = ec.export({ format: 'der', type: 'pkcs8' })
  const wrap = (body: Buffer, label = 'PRIVATE KEY') =>
    `-----BEGIN ${label}-----\n${body
      .toString('base64')
      .replace(/(.{64})/g, '$1\n')
      .trimEnd()}\n-----END ${label}-----\n`
  const rows: Array<[string, string, RegExp, SigningAlgorithm?]> = [
    ['nothing', '', /neither a PEM nor a JWK/],
    ['a word', 'secret', /neither a PEM nor a JWK/],
    ['a blank before', ` ${block}`, /something stands before it/],
    ['a line break before', `\n${block}`, /something stands before it/],
    ['a byte order mark', `\uFEFF${block}`, /something stands before it/],
    ['a comment before', `# key\n${block}`, /something stands before it/],
    ['a control byte before', `\u0001${block}`, /something stands before it/],
    ['a blank before JSON', ` ${jwk(ec)}`, /something stands before it/],
    ['something behind', `${block}x`, /not one whole block/],
    ['a second key behind', block + pem(otherEc), /not one whole block/],
    ['a blank within', block.replace('\n', '\n '), /not one whole block/],
    ['no end', block.replace(/-----END.*/s, ''), /not one whole block/],
    ['another end', block.replace('END PRIVATE', 'END PUBLIC'), /not one whole block/],
    ['cut content', wrap(der.subarray(0, -5)), /cut off, or something was added/],
    ['added content', wrap(Buffer.concat([der, Buffer.alloc(3)])), /cut off, or something was added/],
    ['garbage', wrap(Buffer.from([0x30, 3, 1, 2, 3])), /not a private key in PKCS#8/],
    ['no sequence', wrap(Buffer.from('garbage')), /cut off, or something was added/],
    ['encrypted', encrypted, /it is encrypted\. Decrypt it first/],
    ['encrypted the old way', legacy, /it is encrypted\. Decrypt it first/],
    [
      'parameters first',
      `-----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n${pem(ec, 'sec1')}`,
      /parameters of the curve/
    ],
    ['a public key', createPublicKey(ec).export({ format: 'pem', type: 'spki' }) as string, /public half/],
    ['a certificate', wrap(der, 'CERTIFICATE'), /public half/],
    ['OpenSSH', wrap(der, 'OPENSSH PRIVATE KEY'), /none of PKCS#8, SEC1 and PKCS#1/],
    ['half JSON', '{"kty":', /begins like JSON/],
    ['a member twice', jwk(ec).replace('{', '{"kty":"EC",'), /occurs twice/],
    ['a public JWK', jwk(createPublicKey(ec)), /0 private keys/],
    ['an empty set', '{"keys":[]}', /0 private keys/],
    ['no set', '{"keys":{}}', /0 private keys/],
    ['a set of nothing', '{"keys":[null,1,"x"]}', /0 private keys/],
    ['two keys', `{"keys":[${jwk(ec)},${jwk(otherEc)}]}`, /2 private keys/],
    ['a secret', '{"kty":"oct","k":"AAAA","d":"AAAA"}', /not a private key as RFC 7518/],
    ['a JWK without x', jwk(ec, { x: undefined }), /not a private key as RFC 7518/],
    ['halves of two keys', jwk(ec, { x, y }), /no pair|not a private key/],
    ['another curve', pem(p384), /a key of P-384, and ES256 takes one of P-256/],
    ['another algorithm', pem(ed), /a key of Ed25519, and ES256 takes one of P-256\. AUTH_SIGNING_ALGORITHM is ES256/],
    ['X25519', pem(generateKeyPairSync('x25519').privateKey), /a key of x25519/],
    ['RSA of 2048 bits', pem(rsa2048), /2048 bits, and may have 3072 to 8192/, 'RS256'],
    ['exponent 3', pem(odd), /exponent is not 65537/, 'RS256'],
    ['RSASSA-PSS alone', pem(pss), /a key of rsa-pss/, 'PS256'],
    ['for encryption', jwk(ec, { use: 'enc' }), /its use is not sig/],
    ['for verification', jwk(ec, { key_ops: ['verify'] }), /key_ops do not name sign/],
    ['of another alg', jwk(rsa, { alg: 'RS512' }), /its alg is not RS256/, 'RS256'],
    ['of the other padding', jwk(rsa, { alg: 'PS256' }), /its alg is not RS256/, 'RS256'],
    ['oversize', `{"a":"${'x'.repeat(70_000)}"}`, /longer than 64 KiB/]
  ]
  for (const [title, text, message, algorithm = 'ES256'] of rows) {
    await t.rejects(readPrivateKey(text, algorithm), { name: 'KeyImportError', message }, title)
  }
  const { message } = (await readPrivateKey(jwk(ec, { x, y }), 'ES256').catch((error) => error)) as KeyImportError
  t.notOk(message.includes(String(ec.export({ format: 'jwk' }).d)), 'nothing of the key is told')
})
