import { readFileSync } from 'node:fs'
import { calculateJwkThumbprint } from 'jose'
import t from 'tap'
import { type SigningAlgorithm, signingAlgorithms, thumbprint } from '../../src/domain/key-ring.js'
import { generateKey } from '../../src/plugins/token-engine.js'

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/jose/rfc8037-rfc7638-rfc7636.json', import.meta.url), 'utf8')
)

t.test('the thumbprint of RFC 8037 A.3 (Ed25519), whether or not the private part is there', async (t) => {
  const { d: _, ...publicJwk } = vectors.ed25519.jwk
  t.equal(thumbprint(publicJwk), vectors.ed25519.thumbprintSha256)
  t.equal(thumbprint(vectors.ed25519.jwk), vectors.ed25519.thumbprintSha256)
})

t.test('the thumbprint of RFC 7638 §3.1 (RSA): alg and kid do not count', async (t) => {
  t.equal(thumbprint(vectors.rsaThumbprint.jwk), vectors.rsaThumbprint.sha256)
})

t.test('the order in which a JWK names its members does not count', async (t) => {
  const { kty, n, e } = vectors.rsaThumbprint.jwk
  for (const jwk of [
    { n, kty, e },
    { e, n, kty },
    { kty, e, n }
  ]) {
    t.equal(thumbprint(jwk), vectors.rsaThumbprint.sha256)
  }
})

for (const algorithm of signingAlgorithms satisfies readonly SigningAlgorithm[]) {
  t.test(`the kid of a new ${algorithm} key is the thumbprint that another library computes`, async (t) => {
    const key = await generateKey(algorithm)
    t.equal(key.kid, await calculateJwkThumbprint(key.publicJwk as { kty: string }))
    t.equal(key.publicJwk.kid, key.kid)
    t.not((await generateKey(algorithm)).kid, key.kid, 'and no two keys are one')
  })
}

t.test('a key type that cannot verify our tokens has no thumbprint', async (t) => {
  t.throws(() => thumbprint({ kty: 'oct', k: 'AAAA' }), TypeError)
  t.throws(() => thumbprint({}), TypeError)
})
