import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import t from 'tap'
import { type SigningAlgorithm, signingAlgorithms } from '../../src/domain/key-ring.js'
import { defineKeyProvider, type KeyProvider } from '../../src/plugins/key-providers.js'
import { generateKey, localSigner } from '../../src/plugins/token-engine.js'
import { type Change, goodPassword, issuer, type World, world } from '../support/world.js'

type Mood = 'well' | 'hangs' | 'throws' | 'signs something else' | 'signs in DER' | 'answers with text'

/** A keeper of keys whose mood is in the test's hand. */
function keeper(name = 'kms') {
  const keys = new Map<string, KeyObject>()
  let mood: Mood = 'well'
  let signatures = 0
  const provider = defineKeyProvider({
    name,
    async create(algorithm) {
      const { kid, privateKey, publicJwk } = await generateKey(algorithm)
      keys.set(kid, privateKey)
      return { reference: kid, publicJwk }
    },
    signer: (reference, algorithm) => ({
      async sign(input) {
        signatures += 1
        const key = keys.get(reference)!
        if (mood === 'hangs') return await new Promise<never>(() => {})
        if (mood === 'throws') throw new Error('the key server is on fire')
        if (mood === 'signs something else') return await localSigner(algorithm, key).sign(Buffer.from('else'))
        if (mood === 'signs in DER') return sign('sha256', input, key)
        if (mood === 'answers with text') return 'signature' as unknown as Buffer
        return await localSigner(algorithm, key).sign(input)
      }
    })
  })
  return {
    provider,
    be: (next: Mood) => {
      mood = next
    },
    signatures: () => signatures
  }
}

const keptBy =
  (provider: KeyProvider, algorithm: SigningAlgorithm = 'ES256', providerTimeout = 30_000): Change =>
  (options) => ({
    ...options,
    signing: { ...options.signing, algorithm, provider: provider.name, providers: [provider], providerTimeout }
  })

const keySet = async (w: World) => createLocalJWKSet((await w.get('/.well-known/jwks.json')).json() as JSONWebKeySet)

for (const algorithm of signingAlgorithms) {
  t.test(`tokens of a ${algorithm} key that is kept elsewhere verify here and everywhere`, async (t) => {
    const { provider, signatures } = keeper()
    const w = await world(t, keptBy(provider, algorithm))
    const { access_token } = await w.login(await w.account())
    const { protectedHeader } = await jwtVerify(access_token, await keySet(w), {
      issuer,
      audience: 'api',
      typ: 'at+jwt',
      currentDate: w.now()
    })
    t.match(protectedHeader, { kid: w.app.keys.signing().kid, typ: 'at+jwt' })
    const asked = signatures()
    t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
    t.equal(signatures(), asked, 'verification asks nobody')
    const other = await w.app.keys.signing().signAs('example+jwt', { a: 1 })
    t.equal((await jwtVerify(other, await keySet(w), { typ: 'example+jwt' })).payload.a, 1)
  })
}

t.test('no private half of such a key is in the database', async (t) => {
  const { provider } = keeper()
  const w = await world(t, keptBy(provider))
  t.match(await w.app.db.selectFrom('signing_key').selectAll().executeTakeFirst(), {
    provider: 'kms',
    provider_reference: w.app.keys.signing().kid,
    sealed_private_key: null
  })
})

t.test('a keeper that hangs, throws or errs is 503 in time, and the refresh can be repeated', async (t) => {
  const { provider, be } = keeper()
  const w = await world(t, keptBy(provider, 'ES256', 1_000))
  const username = await w.account()
  let { refresh_token } = await w.login(username)
  for (const mood of ['hangs', 'throws', 'signs something else', 'signs in DER', 'answers with text'] as const) {
    be(mood)
    for (const response of [
      await w.refresh(refresh_token),
      await w.refresh(refresh_token),
      await w.post('/v1/login', { username, password: goodPassword })
    ]) {
      t.equal(response.statusCode, 503, mood)
      t.match(response.json(), { code: 'service_unavailable' })
      t.equal(response.headers['retry-after'], '1')
      t.notMatch(response.body, /kms|fire|signature/)
    }
    be('well')
    const [one, other] = [await w.refresh(refresh_token), await w.refresh(refresh_token)]
    t.equal(one.statusCode, 200, 'the very token that was sent before')
    t.equal(other.json().refresh_token, one.json().refresh_token, 'and one successor')
    refresh_token = one.json().refresh_token
  }
  t.match(w.logs.join(''), /key provider kms: no answer within 1000 ms/)
  t.match(w.logs.join(''), /key provider kms: the key server is on fire/)
})

t.test('keys move to a keeper and back like any other rotation', async (t) => {
  const { provider } = keeper()
  const w = await world(t)
  const moved = await w.replica(keptBy(provider))
  t.same(
    moved.keys.published().map(({ privateHalf }) => privateHalf.provider),
    ['local', 'kms']
  )
  t.equal(moved.keys.signing().privateHalf.provider, 'local')
  w.wait(605_000)
  t.equal(moved.keys.signing().privateHalf.provider, 'kms')
  const back = await w.replica((options) => ({ ...options, signing: { ...options.signing, providers: [provider] } }))
  w.wait(605_000)
  t.equal(back.keys.signing().privateHalf.provider, 'local')
})

t.test('a replica without the keeper of the key that signs does not start, and says why', async (t) => {
  const { provider } = keeper()
  const w = await world(t, keptBy(provider))
  await t.rejects(w.replica(), { message: /There is no key provider "kms": no module of AUTH_PLUGINS defines it/ })
  await t.rejects(
    w.replica((options) => ({ ...options, signing: { ...options.signing, provider: 'hsm' } })),
    {
      message: /There is no key provider "hsm".*may be local\./
    }
  )
})

t.test('a keeper that makes what it should not is not taken', async (t) => {
  const good = await generateKey('ES256')
  const stranger = await generateKey('ES256')
  const signer = () => localSigner('ES256', good.privateKey)
  const weak = createPublicKey(
    '-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK7ttYaE/1ldsb0OJQDQhhDWqwuFWIyt\nxgYIJH1HYA3UpA/Nm24fERIA1xi2Pomep6VTnQ/ThFP5hn2NyITwRIsCAwEAAQ==\n-----END PUBLIC KEY-----'
  ).export({ format: 'jwk' })
  const rows: Array<[string, Partial<Record<'reference' | 'publicJwk', unknown>>, SigningAlgorithm, RegExp]> = [
    ['another key than it signs with', { publicJwk: stranger.publicJwk }, 'ES256', /signature is wrong/],
    ['another algorithm', {}, 'Ed25519', /it is a key of P-256, and Ed25519 takes one of Ed25519/],
    ['no reference', { reference: '' }, 'ES256', /not a text of 1 to 1000/],
    ['a reference that is too long', { reference: 'x'.repeat(1001) }, 'ES256', /not a text of 1 to 1000/],
    ['no public half', { publicJwk: null }, 'ES256', /no public half/],
    ['an empty public half', { publicJwk: {} }, 'ES256', /none of EC, OKP and RSA/],
    ['a weak key', { publicJwk: weak }, 'RS256', /its modulus has 512 bits/]
  ]
  for (const [title, change, algorithm, message] of rows) {
    const made = { reference: 'one', publicJwk: good.publicJwk, ...change } as never
    const provider = defineKeyProvider({ name: 'kms', create: () => made, signer })
    const w = await world(t)
    await t.rejects(w.replica(keptBy(provider, algorithm)), { because: message } as never, title)
    t.equal((await w.app.db.selectFrom('signing_key').selectAll().execute()).length, 1, 'nothing was published')
  }
})

t.test('private members that a keeper tells are not kept', async (t) => {
  const { privateKey } = await generateKey('ES256')
  const jwk = privateKey.export({ format: 'jwk' }) as Record<string, unknown>
  const provider = defineKeyProvider({
    name: 'kms',
    create: () => ({ reference: 'one', publicJwk: { ...jwk, x5u: 'https://evil.example' } }),
    signer: () => localSigner('ES256', privateKey)
  })
  const w = await world(t, keptBy(provider))
  const { keys } = (await w.get('/.well-known/jwks.json')).json()
  t.same(Object.keys(keys[0]).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
})

t.test('a provider without a name or a function is told what it lacks', async (t) => {
  const whole = { name: 'kms', create: () => {}, signer: () => {} }
  for (const [change, message] of [
    [{ name: undefined }, /needs a name/],
    [{ name: 'KMS' }, /needs a name/],
    [{ name: 'local' }, /"local" is the name/],
    [{ create: undefined }, /kms needs a function create/],
    [{ signer: 'x' }, /kms needs a function signer/]
  ] as const) {
    t.throws(() => defineKeyProvider({ ...whole, ...change } as never), { message })
  }
})
