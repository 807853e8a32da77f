import t from 'tap'
import { judgeClaims } from '../../src/domain/access-token.js'
import { principal } from '../../src/domain/principal.js'
import { passGate } from '../../src/domain/token-gate.js'
import { composeUpstreamClaims, upstreamTokenType } from '../../src/domain/upstream-token.js'
import { encode } from '../support/forge.js'

const now = new Date('2030-01-01T12:00:00.900Z')
const at = Math.floor(now.getTime() / 1000)
const issuance = { issuer: 'https://auth.test', audience: 'orders', lifetime: 60_000 }
const ada = principal({
  accountId: 'ada',
  authenticator: 'session',
  sessionId: 's1',
  clientId: 'web',
  roles: new Set(['editor']),
  permissions: new Set(['a.b']),
  authenticatedAt: new Date('2030-01-01T11:00:00Z'),
  amr: ['pwd'],
  acr: 'aal1',
  expiresAt: new Date('2030-01-02T12:00:00Z')
})

t.test('the claims of an upstream’s token', async (t) => {
  t.same(composeUpstreamClaims(ada, issuance, 'id', now), {
    iss: 'https://auth.test',
    sub: 'ada',
    aud: 'orders',
    iat: at,
    exp: at + 60,
    jti: 'id',
    client_id: 'web',
    sid: 's1',
    scope: '',
    roles: ['editor'],
    permissions: ['a.b'],
    auth_time: at - 3600,
    amr: ['pwd'],
    acr: 'aal1'
  })
  const bare = principal({ accountId: 'ada', authenticator: 'token', scopes: new Set(['r', 'q']) })
  t.same(composeUpstreamClaims(bare, issuance, 'id', now), {
    iss: 'https://auth.test',
    sub: 'ada',
    aud: 'orders',
    iat: at,
    exp: at + 60,
    jti: 'id',
    scope: 'r q',
    roles: [],
    permissions: []
  })
})

t.test('it never outlives the credential that it was made of', async (t) => {
  const ending = { ...ada, expiresAt: new Date(now.getTime() + 5_000) }
  t.equal(composeUpstreamClaims(ending, issuance, 'id', now).exp, at + 5)
})

t.test('it is no access token, by its type and by its claims', async (t) => {
  const claims = composeUpstreamClaims(ada, issuance, 'id', now)
  const header = { alg: 'ES256', kid: 'k', typ: upstreamTokenType }
  t.match(passGate(`${encode(header)}.${encode(claims)}.${encode('x')}`), { ok: false, because: 'type_wrong' })
  const verdict = judgeClaims(claims, { issuer: issuance.issuer, audience: ['orders'], leeway: 5 }, now)
  t.match(verdict, { ok: false, because: 'claim_missing_or_malformed' })
})
