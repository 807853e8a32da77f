import { readFile } from 'node:fs/promises'
import { sql } from 'kysely'
import t from 'tap'
import { describeSchema } from '../../db/describe-schema.js'
import { migrateUp, migrationNames, migrationStatus } from '../../db/migrate.js'
import { openDatabase } from '../../src/plugins/database.js'
import type { Tables } from '../../src/storage/tables.js'
import { emptyDatabase, freshDatabase } from '../support/postgres.js'

const open = (url: string) => openDatabase({ url, poolSize: 2, timeout: 5_000 }, () => {})

/** Held at both ends: the compiler checks it against Tables, the test against Postgres. */
const columns = {
  account: {
    id: 'uuid',
    username: 'text',
    username_key: 'text',
    email: 'text?',
    email_key: 'text?',
    email_verified_at: 'timestamptz?',
    password_hash: 'text?',
    password_changed_at: 'timestamptz?',
    roles: '_text',
    permissions: '_text',
    external_id: 'text?',
    disabled_at: 'timestamptz?',
    created_at: 'timestamptz',
    last_login_at: 'timestamptz?'
  },
  session: {
    id: 'uuid',
    account_id: 'uuid',
    generation: 'int8',
    transport: 'text',
    client_id: 'text',
    scope: 'text',
    amr: '_text',
    acr: 'text',
    user_agent: 'text?',
    address: 'inet?',
    created_at: 'timestamptz',
    rotated_at: 'timestamptz',
    idle_expires_at: 'timestamptz',
    expires_at: 'timestamptz',
    ended_at: 'timestamptz?',
    ended_because: 'text?',
    dpop_jkt: 'text?',
    status_index: 'int8?'
  },
  signing_key: {
    kid: 'text',
    algorithm: 'text',
    public_jwk: 'jsonb',
    sealed_private_key: 'bytea?',
    created_at: 'timestamptz',
    signs_from: 'timestamptz',
    gone_at: 'timestamptz?',
    revoked_because: 'text?',
    provider: 'text',
    provider_reference: 'text?'
  },
  invitation: {
    digest: 'bytea',
    roles: '_text',
    is_setup: 'bool',
    created_by: 'uuid?',
    created_at: 'timestamptz',
    expires_at: 'timestamptz',
    used_at: 'timestamptz?',
    used_by: 'uuid?'
  },
  role: {
    name: 'text',
    description: 'text',
    permissions: '_text',
    created_at: 'timestamptz'
  },
  api_token: {
    id: 'uuid',
    digest: 'bytea',
    account_id: 'uuid',
    kind: 'text',
    name: 'text',
    hint: 'text',
    scopes: '_text',
    created_at: 'timestamptz',
    expires_at: 'timestamptz?',
    last_used_at: 'timestamptz?'
  },
  revocation: {
    id: 'int8',
    kind: 'text',
    subject: 'text',
    because: 'text',
    created_at: 'timestamptz',
    expires_at: 'timestamptz'
  },
  rate_window: { digest: 'bytea', hits: 'int8', ends_at: 'timestamptz' },
  password_guess: {
    who: 'text',
    failures: 'int4',
    retry_at: 'timestamptz',
    failed_at: 'timestamptz'
  },
  used_identifier: {
    digest: 'bytea',
    expires_at: 'timestamptz'
  },
  status_entry: {
    status_index: 'int8',
    expires_at: 'timestamptz'
  },
  event_receiver: {
    id: 'uuid',
    url: 'text',
    audience: 'text',
    sealed_authorization: 'bytea?',
    note: 'text',
    created_at: 'timestamptz',
    disabled_at: 'timestamptz?'
  },
  event_outbox: {
    id: 'uuid',
    receiver_id: 'uuid',
    revocation_id: 'int8',
    account: 'text',
    session: 'text?',
    because: 'text',
    happened_at: 'timestamptz',
    due_at: 'timestamptz',
    attempts: 'int4',
    failed_at: 'timestamptz?',
    error: 'text?'
  },
  service_secret: {
    name: 'text',
    sealed_value: 'bytea'
  },
  client: {
    id: 'text',
    account_id: 'uuid',
    name: 'text',
    secret_digest: 'bytea?',
    jwks: 'jsonb?',
    scopes: '_text',
    audience: '_text',
    created_at: 'timestamptz',
    disabled_at: 'timestamptz?',
    last_used_at: 'timestamptz?'
  },
  audit_event: {
    id: 'uuid',
    event: 'text',
    outcome: 'text',
    happened_at: 'timestamptz',
    account_id: 'uuid?',
    actor_id: 'uuid?',
    session_id: 'uuid?',
    client_id: 'text?',
    source: 'text',
    address: 'inet?',
    user_agent: 'text?',
    amr: '_text',
    reason: 'text?',
    details: 'jsonb',
    chained: 'bool',
    position: 'int8?',
    link: 'bytea?'
  },
  audit_chain: {
    one: 'bool',
    first_position: 'int8',
    first_link: 'bytea',
    last_position: 'int8',
    last_link: 'bytea',
    mac: 'bytea'
  }
} satisfies { [Table in keyof Tables]: Record<keyof Tables[Table], string> }

t.test('tables.ts says what Postgres has', async (t) => {
  const db = open((await freshDatabase(t)).url)
  t.teardown(() => db.destroy())
  const tables = (await db.introspection.getTables()).filter(({ name }) => !name.startsWith('migration'))
  const actual = Object.fromEntries(
    tables.map((table) => [
      table.name,
      Object.fromEntries(table.columns.map((column) => [column.name, column.dataType + (column.isNullable ? '?' : '')]))
    ])
  )
  t.same(actual, columns)
})

t.test('schema.sql is what the migrations make', async (t) => {
  const { url } = await freshDatabase(t)
  const committed = await readFile(new URL('../../db/schema.sql', import.meta.url), 'utf8')
  t.equal(await describeSchema(url), committed, 'run `npm run schema` and commit the result')
})

t.test('twenty who migrate at once do it once', async (t) => {
  const { url } = await emptyDatabase(t)
  const applied = await Promise.all(Array.from({ length: 20 }, () => migrateUp(url)))
  t.same(
    applied.filter((names) => names.length > 0),
    [await migrationNames()]
  )
  t.same(await migrateUp(url), [], 'a second time there is nothing to do')
  t.ok((await migrationStatus(url)).every(({ appliedAt }) => appliedAt !== null))
})

t.test('the invariants are constraints', async (t) => {
  const db = open((await freshDatabase(t)).url)
  t.teardown(() => db.destroy())
  const account = `insert into account (id, username, username_key, created_at) values`
  const id = '00000000-0000-4000-8000-000000000001'
  await sql.raw(`${account} ('${id}', 'a', 'a', now())`).execute(db)
  const session = (extra: string) =>
    `insert into session (id, account_id, transport, client_id, amr, acr, created_at, rotated_at, idle_expires_at, expires_at)
     select gen_random_uuid(), '${id}', 'body', 'web', '{}', '', now(), now(), now() + '1 h', now() + '2 h' ${extra}`
  const signingKey = (sealed: string, keeper: string, end = 'null, null') =>
    `insert into signing_key
       (kid, algorithm, public_jwk, created_at, signs_from, sealed_private_key, provider, provider_reference, gone_at, revoked_because)
     values (repeat('k', 43), 'ES256', '{}', now(), now() + interval '1 h', ${sealed}, ${keeper}, ${end})`
  const client = (secret: string, jwks: string, clientId = `ktc_${'0'.repeat(22)}`) =>
    `insert into client (id, account_id, name, secret_digest, jwks, created_at)
     values ('${clientId}', '${id}', 'x', ${secret}, ${jwks}, now())`
  const digest = "decode(repeat('00', 32), 'hex')"
  const refused: Array<[string, string]> = [
    ['a client without a credential', client('null', 'null')],
    ['a client with both credentials', client(digest, `'{"keys": [{}]}'`)],
    ['a secret that is no digest', client("'plain'", 'null')],
    ['a client without keys', client('null', `'{"keys": []}'`)],
    ['a private key of a client', client('null', `'{"keys": [{"kty": "EC", "d": "x"}]}'`)],
    ['a client whose id could be an account’s', client(digest, 'null', id)],
    ['a name twice', `${account} (gen_random_uuid(), 'A', 'a', now())`],
    [
      'an address without its key',
      `insert into account (id, username, username_key, email, created_at) values (gen_random_uuid(), 'b', 'b', 'b@c', now())`
    ],
    [
      'a password that is not a hash',
      `insert into account (id, username, username_key, password_hash, password_changed_at, created_at) values (gen_random_uuid(), 'b', 'b', 'plain', now(), now())`
    ],
    ['a session without its account', session('').replace(id, '00000000-0000-4000-8000-000000000002')],
    ['a session that outlives its end', session('').replace("now() + '1 h'", "now() + '3 h'")],
    ['a key that is no thumbprint', `update session set dpop_jkt = 'key'`],
    ['an end without a reason', `update session set ended_at = now()`],
    ['a reason that nobody knows', `update session set ended_at = now(), ended_because = 'whim'`],
    [
      'a private key among public ones',
      `insert into signing_key values (repeat('k', 43), 'ES256', '{"d": 1}', '', now(), now(), null)`
    ],
    ['a key without a private half', signingKey('null', `'local', null`)],
    ['a key with two private halves', signingKey(`''`, `'kms', 'one'`)],
    ['a key that is kept elsewhere, nobody knows where', signingKey('null', `'kms', null`)],
    ['a key here with a reference', signingKey(`''`, `'local', 'one'`)],
    ['a revoked key without an end', signingKey(`''`, `'local', null`, `null, 'leaked'`)],
    ['a key that ended before it was made', signingKey(`''`, `'local', null`, `now() - interval '1 s', null`)]
  ]
  await sql.raw(session('')).execute(db)
  await sql.raw(signingKey(`''`, `'local', null`, `now(), 'leaked before its turn'`)).execute(db)
  for (const [title, statement] of refused) await t.rejects(sql.raw(statement).execute(db), { code: /^23/ }, title)
})

t.test('rotation updates a session within its page', async (t) => {
  const db = open((await freshDatabase(t)).url)
  t.teardown(() => db.destroy())
  const { rows } = await sql<{ indexed: string[] }>`
    select array_agg(distinct a.attname::text order by a.attname::text) as indexed
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = 'session'::regclass`.execute(db)
  const rotated = ['generation', 'rotated_at', 'idle_expires_at']
  const { indexed } = rows[0]!
  t.ok(indexed.includes('id'))
  t.same(
    indexed.filter((column) => rotated.includes(column)),
    [],
    'no index on what a rotation changes'
  )
})
