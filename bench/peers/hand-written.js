// What a good engineer writes in an afternoon, for comparison: Fastify, @fastify/jwt with ES256, pg, refresh tokens as
// digests in a table of their own, and one statement per rotation that is prepared once. A sign-in is two statements.
import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import { hash, verify } from '@node-rs/argon2'
import Fastify from 'fastify'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
await pool.query(`
  create table if not exists peer_account (
    id uuid primary key, username text not null unique, password text, roles text[] not null
  );
  create table if not exists peer_refresh_token (
    digest bytea primary key,
    session_id uuid not null,
    account_id uuid not null references peer_account,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    consumed_at timestamptz
  );
  create index if not exists peer_refresh_token_session_id_idx on peer_refresh_token (session_id)`)

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const app = Fastify()
await app.register(jwt, {
  secret: {
    private: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    public: publicKey.export({ format: 'pem', type: 'spki' })
  },
  sign: { algorithm: 'ES256', expiresIn: '10m', iss: 'http://peer.bench', aud: 'api' }
})

const lifetime = 14 * 86_400_000
const digest = (token) => createHash('sha256').update(token).digest()
const tokens = {
  type: 'object',
  properties: {
    access_token: { type: 'string' },
    token_type: { type: 'string' },
    expires_in: { type: 'integer' },
    refresh_token: { type: 'string' }
  }
}
const answer = (row, refreshToken) => ({
  access_token: app.jwt.sign({ sub: row.account_id, sid: row.session_id, roles: row.roles, jti: randomUUID() }),
  token_type: 'Bearer',
  expires_in: 600,
  refresh_token: refreshToken
})

/** Sessions as sign-ins would have left them, ten to an account. */
app.post('/seed', async ({ body }) => {
  const prefix = 'a-refresh-token-of-a-good-length-'
  await pool.query(
    `with a as (
       insert into peer_account (id, username, roles)
       select gen_random_uuid(), 'user-' || n, '{}' from generate_series(1, $1::int / 10) as n
       returning id
     ), numbered as (select id, row_number() over () as place from a)
     insert into peer_refresh_token
     select sha256(convert_to($2 || n, 'utf8')), gen_random_uuid(), a.id, now(), $3::timestamptz
     from generate_series(0, $1::int - 1) as n join numbered as a on a.place = n / 10 + 1`,
    [body.sessions, prefix, new Date(Date.now() + lifetime)]
  )
  // A hash that costs next to nothing, so that what is beside it is seen.
  await pool.query('update peer_account set password = $1', [
    await hash('correct horse battery', { algorithm: 2, memoryCost: 8, timeCost: 1, parallelism: 1 })
  ])
  await pool.query('analyze')
  return { prefix }
})

app.post(
  '/login',
  {
    schema: {
      body: {
        type: 'object',
        required: ['username', 'password'],
        properties: { username: { type: 'string', maxLength: 100 }, password: { type: 'string', maxLength: 1000 } }
      },
      response: { 200: tokens }
    }
  },
  async ({ body }, reply) => {
    const { rows } = await pool.query({
      name: 'find',
      text: 'select id as account_id, password, roles from peer_account where username = $1',
      values: [body.username]
    })
    if (rows.length === 0 || !(await verify(rows[0].password, body.password))) {
      return reply.code(401).send({ error: 'invalid_credentials' })
    }
    const token = randomBytes(32).toString('base64url')
    const sessionId = randomUUID()
    await pool.query({
      name: 'begin',
      text: `insert into peer_refresh_token (digest, session_id, account_id, issued_at, expires_at)
        values ($1, $2, $3, now(), $4)`,
      values: [digest(token), sessionId, rows[0].account_id, new Date(Date.now() + lifetime)]
    })
    return answer({ ...rows[0], session_id: sessionId }, token)
  }
)

app.post(
  '/refresh',
  {
    schema: {
      body: {
        type: 'object',
        required: ['refresh_token'],
        properties: { refresh_token: { type: 'string', maxLength: 100 } }
      },
      response: { 200: tokens }
    }
  },
  async ({ body }, reply) => {
    const successor = randomBytes(32).toString('base64url')
    const { rows } = await pool.query({
      name: 'rotate',
      text: `
        with consumed as (
          update peer_refresh_token set consumed_at = now()
          where digest = $1 and consumed_at is null and expires_at > now()
          returning session_id, account_id
        ), issued as (
          insert into peer_refresh_token (digest, session_id, account_id, issued_at, expires_at)
          select $2, session_id, account_id, now(), $3 from consumed
          returning session_id, account_id
        )
        select i.session_id, i.account_id, a.roles from issued i join peer_account a on a.id = i.account_id`,
      values: [digest(body.refresh_token), digest(successor), new Date(Date.now() + lifetime)]
    })
    if (rows.length === 0) return reply.code(401).send({ error: 'invalid_grant' })
    return answer(rows[0], successor)
  }
)

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
console.log('listening')
process.once('SIGTERM', async () => {
  await app.close()
  await pool.end()
})
