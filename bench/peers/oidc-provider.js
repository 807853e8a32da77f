// oidc-provider with what it has for production: an adapter for Postgres (one table, prepared statements), rotation of
// refresh tokens, JWT access tokens signed by ES256, and introspection.
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'
import pg from 'pg'

const { DATABASE_URL, PORT } = process.env
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 10 })
await pool.query(`
  create table model (
    kind text not null,
    id text not null,
    payload jsonb not null,
    grant_id text,
    expires_at timestamptz,
    consumed_at timestamptz,
    primary key (kind, id)
  ) with (fillfactor=75);
  create index model_grant_id_idx on model (grant_id)`)

const statements = {
  upsert: `
    insert into model (kind, id, payload, grant_id, expires_at) values ($1, $2, $3, $4, $5)
    on conflict (kind, id) do update set payload = $3, grant_id = $4, expires_at = $5`,
  find: 'select payload, consumed_at from model where kind = $1 and id = $2 and (expires_at is null or expires_at > now())',
  consume: 'update model set consumed_at = now() where kind = $1 and id = $2',
  destroy: 'delete from model where kind = $1 and id = $2',
  revokeByGrantId: 'delete from model where grant_id = $1'
}
const run = (name, values) => pool.query({ name, text: statements[name], values })

class Adapter {
  constructor(kind) {
    this.kind = kind
  }
  async upsert(id, payload, expiresIn) {
    const expiresAt = expiresIn ? new Date(Date.now() + expiresIn * 1000) : null
    await run('upsert', [this.kind, id, JSON.stringify(payload), payload.grantId ?? null, expiresAt])
  }
  async find(id) {
    const { rows } = await run('find', [this.kind, id])
    if (rows.length === 0) return undefined
    const { payload, consumed_at: consumedAt } = rows[0]
    return consumedAt === null ? payload : { ...payload, consumed: Math.floor(consumedAt.getTime() / 1000) }
  }
  async findByUid() {}
  async findByUserCode() {}
  async consume(id) {
    await run('consume', [this.kind, id])
  }
  async destroy(id) {
    await run('destroy', [this.kind, id])
  }
  async revokeByGrantId(grantId) {
    await run('revokeByGrantId', [grantId])
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const resource = 'http://api.bench'
const scope = 'openid offline_access api'
const clientId = 'bench'
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  adapter: Adapter,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
  clients: [
    {
      client_id: clientId,
      client_secret: 'secret',
      grant_types: ['refresh_token', 'authorization_code'],
      redirect_uris: ['https://app.bench/callback'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256'
    }
  ],
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'api'],
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'api',
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } }
      })
    }
  },
  cookies: { keys: ['a key of a bench'] },
  ttl: { AccessToken: 600, RefreshToken: 14 * 86_400, Grant: 30 * 86_400, IdToken: 600 }
})

/** It has no sign-in of its own: what stands in front of it has, and then does this. */
async function signIn(accountId) {
  const client = await provider.Client.find(clientId)
  const grant = new provider.Grant({ accountId, clientId })
  grant.addOIDCScope('openid offline_access')
  grant.addResourceScope(resource, 'api')
  const grantId = await grant.save()
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    scope,
    resource,
    claims: {},
    authTime: Math.floor(Date.now() / 1000)
  })
  return await token.save()
}

provider.use(async (context, next) => {
  if (context.path !== '/bench/sign-in') return await next()
  const count = Number(context.query.count)
  context.body = { refresh_tokens: await Promise.all(Array.from({ length: count }, (_, n) => signIn(`account-${n}`))) }
})
provider.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
process.once('SIGTERM', () => process.exit())
