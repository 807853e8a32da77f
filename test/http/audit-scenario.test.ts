import { sql } from 'kysely'
import t from 'tap'
import { auditEvents } from '../../src/domain/audit-event.js'
import { basicOf, postForm } from '../support/clients.js'
import { fromOwnPage, goodPassword, type Tokens, world } from '../support/world.js'

t.test('a whole life writes every event of the catalogue, no other, and no secret in any of them', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    flows: { ...options.flows, guessing: { free: 2, max: 4 } }
  }))
  const { app } = w
  const secrets: string[] = [goodPassword]
  const keep = <T extends string>(...values: T[]) => void secrets.push(...values)
  const keepTokens = (tokens: Tokens) => {
    keep(tokens.access_token, tokens.refresh_token)
    return tokens
  }
  const [wrong, typed, next] = ['wrong horse battery zero', 'my secret as a name', 'battery horse correct']
  keep(wrong, typed, next)
  const signIn = async (username: string, password = goodPassword) =>
    keepTokens((await w.post('/v1/login', { username, password })).json())

  // An account, its sign-ins, and what it changes.
  const admin = keepTokens(await w.admin())
  await w.post('/v1/register', { username: 'ada', email: 'ada@example.com', password: goodPassword })
  const ada = await signIn('ada')
  const inAda = (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) =>
    w.as(ada.access_token, method, path, body)
  await w.post('/v1/login', { username: typed, password: wrong })
  await inAda('POST', '/v1/me/password', { current_password: wrong, new_password: next })
  await inAda('PATCH', '/v1/me', { email: 'ada@example.org', current_password: goodPassword })
  keep((await inAda('POST', '/v1/tokens', { name: 'script' })).json().key)
  const { tokens } = (
    await app.inject({ url: '/v1/tokens', headers: { authorization: `Bearer ${ada.access_token}` } })
  ).json()
  await inAda('DELETE', `/v1/tokens/${tokens[0].id}`)
  keep((await postForm(app, '/api-token-auth/', { username: 'ada', password: goodPassword })).json().token)

  // Tokens that come again, late and stolen.
  const page = await w.post(
    '/v1/login',
    { username: 'ada', password: goodPassword, refresh_transport: 'cookie' },
    fromOwnPage
  )
  const cookie = page.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  keep(...page.cookies.map(({ value }) => value))
  await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie })
  w.wait(3_600_000)
  t.equal((await w.post('/v1/refresh', {}, { ...fromOwnPage, cookie })).statusCode, 200)
  const victim = await signIn('ada')
  const second = keepTokens((await w.refresh(victim.refresh_token)).json())
  keepTokens((await w.refresh(second.refresh_token)).json())
  w.wait(60_000)
  await w.refresh(victim.refresh_token)
  const left = await signIn('ada')
  await postForm(app, '/oauth/revoke', { token: left.access_token, client_id: 'web' })
  await w.post('/v1/logout', { refresh_token: left.refresh_token })
  const limited = await w.replica((options) => ({ ...options, flows: { ...options.flows, sessionsPerAccount: 1 } }))
  await limited.inject({ method: 'POST', url: '/v1/login', payload: { username: 'ada', password: goodPassword } })
  const stronger = await w.replica((options) => ({ ...options, passwords: { ...options.passwords, iterations: 2 } }))
  await stronger.inject({ method: 'POST', url: '/v1/login', payload: { username: 'ada', password: goodPassword } })

  // Guesses, until none is looked at.
  for (const delay of [0, 0, 31_000, 61_000, 0]) {
    w.wait(delay)
    await w.post('/v1/login', { username: 'ada', password: wrong })
  }

  // What administrators do.
  const inAdmin = (method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) =>
    w.as(boss.access_token, method, `/v1/admin${path}`, body)
  const boss = await signIn(admin.user.username)
  await inAdmin('POST', `/users/${ada.user.id}/unlock`)
  await inAdmin('PUT', '/roles/editor', { permissions: ['articles.change'] })
  await inAdmin('PUT', `/users/${ada.user.id}/roles`, { roles: ['editor'] })
  await inAdmin('PUT', `/users/${ada.user.id}/permissions`, { permissions: ['articles.read'] })
  await inAdmin('DELETE', '/roles/editor')
  await inAdmin('DELETE', `/users/${ada.user.id}/sessions`)
  await inAdmin('POST', `/users/${ada.user.id}/disable`)
  await inAdmin('POST', `/users/${ada.user.id}/enable`)
  const { invitation } = (await inAdmin('POST', '/invitations', {})).json()
  keep(invitation)
  await w.post('/v1/register', { username: 'invited', password: goodPassword, invitation })
  const made = (await inAdmin('POST', '/clients', { name: 'billing' })).json()
  const { id } = made.client
  keep(made.client_secret)
  await postForm(app, '/oauth/token', { grant_type: 'client_credentials' }, { authorization: basicOf(id, 'kcs_wrong') })
  const granted = await postForm(
    app,
    '/oauth/token',
    { grant_type: 'client_credentials' },
    { authorization: basicOf(id, made.client_secret) }
  )
  keep(granted.json().access_token)
  keep((await inAdmin('POST', `/clients/${id}/secret`)).json().client_secret)
  await inAdmin('PATCH', `/clients/${id}`, { name: 'accounts' })
  await inAdmin('DELETE', `/clients/${id}`)
  await w.get('/v1/admin/audit-events?event=login.failed', boss.access_token)

  // What whoever runs the service does, and the end.
  const receiver = { url: 'https://receiver.test/', audience: 'x', note: '', authorization: 'Bearer receiver-secret' }
  keep('receiver-secret')
  const added = await app.flows.addReceiver(receiver)
  await app.flows.setReceiverEnabled(added.id, false)
  await app.flows.setReceiverEnabled(added.id, true)
  await app.flows.removeReceiver(added.id)
  await app.flows.bootstrapAdministrator({ username: 'root', password: goodPassword })
  const source = { unit: 'line', notes: [], roles: [], async *entries() {} } as never
  await app.flows.importUsers(source, { isDryRun: false, batchSize: 10 })
  const minted = await app.flows.mintToken(ada.user.id, 60_000)
  keep(minted.accessToken, minted.refreshToken)
  const waiting = await app.keys.rotate()
  await app.keys.revoke(waiting.kid, 'a drill')
  await app.keys.rotateInEmergency('a drill')
  const last = await signIn('ada')
  await w.as(last.access_token, 'POST', '/v1/me/password', { current_password: goodPassword, new_password: next })
  await w.as(last.access_token, 'DELETE', '/v1/me', { current_password: next })

  for (const one of [app, limited, stronger]) await one.audit.flush()
  const { rows } = await sql<{ event: string; whole: string }>`
    select event, to_jsonb(e)::text as whole from audit_event as e order by id`.execute(app.db)
  const told = new Set(rows.map(({ event }) => event))
  t.same(
    Object.keys(auditEvents).filter((name) => !told.has(name)),
    [],
    'events that nothing has written'
  )
  t.same(
    [...told].filter((name) => !Object.hasOwn(auditEvents, name)),
    []
  )
  const text = rows.map(({ whole }) => whole).join('\n')
  const { hashes, digests } = (
    await sql<{ hashes: string[]; digests: string[] }>`
      select (select array_agg(password_hash) from account) as hashes,
        (select array_agg(encode(digest, 'hex')) from api_token) as digests`.execute(app.db)
  ).rows[0]!
  const parts = secrets.flatMap((secret) => [secret, ...secret.split('.').filter((part) => part.length > 40)])
  t.ok(parts.length > 20)
  for (const secret of [...parts, ...hashes.filter(Boolean), ...(digests ?? [])]) {
    t.notOk(text.includes(secret), `no ${secret.slice(0, 12)}…`)
  }
  t.notMatch(text, /ktr_|ktp_|eyJ|\$argon2|PRIVATE|ada@example/, 'nothing that looks like one')
})
