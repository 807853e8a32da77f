import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { importJWK, jwtVerify } from 'jose'
import t from 'tap'
import { thumbprint } from '../../src/domain/key-ring.js'
import { type GateReason, passGate } from '../../src/domain/token-gate.js'
import { makeEngine } from '../../src/plugins/token-engine.js'

const read = (name: string) => JSON.parse(readFileSync(new URL(`../vectors/jose/${name}`, import.meta.url), 'utf8'))
const { ed25519 } = read('rfc8037-rfc7638-rfc7636.json')

interface Vector {
  title: string
  input: { alg: string }
  output: { compact?: string; json?: object; json_flat?: object }
}
const { vectors } = read('rfc7520-jws.json') as { vectors: Vector[] }

const { d: _, ...publicJwk } = ed25519.jwk
const privateKey = createPrivateKey({ key: ed25519.jwk, format: 'jwk' })
const publicKey = createPublicKey({ key: publicJwk, format: 'jwk' })
const key = { kid: thumbprint(publicJwk), algorithm: 'Ed25519', publicJwk } as const

t.test('the signature of RFC 8037 A.4 is what this platform makes and accepts', async (t) => {
  const [header, payload, signature] = ed25519.jws.split('.')
  const signed = Buffer.from(`${header}.${payload}`)
  t.equal(sign(null, signed, privateKey).toString('base64url'), signature)
  t.ok(verify(null, signed, publicKey, Buffer.from(signature, 'base64url')))
  t.equal(Buffer.from(payload, 'base64url').toString(), ed25519.payload)
})

t.test('the engine with the key of RFC 8037 signs what others verify, and verifies what others sign', async (t) => {
  const engine = await makeEngine(key, privateKey)
  const claims = { iss: 'https://auth.test', sub: 'ada' }

  const ours = await engine.sign(claims)
  const { payload, protectedHeader } = await jwtVerify(ours, await importJWK(publicJwk, 'EdDSA'), { typ: 'at+jwt' })
  t.match(payload, claims)
  t.strictSame(protectedHeader, { alg: 'EdDSA', typ: 'at+jwt', kid: ed25519.thumbprintSha256 })

  const [header, body] = ours.split('.')
  const theirs = sign(null, Buffer.from(`${header}.${body}`), privateKey).toString('base64url')
  t.equal(ours, `${header}.${body}.${theirs}`, 'Ed25519 is deterministic (RFC 8032)')
  t.match(engine.verify(`${header}.${body}.${theirs}`), claims)
})

t.test('the very message of RFC 8037 is no access token: it has no typ, no kid and no claims', async (t) => {
  const engine = await makeEngine(key, privateKey)
  t.throws(() => engine.verify(ed25519.jws))
  t.strictSame(passGate(ed25519.jws), { ok: false, because: 'type_wrong' })
})

/** None has our typ; one that is detached or very long ends before that, by its shape. */
const expected: GateReason[] = ['too_long', 'not_a_compact_jws', 'not_canonical', 'header_member_unknown', 'type_wrong']

t.test('no message of RFC 7520, RFC 7797 and ML-DSA passes the gate, in any serialization', async (t) => {
  t.ok(vectors.length >= 11)
  for (const { title, input, output } of vectors) {
    const name = `${input.alg}: ${title.slice(-40)}`
    const compact = output.compact
    if (compact !== undefined) {
      const verdict = passGate(compact)
      t.notOk(verdict.ok, name)
      t.ok(!verdict.ok && expected.includes(verdict.because), `${name}: ${JSON.stringify(verdict)}`)
    }
    for (const json of [output.json, output.json_flat]) {
      if (json === undefined) continue
      t.strictSame(passGate(JSON.stringify(json)), { ok: false, because: 'not_a_compact_jws' }, `${name} as JSON`)
    }
  }
})

t.test('with our typ and a kid, the algorithms of those messages are refused all the same', async (t) => {
  for (const { input } of vectors) {
    if (['RS256', 'EdDSA'].includes(input.alg)) continue
    const header = Buffer.from(JSON.stringify({ alg: input.alg, typ: 'at+jwt', kid: 'x' })).toString('base64url')
    t.strictSame(passGate(`${header}.e30.AAAA`), { ok: false, because: 'algorithm_refused' }, input.alg)
  }
})
