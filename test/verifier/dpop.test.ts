import t from 'tap'
import { bindingLogin, clientKey, garbageProofs, proofFor, signProof } from '../support/dpop.js'
import { errorOf, verdictOf, verifierOf } from '../support/verifier.js'
import { issuer, world } from '../support/world.js'

const path = '/articles'
const request = { method: 'GET', url: issuer + path }

t.test('a token that is bound to a key is good with a proof by the key, once', async (t) => {
  const w = await world(t)
  for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
    const verifier = verifierOf(t, w)
    const key = clientKey(algorithm)
    const { access_token: token } = await bindingLogin(w, key)
    const authorization = `DPoP ${token}`
    const dpop = proofFor(w, key, { method: 'GET', path, accessToken: token })
    const principal = await verifier.verifyHeaders({ authorization, dpop }, undefined, request)
    t.equal(principal.jkt, key.jkt)
    const again = await errorOf(verifier.verifyHeaders({ authorization, dpop }, undefined, request))
    t.match(again, { status: 401, code: 'dpop_proof_invalid', internal: { because: 'used before' } })
    t.match(again.wwwAuthenticate, /^DPoP realm="api", error="invalid_dpop_proof", .*algs="ES256 /)
    const next = proofFor(w, key, { method: 'GET', path, accessToken: token })
    t.ok(
      await verifier.verifyHeaders({ authorization, dpop: next }, undefined, {
        ...request,
        url: `${request.url}?page=2`
      })
    )
  }
})

t.test('a proof counts once until it can be accepted no more, whatever the clock does', async (t) => {
  const w = await world(t)
  const verifier = verifierOf(t, w)
  const key = clientKey()
  const { access_token: token } = await bindingLogin(w, key)
  const authorization = `DPoP ${token}`
  const dpop = proofFor(w, key, { method: 'GET', path, accessToken: token })
  const why = async () =>
    (await errorOf(verifier.verifyHeaders({ authorization, dpop }, undefined, request))).internal.because
  await verifier.verifyHeaders({ authorization, dpop }, undefined, request)
  for (const seconds of [1, 30, 29]) {
    w.wait(seconds * 1000)
    t.equal(await why(), 'used before')
  }
  w.wait(1_000)
  t.equal(await why(), 'too_old')
  w.wait(-60_000)
  t.equal(await why(), 'used before')
})

t.test('without the proof of its own request, token and key a bound token is worth nothing', async (t) => {
  const w = await world(t)
  const verifier = verifierOf(t, w)
  const key = clientKey()
  const { access_token: token } = await bindingLogin(w, key)
  const { access_token: other } = await bindingLogin(w, key)
  const thief = clientKey()
  const content = { method: 'GET', path, accessToken: token }
  t.equal(await verdictOf(verifier, token), 'token_invalid', 'as a bearer token')
  const refused = async (
    dpop: string | string[] | undefined,
    facts: object = request,
    authorization = `DPoP ${token}`
  ) =>
    (
      await errorOf(
        verifier.verifyHeaders({ authorization, ...(dpop === undefined ? {} : { dpop }) }, undefined, facts)
      )
    ).status
  t.equal(await refused(undefined), 401, 'no proof')
  t.equal(await refused(proofFor(w, thief, content)), 401, 'by another key')
  t.equal(await refused(signProof({ ...thief, jwk: key.jwk }, {})), 401, 'in the name of the key')
  t.equal(await refused(proofFor(w, key, { ...content, accessToken: other })), 401, 'for another token')
  t.equal(await refused(proofFor(w, key, { method: 'GET', path })), 401, 'for no token')
  t.equal(await refused(proofFor(w, key, content), { method: 'POST', url: request.url }), 401, 'for another method')
  t.equal(
    await refused(proofFor(w, key, content), { method: 'GET', url: `${issuer}/other` }),
    401,
    'for another address'
  )
  t.equal(await refused(proofFor(w, key, content), {}), 401, 'for a request that nobody describes')
  t.equal(await refused(proofFor(w, key, content), request, `Bearer ${token}`), 401, 'sent as a bearer token')
  for (const [title, dpop] of garbageProofs(w, key, content)) t.match(await refused(dpop), /^40[01]$/, title)
  const { access_token: free } = await w.login(await w.account())
  const proof = proofFor(w, key, { ...content, accessToken: free })
  t.equal(await refused(proof, request, `DPoP ${free}`), 401, 'a token that is not bound, with a proof')
  t.ok(await verifier.verifyHeaders({ authorization: `Bearer ${free}` }), 'which is a bearer token')
})

t.test('no more proofs are remembered than fit, and then none is accepted that could be a replay', async (t) => {
  const w = await world(t)
  const verifier = verifierOf(t, w, { rememberedProofs: 3 })
  const key = clientKey()
  const { access_token: token } = await bindingLogin(w, key)
  const send = () =>
    verifier.verifyHeaders(
      { authorization: `DPoP ${token}`, dpop: proofFor(w, key, { method: 'GET', path, accessToken: token }) },
      undefined,
      request
    )
  for (let n = 0; n < 3; n++) await send()
  t.match(await errorOf(send()), { status: 503, code: 'service_unavailable' })
  w.wait(130_000)
  t.ok(await send())
})
