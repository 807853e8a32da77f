import { generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { createVerifier, type VerifierOptions } from '../../packages/verifier/src/index.js'
import { createTestIssuer } from '../../packages/verifier/src/testing.js'
import { thumbprint, verifierCache } from '../../src/domain/key-ring.js'
import { encode, forge, workshop } from '../support/forge.js'
import { until } from '../support/until.js'
import { errorOf, verdictOf, verifierOf } from '../support/verifier.js'
import { type Change, world } from '../support/world.js'

const keySet = '/.well-known/jwks.json'
const epoch = Date.parse('2030-01-01T12:00:00Z')

/** An issuer whose clock is the test's, and a verifier of it. */
async function setUp(t: Test, change: Partial<VerifierOptions> = {}) {
  let time = epoch
  const issuer = await createTestIssuer({ now: () => time })
  const verifier = createVerifier({ ...issuer.options, ...change })
  t.teardown(() => verifier.close())
  return {
    issuer,
    verifier,
    wait: (seconds: number) => {
      time += seconds * 1000
    },
    fetches: () => issuer.fetches(keySet)
  }
}

/** The same token under the id of a key that nobody has. */
function withKid(token: string, kid: unknown): string {
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const header = JSON.parse(Buffer.from(head, 'base64url').toString())
  return `${encode({ ...header, kid })}.${payload}.${signature}`
}

t.test('a thousand requests that come at once fetch the keys of the service once', async (t) => {
  const w = await world(t)
  const { token } = await workshop(w)
  const verifier = verifierOf(t, w)
  const verdicts = await Promise.all(Array.from({ length: 1000 }, () => verdictOf(verifier, token)))
  t.same([...new Set(verdicts)], ['good'])
  t.equal(verifier.health().keys.fetches, 1)
})

t.test('a thousand ids that nobody has cost one fetch, and nobody else notices', async (t) => {
  const { issuer, verifier, wait, fetches } = await setUp(t)
  const good = await issuer.token()
  await verifier.ready()
  wait(60)
  t.equal(fetches(), 1)
  for (let n = 0; n < 1000; n++) {
    const verdict = await verdictOf(verifier, withKid(good, `kid-${n}`))
    if (verdict !== 'token_invalid') t.fail(verdict)
  }
  t.equal(fetches(), 2)
  t.equal(await verdictOf(verifier, good), 'good')
  wait(6)
  t.equal(await verdictOf(verifier, withKid(good, 'one more')), 'token_invalid')
  t.equal(fetches(), 3, 'after the cooldown the next one looks again')
})

t.test('an id that is asked for again and again in vain is looked for ever more seldom', async (t) => {
  const { issuer, verifier, wait, fetches } = await setUp(t, { keys: { maxAge: 3600 } })
  const stray = withKid(await issuer.token({}, { expiresIn: 100_000 }), 'gone')
  await verifier.ready()
  for (let n = 0; n < 300; n++) {
    wait(6)
    await verdictOf(verifier, stray)
  }
  // Half an hour: 5 s, 10 s, 20 s, 40 s …
  t.ok(fetches() < 12, `${fetches()} fetches in 300 attempts`)
})

t.test('a new key is found at once, and while another id is flooding within the cooldown', async (t) => {
  const { issuer, verifier, wait, fetches } = await setUp(t)
  t.equal(await verdictOf(verifier, await issuer.token()), 'good')
  wait(60)
  await issuer.rotate()
  t.equal(await verdictOf(verifier, await issuer.token()), 'good')
  t.equal(fetches(), 2)
  await issuer.rotate()
  const next = await issuer.token()
  t.equal(await verdictOf(verifier, next), 'token_invalid', 'a set of this very moment does not have it')
  wait(5)
  t.equal(await verdictOf(verifier, next), 'good')
})

t.test('keys are fetched anew in the background before they are too old', async (t) => {
  const { issuer, verifier, wait, fetches } = await setUp(t, { keys: { maxAge: 300, refreshAhead: 60 } })
  const token = await issuer.token({}, { expiresIn: 3600 })
  // Without the memory of tokens, which asks for no key.
  const cold = createVerifier({ ...issuer.options, rememberedTokens: 0, keys: { maxAge: 300, refreshAhead: 60 } })
  t.teardown(() => cold.close())
  await verifier.ready()
  await cold.ready()
  t.equal(fetches(), 2)
  wait(239)
  await cold.verify(token)
  t.equal(fetches(), 2)
  wait(1)
  await cold.verify(token)
  t.ok(await until(() => fetches() === 3 && cold.health().keys.ageSeconds === 0))
})

t.test('while the issuer is down its keys are good for a day, and then nobody can tell', async (t) => {
  const { issuer, verifier, wait } = await setUp(t, { rememberedTokens: 0 })
  const life = { expiresIn: 1_000_000 }
  const token = await issuer.token({}, life)
  t.equal(await verdictOf(verifier, token), 'good')
  issuer.outage(true)
  wait(3600)
  t.equal(await verdictOf(verifier, token), 'good')
  t.match(verifier.health().keys, { ageSeconds: 3600, count: 1, lastError: 'status 503' })
  const unknown = await errorOf(verifier.verify(withKid(token, 'x')))
  t.match(
    unknown,
    { status: 503, code: 'keys_unavailable' },
    'an id that is not known is no bad token: nobody can tell'
  )
  t.match(unknown.headers, { 'retry-after': '5' })
  t.equal(unknown.wwwAuthenticate, undefined, 'and no client is asked for another token')
  wait(86_400 - 3600 + 299)
  t.equal(await verdictOf(verifier, token), 'good')
  wait(2)
  t.equal(await verdictOf(verifier, token), 'keys_unavailable')
  issuer.outage(false)
  wait(6)
  t.equal(await verdictOf(verifier, token), 'good')
})

t.test('an issuer that was never reached makes 503, and no start that looks good', async (t) => {
  const { issuer, verifier, wait } = await setUp(t)
  const token = await issuer.token()
  issuer.outage(true)
  await t.rejects(verifier.ready())
  t.equal(await verdictOf(verifier, token), 'keys_unavailable')
  t.equal(await verdictOf(verifier, token), 'keys_unavailable')
  t.ok(issuer.fetches() <= 4, 'and it is not asked for each request')
  issuer.outage(false)
  wait(5)
  t.equal(await verdictOf(verifier, token), 'good')
})

t.test('what a key has signed is over when the key is gone, also where it was verified before', async (t) => {
  const { issuer, verifier, wait } = await setUp(t)
  const token = await issuer.token({}, { expiresIn: 3600 })
  t.equal(await verdictOf(verifier, token), 'good')
  t.equal(verifier.health().rememberedTokens, 1)
  await issuer.rotate({ keepOld: false })
  wait(60)
  t.equal(await verdictOf(verifier, await issuer.token()), 'good', 'which fetches the key set')
  t.equal(await verdictOf(verifier, token), 'token_invalid')
})

t.test('a clock that is put back makes nothing newer than it is', async (t) => {
  const { issuer, verifier, wait, fetches } = await setUp(t, { rememberedTokens: 0 })
  await verifier.verify(await issuer.token())
  wait(-3600)
  await verifier.verify(await issuer.token())
  t.equal(fetches(), 2)
})

t.test('a key set that never changes is fetched from nowhere', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const verifier = verifierOf(t, w, {
    jwks: { keys: [shop.publicJwk] },
    fetch: () => Promise.reject(new Error('a request'))
  })
  await verifier.ready()
  t.equal(await verdictOf(verifier, shop.token), 'good')
  t.equal(await verdictOf(verifier, withKid(shop.token, 'x')), 'token_invalid')
  const empty = verifierOf(t, w, { jwks: { keys: [] } })
  await t.rejects(empty.ready(), /without a key/)
  t.equal(await verdictOf(empty, shop.token), 'keys_unavailable')
})

t.test('of a key set only keys count that can verify, each for its one algorithm', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const good = shop.publicJwk
  const { kid } = good
  const rsa = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([member]) => member !== name))
  const bad: Array<[string, unknown[]]> = [
    ['CVE-2026-22817: one without alg', [without('alg')]],
    ['one without kid', [without('kid')]],
    ['one of another alg', [{ ...good, alg: 'RS256' }]],
    ['one of HS256', [{ ...good, alg: 'HS256' }]],
    ['one of no algorithm', [{ ...good, alg: 'none' }]],
    ['algorithms in a list', [{ ...good, alg: ['ES256'] }]],
    ['one for encryption', [{ ...good, use: 'enc' }]],
    ['one for signing alone', [{ ...good, key_ops: ['sign'] }]],
    ['a secret', [{ kty: 'oct', k: 'AAAA', kid, alg: 'HS256' }]],
    ['one with its private half', [{ ...good, d: shop.privateKey.export({ format: 'jwk' }).d }]],
    ['a point that is none', [{ ...good, y: good.x }]],
    ['another curve', [{ ...good, crv: 'secp256k1' }]],
    ['RSA of 1024 bits', [{ ...rsa(1024), kid, alg: 'RS256' }]],
    ['an id that is a list', [{ ...good, kid: [kid] }]],
    ['two of one id', [good, { ...other, kid, alg: 'ES256' }]],
    ['two of one id, the other way round', [{ ...other, kid, alg: 'ES256' }, good]],
    ['texts and nulls', ['x', null, 1, []]],
    ['more than a set can have', Array.from({ length: 101 }, () => good)]
  ]
  for (const [title, keys] of bad) {
    const verifier = verifierOf(t, w, { jwks: { keys: keys as object[] } })
    t.not(await verdictOf(verifier, shop.token), 'good', title)
  }
  // RSA's header on a key of another kind: the id leads to the key, and the key has one algorithm (CVE-2022-23541).
  const pair = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const jwk = pair.publicKey.export({ format: 'jwk' }) as Record<string, unknown>
  const rsaKid = thumbprint(jwk)
  const mixed = verifierOf(t, w, { jwks: { keys: [good, { ...jwk, kid: rsaKid, alg: 'RS256' }, null] as object[] } })
  t.equal(await verdictOf(mixed, shop.token), 'good')
  t.equal(
    await verdictOf(mixed, forge('RS256', pair.privateKey, { ...shop.header, alg: 'RS256', kid: rsaKid }, shop.claims)),
    'good'
  )
  for (const [title, alg, kid] of [
    ['RS256 with the key of ES256', 'RS256', shop.header.kid],
    ['PS256 with the key of RS256', 'PS256', rsaKid]
  ] as const) {
    const token = forge(alg, pair.privateKey, { ...shop.header, alg, kid }, shop.claims)
    t.equal((await errorOf(mixed.verify(token))).internal.because, 'algorithm_not_the_keys', title)
  }
})

t.test('the service rotates its keys, and nobody is signed out by it', async (t) => {
  const day = 86_400_000
  const change: Change = (options) => ({
    ...options,
    signing: { ...options.signing, pollInterval: 20, rotationInterval: 90 * day }
  })
  const w = await world(t, change)
  const username = await w.account()
  const verifier = verifierOf(t, w)
  const keyOf = async () => (await verifier.verify((await w.login(username)).access_token)).keyId
  const first = await keyOf()
  w.wait(90 * day - verifierCache - 5_000)
  t.ok(await until(() => w.app.keys.published().length === 2), 'the next key is there before its turn')
  const signers = new Set<string>()
  // Each look is a minute after the one before; the key set that is held is never fetched for an unknown id.
  for (let minute = 0; minute < 13; minute++) {
    signers.add(await keyOf())
    w.wait(60_000)
  }
  t.same(signers.size, 2, 'the turn of the next key was within that')
  t.ok(signers.has(first))
  t.equal(verifier.health().keys.lastError, undefined)
})
