import t from 'tap'
import { allow, createVerifier } from '../../packages/verifier/src/index.js'
import { createTestIssuer } from '../../packages/verifier/src/testing.js'
import { until } from '../support/until.js'
import { verdictOf } from '../support/verifier.js'

/** The issuer that users test their services with. */

for (const algorithm of ['ES256', 'EdDSA', 'RS256', 'PS256'] as const) {
  t.test(`a test issuer of ${algorithm} makes good tokens and bad ones`, async (t) => {
    const issuer = await createTestIssuer({ algorithm })
    const verifier = createVerifier(issuer.options)
    t.teardown(() => verifier.close())
    const principal = await verifier.verify(await issuer.token({ sub: 'ada', roles: ['editor'] }), allow.role('editor'))
    t.equal(principal.accountId, 'ada')
    t.equal(await verdictOf(verifier, await issuer.expired()), 'token_expired')
    t.equal(await verdictOf(verifier, await issuer.wrongKey()), 'token_invalid')
    t.equal(await verdictOf(verifier, await issuer.wrongAudience()), 'token_invalid')
    t.equal(await verdictOf(verifier, await issuer.token({}, { header: { typ: 'JWT' } })), 'token_invalid')
    t.equal(issuer.fetches(), 2)
  })
}

t.test('a test issuer revokes, and is asked at once', async (t) => {
  const issuer = await createTestIssuer({ revocation: { mode: 'feed', interval: 0.1, onStale: 'deny' } })
  const verifier = createVerifier(issuer.options)
  t.teardown(() => verifier.close())
  const principal = await verifier.verify(await issuer.token())
  const ends = verifier.ended(principal)
  issuer.revoke(principal.sessionId!)
  t.equal(await ends, 'revoked')
  const token = await issuer.token({ sub: 'ada' })
  const fresh = allow.all(allow.authenticated(), allow.fresh())
  t.ok(await verifier.verify(token, fresh))
  issuer.revoke('ada', 'account')
  t.ok(await until(async () => (await verdictOf(verifier, token)) === 'token_revoked'))
  t.equal(await verdictOf(verifier, await issuer.token({ sub: 'ada' })), 'good', 'a token of afterwards')
})

t.test('two test issuers trust each other in nothing, also over a socket', async (t) => {
  const [one, two] = await Promise.all([createTestIssuer(), createTestIssuer()])
  const { url, close } = await one.listen()
  t.teardown(close)
  const { fetch: _, ...options } = one.options
  const verifier = createVerifier({ ...options, baseUrl: url })
  t.teardown(() => verifier.close())
  t.equal(await verdictOf(verifier, await one.token()), 'good')
  t.equal(await verdictOf(verifier, await two.token()), 'token_invalid')
})
