import t from 'tap'
import { allow } from '../../packages/verifier/src/index.js'
import { encode, forge, workshop } from '../support/forge.js'
import { errorOf, verdictOf, verifierOf } from '../support/verifier.js'
import { issuer, world } from '../support/world.js'

for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
  t.test(`a token that the service signs with ${algorithm} is verified, at first and again`, async (t) => {
    const w = await world(t, (options) => ({ ...options, signing: { ...options.signing, algorithm } }))
    await w.role('editor', ['articles.write'])
    const username = await w.account()
    const verifier = verifierOf(t, w)
    const { access_token: token, user } = await w.login(username)
    const principal = await verifier.verify(token)
    const service = await w.app.accessTokens.authenticate(token)
    for (const member of [
      'accountId',
      'sessionId',
      'tokenId',
      'clientId',
      'acr',
      'revision',
      'authenticator'
    ] as const) {
      t.equal(principal[member], service[member], `${member}: as the service reads it`)
    }
    for (const member of ['scopes', 'roles', 'permissions', 'amr', 'authenticatedAt', 'expiresAt'] as const) {
      t.same(principal[member], service[member], `${member}: as the service reads it`)
    }
    t.equal(principal.accountId, user.id)
    t.equal(principal.claims.iss, issuer)
    t.equal(principal.keyId, w.app.keys.signing().kid)
    t.equal(await verifier.verify(token), principal, 'the same object the second time')
    t.equal(verifier.health().keys.fetches, 1)
    const [head, payload, signature] = token.split('.') as [string, string, string]
    const changed = `${head}.${encode({ ...principal.claims, sub: 'x' })}.${signature}`
    t.equal(await verdictOf(verifier, changed), 'token_invalid')
    const cut = `${head}.${payload}.${signature.slice(0, -4)}AAAA`
    t.equal(await verdictOf(verifier, cut), 'token_invalid')
  })
}

t.test('a token is judged by its claims, its moment and its service', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const now = Math.floor(w.now().getTime() / 1000)
  const verifier = verifierOf(t, w)
  const cases: Array<[string, object, string, string]> = [
    ['good', {}, 'good', ''],
    ['for two', { aud: ['other', 'api'] }, 'good', ''],
    ['expired', { exp: now - 5 }, 'token_expired', 'expired'],
    ['within the leeway', { exp: now - 4 }, 'good', ''],
    ['not yet valid', { nbf: now + 60 }, 'token_invalid', 'not_yet_valid'],
    ['of the future', { iat: now + 60 }, 'token_invalid', 'not_yet_valid'],
    ['for another', { aud: 'other' }, 'token_invalid', 'audience_wrong'],
    ['of another issuer', { iss: `${issuer}/` }, 'token_invalid', 'issuer_wrong'],
    ['without an end', { exp: undefined }, 'token_invalid', 'claim_missing_or_malformed'],
    ['with an end in words', { exp: String(now + 60) }, 'token_invalid', 'claim_missing_or_malformed']
  ]
  for (const [title, change, code, because] of cases) {
    const result = await verifier.tryVerify(shop.ours(change))
    t.equal(result.ok ? 'good' : result.error.code, code, title)
    if (!result.ok) t.equal(result.error.internal.because, because, title)
  }
  t.equal((await errorOf(verifier.verify(undefined as never))).code, 'token_invalid')
  t.equal((await errorOf(verifier.verify(''))).code, 'token_invalid')
})

t.test('what a requirement lacks is said as the service says it', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const verifier = verifierOf(t, w)
  const limited = shop.ours({ scope: 'articles.read' })
  const scope = await errorOf(verifier.verify(limited, allow.scope('articles.write')))
  t.match(scope, { status: 403, code: 'insufficient_scope' })
  t.equal(scope.wwwAuthenticate, 'Bearer realm="api", error="insufficient_scope", scope="articles.write"')
  const role = await errorOf(verifier.verify(shop.token, allow.role('admin')))
  t.match(role, { status: 403, code: 'permission_denied' })
  w.wait(60_000)
  const old = await errorOf(verifier.verify(shop.token, allow.maxAuthAge(30)))
  t.match(old, { status: 401, code: 'reauthentication_required' })
  t.equal(old.wwwAuthenticate, 'Bearer realm="api", error="insufficient_user_authentication", max_age="30"')
  const none = await errorOf(verifier.verifyHeaders({}))
  t.match(none, { status: 401, code: 'authentication_required' })
  t.equal(none.wwwAuthenticate, 'Bearer realm="api"', 'no error where there is no credential (RFC 6750 §3.1)')
  const wrong = await errorOf(verifier.verifyHeaders({ authorization: `Bearer ${shop.ours({ aud: 'x' })}` }))
  t.match(wrong.toProblem(), {
    type: `${issuer}/problems/token_invalid`,
    status: 401,
    code: 'token_invalid',
    detail: 'The token is not for this service.'
  })
  t.match(wrong.headers, { 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  const reply = wrong.toResponse()
  t.equal(reply.status, 401)
  t.same(await reply.json(), wrong.toProblem())
  t.same(JSON.parse(JSON.stringify(wrong)), wrong.toProblem(), 'whoever prints it prints nothing else')
})

t.test('a requirement is judged with what the caller knows, and what nobody said is no reading', async (t) => {
  const w = await world(t)
  const { token } = await workshop(w)
  const verifier = verifierOf(t, w)
  const principal = await verifier.verify(token)
  const own = allow.owner(({ resource }) => (resource as { owner: string }).owner)
  t.ok(await verifier.check(principal, own, { resource: { owner: principal.accountId } }))
  t.notOk(await verifier.check(principal, own, { resource: { owner: 'x' } }))
  const need = allow.readOnlyOr(allow.role('editor'))
  t.ok(await verifier.check(principal, need, { method: 'GET' }))
  t.notOk(await verifier.check(principal, need, { method: 'POST' }))
  t.notOk(await verifier.check(principal, need))
  await verifier.admit(null, need, { method: 'GET' })
  t.match(await errorOf(verifier.admit(null, need)), { code: 'authentication_required' })
  const slow = allow.check('slow', async () => true)
  t.equal(await verifier.verify(token, slow), principal)
  const broken = allow.check('broken', () => {
    throw new Error('no database')
  })
  t.match(await errorOf(verifier.verify(token, broken)), {
    status: 503,
    code: 'service_unavailable',
    internal: { cause: { message: 'no database' } }
  })
})

t.test('what claims must say besides is for the service that uses them', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const verifier = verifierOf(t, w, {
    claims: (claims) => {
      if (typeof claims.tenant !== 'string') throw new Error('no tenant')
      return { tenant: claims.tenant.toUpperCase() }
    }
  })
  const principal = await verifier.verify(shop.ours({ tenant: 'blue' }))
  t.match(principal.claims, { tenant: 'BLUE', sub: principal.accountId })
  t.match(await errorOf(verifier.verify(shop.token)), {
    code: 'token_invalid',
    internal: { because: 'claims_refused', cause: { message: 'no tenant' } }
  })
})

t.test('one credential, in one header', async (t) => {
  const w = await world(t)
  const { token } = await workshop(w)
  const verifier = verifierOf(t, w)
  const authorization = `Bearer ${token}`
  const good: Array<[string, Parameters<typeof verifier.verifyHeaders>[0]]> = [
    ['an object', { authorization }],
    ['in capitals', { Authorization: authorization }],
    ['a scheme in lower case', { authorization: `bearer ${token}` }],
    ['Headers', new Headers({ authorization })],
    ['raw headers', ['Host', 'x', 'Authorization', authorization]]
  ]
  for (const [title, headers] of good) t.ok(await verifier.verifyHeaders(headers), title)
  const bad: Array<[string, Parameters<typeof verifier.verifyHeaders>[0], number]> = [
    ['two', ['authorization', authorization, 'authorization', authorization], 400],
    ['two in a list', { authorization: [authorization, authorization] }, 400],
    [
      'two joined',
      new Headers([
        ['authorization', authorization],
        ['authorization', authorization]
      ]),
      401
    ],
    ['another scheme', { authorization: `Token ${token}` }, 401],
    ['no scheme', { authorization: token }, 401],
    ['nothing behind the scheme', { authorization: 'Bearer' }, 401],
    ['something behind the token', { authorization: `${authorization} x` }, 401],
    ['a tab', { authorization: `Bearer\t${token}` }, 401],
    ['a quote', { authorization: `Bearer "${token}"` }, 401]
  ]
  for (const [title, headers, status] of bad) {
    t.equal((await errorOf(verifier.verifyHeaders(headers))).status, status, title)
  }
  t.equal(await verifier.identify({}), null)
})

t.test('CVE-2026-18500 and Storm-0558: two verifiers in one process, each with its own issuer and keys', async (t) => {
  const [one, two] = [await world(t), await world(t)]
  const [first, second] = [await workshop(one), await workshop(two)]
  const ofOne = verifierOf(t, one)
  const ofTwo = verifierOf(t, two, { audience: ['api', 'web'] })
  t.equal(await verdictOf(ofOne, first.token), 'good')
  t.equal(await verdictOf(ofTwo, second.token), 'good')
  t.equal(await verdictOf(ofOne, second.token), 'token_invalid')
  t.equal(await verdictOf(ofTwo, first.token), 'token_invalid')
  const foreign = forge(second.header.alg, second.privateKey, { ...second.header, kid: first.header.kid }, first.claims)
  t.equal(await verdictOf(ofOne, foreign), 'token_invalid', 'the key of one under the id of the other')
})
