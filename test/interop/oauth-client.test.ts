import * as oauth from 'oauth4webapi'
import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import { freePort } from '../support/service.js'
import { goodPassword, world } from '../support/world.js'

/** Another author's client, told nothing but the issuer, judges what the service says on the wire. */

const insecure = { [oauth.allowInsecureRequests]: true } as const

async function service(t: Test, algorithm: SigningAlgorithm = 'ES256') {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const w = await world(t, (options) => ({
    ...options,
    issuer,
    // The client goes by the time of this machine.
    clock: () => new Date(),
    signing: { ...options.signing, algorithm }
  }))
  await w.app.listen({ port, host: '127.0.0.1' })
  const discovered = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure })
  const as = await oauth.processDiscoveryResponse(new URL(issuer), discovered)
  return { w, as, issuer }
}

const requestWith = (issuer: string, token: string) =>
  new Request(`${issuer}/v1/me`, { headers: { authorization: `Bearer ${token}` } })

t.test('it finds everything in the metadata', async (t) => {
  const { as, issuer } = await service(t)
  t.match(as, {
    issuer,
    token_endpoint: `${issuer}/oauth/token`,
    revocation_endpoint: `${issuer}/oauth/revoke`,
    introspection_endpoint: `${issuer}/oauth/introspect`,
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    revocation_endpoint_auth_methods_supported: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'none'
    ],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt']
  })
  t.same(as.grant_types_supported, ['refresh_token', 'client_credentials'])
})

t.test('a service gets its token by each method, and that token is judged by the key set', async (t) => {
  const { w, as, issuer } = await service(t)
  const made = await w.app.flows.createClient({ name: 'x', scopes: ['read', 'write'] })
  const pair = await oauth.generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), alg: 'ES256', kid: 'one', use: 'sig' }
  const { key_ops: _, ext: _ext, ...key } = jwk
  const keyed = await w.app.flows.createClient({ name: 'y', scopes: ['read'], jwks: { keys: [key] } })
  const secret = made.secret!
  const ways: Array<[string, string, oauth.ClientAuth]> = [
    ['client_secret_basic', made.client.client.id, oauth.ClientSecretBasic(secret)],
    ['client_secret_post', made.client.client.id, oauth.ClientSecretPost(secret)],
    ['private_key_jwt', keyed.client.client.id, oauth.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' })],
    ['private_key_jwt without a name', keyed.client.client.id, oauth.PrivateKeyJwt(pair.privateKey)]
  ]
  for (const [title, id, authentication] of ways) {
    const client = { client_id: id }
    const parameters = new URLSearchParams({ scope: 'read' })
    const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, insecure)
    const answer = await oauth.processClientCredentialsResponse(as, client, response)
    t.match(answer, { token_type: 'bearer', scope: 'read' }, title)
    const claims = await oauth.validateJwtAccessToken(as, requestWith(issuer, answer.access_token), 'api', insecure)
    t.match(claims, { client_id: id, scope: 'read', iss: issuer }, title)
  }
  const wrong = await oauth.clientCredentialsGrantRequest(
    as,
    { client_id: made.client.client.id },
    oauth.ClientSecretBasic('another'),
    new URLSearchParams(),
    insecure
  )
  await t.rejects(oauth.processClientCredentialsResponse(as, { client_id: 'x' }, wrong), {
    name: 'WWWAuthenticateChallengeError',
    status: 401,
    cause: [{ scheme: 'basic', parameters: { realm: 'keyturn' } }]
  })
})

t.test('a page refreshes as the public client, and revokes; its tokens are judged by the key set', async (t) => {
  const { w, as, issuer } = await service(t)
  const client = { client_id: 'web' }
  const username = await w.account()
  const login = await w.post('/v1/login', { username, password: goodPassword })
  const refresh = async (token: string) =>
    await oauth.processRefreshTokenResponse(
      as,
      client,
      await oauth.refreshTokenGrantRequest(as, client, oauth.None(), token, insecure)
    )
  const answer = await refresh(login.json().refresh_token)
  t.match(answer, { token_type: 'bearer', refresh_token: /^ktr_/, authorization_expires_in: Number })
  const claims = await oauth.validateJwtAccessToken(as, requestWith(issuer, answer.access_token), 'api', insecure)
  t.match(claims, { sub: login.json().user.id, client_id: 'web' })
  await t.rejects(oauth.validateJwtAccessToken(as, requestWith(issuer, answer.access_token), 'other', insecure))

  const revoked = await oauth.revocationRequest(as, client, oauth.None(), answer.refresh_token!, insecure)
  t.equal(await oauth.processRevocationResponse(revoked), undefined)
  await t.rejects(refresh(answer.refresh_token!), { code: oauth.RESPONSE_BODY_ERROR })
})

t.test('a service asks about tokens, in JSON and signed (RFC 9701)', async (t) => {
  for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
    const { w, as } = await service(t, algorithm)
    const made = await w.app.flows.createClient({ name: 'x', permissions: ['keyturn.introspect'] })
    const { id } = made.client.client
    const authentication = oauth.ClientSecretBasic(made.secret!)
    const tokens = await w.login(await w.account())
    for (const requestJwtResponse of [false, true]) {
      const joseAlgorithm = algorithm === 'Ed25519' ? 'EdDSA' : algorithm
      const client = { client_id: id, introspection_signed_response_alg: joseAlgorithm }
      const ask = async (token: string) => {
        const options = { ...insecure, requestJwtResponse }
        const response = await oauth.introspectionRequest(as, client, authentication, token, options)
        const answer = await oauth.processIntrospectionResponse(as, client, response)
        if (requestJwtResponse) await oauth.validateApplicationLevelSignature(as, response, insecure)
        return answer
      }
      t.match(
        await ask(tokens.access_token),
        { active: true, sub: tokens.user.id },
        `${algorithm}: ${requestJwtResponse}`
      )
      t.same(await ask('x'), { active: false })
    }
  }
})
