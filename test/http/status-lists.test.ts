import { createPublicKey } from 'node:crypto'
import { jwtVerify } from 'jose'
import { sql } from 'kysely'
import t from 'tap'
import {
  judgeStatusList,
  listSize,
  type StatusReference,
  statusAt,
  statusListType
} from '../../src/domain/status-list.js'
import { type Change, goodPassword, issuer, type World, world } from '../support/world.js'

const on: Change = (options) => ({ ...options, flows: { ...options.flows, statusList: true } })

const referenceIn = (accessToken: string): StatusReference | undefined =>
  JSON.parse(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString()).status

/** What a service is told of a token that it has verified: 0 valid, 1 invalid. */
async function statusOf(w: World, accessToken: string, app = w.app): Promise<number | undefined> {
  const { idx, uri } = referenceIn(accessToken)!.status_list
  const response = await app.inject(uri.slice(issuer.length))
  if (response.statusCode !== 200) throw new Error(response.body)
  const kid = JSON.parse(Buffer.from(response.body.split('.')[0]!, 'base64url').toString()).kid
  const jwk = w.app.keys.published().find((key) => key.kid === kid)!.publicJwk
  const { payload } = await jwtVerify(response.body, createPublicKey({ key: jwk as never, format: 'jwk' }), {
    typ: statusListType,
    issuer,
    currentDate: w.now()
  })
  const verdict = await judgeStatusList(payload, uri, 5, w.now())
  if (!verdict.ok) throw new Error(verdict.because)
  return statusAt(verdict.list, idx)
}

t.test('off, nothing of it is there', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  t.equal(referenceIn(access_token), undefined)
  for (const url of ['/v1/status-lists', '/v1/status-lists/0']) {
    t.match((await w.get(url)).json(), { status: 404, code: 'not_found' })
  }
  t.notOk('status_list_aggregation_endpoint' in (await w.get('/.well-known/openid-configuration')).json())
})

t.test('each session has a place, and keeps it', async (t) => {
  const w = await world(t, on)
  const name = await w.account()
  const [one, other] = [await w.login(name), await w.login(name)]
  const place = referenceIn(one.access_token)!
  t.match(place, { status_list: { idx: Number, uri: `${issuer}/v1/status-lists/0` } })
  t.not(referenceIn(other.access_token)!.status_list.idx, place.status_list.idx)
  const refreshed = (await w.refresh(one.refresh_token)).json()
  t.same(referenceIn(refreshed.access_token), place)
  t.equal((await w.get('/v1/me', refreshed.access_token)).statusCode, 200, 'the claim troubles nobody')
})

t.test('a session that ended, however it did, is invalid for whoever looks, and no other is', async (t) => {
  const w = await world(t, on)
  const alive = await w.login(await w.account())
  const end: Array<[string, (name: string, tokens: typeof alive) => Promise<unknown>]> = [
    ['a logout', (_, { refresh_token }) => w.post('/v1/logout', { refresh_token })],
    ['a logout everywhere', (_, { refresh_token }) => w.post('/v1/logout/all', { refresh_token })],
    ['an administrator', (_, { user }) => w.app.flows.endUserSessions(user.id)],
    ['a ban', (_, { user }) => w.app.flows.disableUser(user.id)],
    [
      'a new password elsewhere',
      async (name) => {
        const { access_token } = await w.login(name)
        const body = { current_password: goodPassword, new_password: 'another battery horse' }
        return await w.as(access_token, 'POST', '/v1/me/password', body)
      }
    ],
    [
      'a stolen refresh token',
      async (_, { refresh_token }) => {
        w.wait(1_000)
        const next = (await w.refresh(refresh_token)).json()
        await w.refresh(next.refresh_token)
        w.wait(31_000)
        return await w.refresh(refresh_token)
      }
    ],
    [
      'the account’s deletion',
      (_, { access_token }) => w.as(access_token, 'DELETE', '/v1/me', { current_password: goodPassword })
    ]
  ]
  for (const [title, run] of end) {
    const name = await w.account()
    const tokens = await w.login(name)
    t.equal(await statusOf(w, tokens.access_token), 0, `before ${title}`)
    await run(name, tokens)
    await w.app.revocations.read()
    t.equal(await statusOf(w, tokens.access_token), 1, title)
  }
  t.equal(await statusOf(w, alive.access_token), 0)
})

t.test('a changed role ends no session, so a list says nothing of it', async (t) => {
  const w = await world(t, on)
  const { access_token, user } = await w.login(await w.account())
  await w.app.flows.setUserPermissions(user.id, ['x'])
  await w.app.revocations.read()
  t.equal((await w.get('/v1/me', access_token)).statusCode, 401)
  t.equal(await statusOf(w, access_token), 0)
})

t.test('what was set is forgotten once no access token can name it', async (t) => {
  const w = await world(t, on)
  const { access_token, refresh_token } = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token })
  await w.app.revocations.read()
  t.equal(await statusOf(w, access_token), 1)
  w.wait(2 * 3_600_000)
  const late = await w.replica(on)
  t.equal(await statusOf(w, access_token, late), 0)
})

t.test('a list is the same text until something ends, and a validator stands for it', async (t) => {
  const w = await world(t, on)
  const { refresh_token } = await w.login(await w.account())
  const ask = (headers = {}) => w.app.inject({ url: '/v1/status-lists/0', headers })
  const first = await ask()
  t.match(first.headers, {
    'content-type': 'application/statuslist+jwt',
    'cache-control': 'public, max-age=30',
    'access-control-allow-origin': '*'
  })
  const etag = String(first.headers.etag)
  t.equal((await ask()).body, first.body)
  t.equal((await ask({ 'if-none-match': etag })).statusCode, 304)
  await w.post('/v1/logout', { refresh_token })
  await w.app.revocations.read()
  const changed = await ask({ 'if-none-match': etag })
  t.equal(changed.statusCode, 200)
  t.not(changed.body, first.body)
  w.wait(15_000)
  t.not((await ask()).body, changed.body, 'signed anew before it is too old')
})

t.test('lists of the past, and lists that there are not', async (t) => {
  const w = await world(t, on)
  t.match((await w.get('/v1/status-lists/0')).json(), { code: 'not_found' }, 'nobody has signed in')
  t.same((await w.get('/v1/status-lists')).json(), { status_lists: [] })
  await w.login(await w.account())
  t.match((await w.get('/v1/status-lists/0?time=1686920170')).json(), { status: 501, code: 'not_supported' })
  t.match((await w.get('/v1/status-lists/0?when=now')).json(), { status: 400, code: 'validation_failed' })
  for (const id of ['1', '-1', '00', '0.0', '1e0', 'x', '99999999999', '%30%00', '0%27']) {
    t.match((await w.get(`/v1/status-lists/${id}`)).json(), { status: 404, code: 'not_found' }, id)
    t.equal((await w.get(`/v1/status-lists/${id}?time=1686920170`)).statusCode, 404, `${id} of the past`)
  }
  t.match((await w.get(`/v1/status-lists/${'9'.repeat(41)}`)).json(), { code: 'validation_failed' })
})

t.test('a full list is followed by another, and all are found by discovery', async (t) => {
  const w = await world(t, on)
  const first = await w.login(await w.account())
  await sql.raw(`select setval('session_status_index', ${listSize})`).execute(w.app.db)
  const second = await w.login(await w.account())
  t.match(referenceIn(second.access_token), { status_list: { uri: `${issuer}/v1/status-lists/1` } })
  await w.post('/v1/logout', { refresh_token: second.refresh_token })
  await w.app.revocations.read()
  t.equal(await statusOf(w, second.access_token), 1)
  t.equal(await statusOf(w, first.access_token), 0)
  const { status_list_aggregation_endpoint: endpoint } = (await w.get('/.well-known/oauth-authorization-server')).json()
  t.equal(endpoint, `${issuer}/v1/status-lists`)
  const aggregation = await w.get(endpoint.slice(issuer.length))
  t.equal(aggregation.headers['access-control-allow-origin'], '*')
  t.same(aggregation.json(), { status_lists: [`${issuer}/v1/status-lists/0`, `${issuer}/v1/status-lists/1`] })
})

t.test('no place is given twice, also to those who sign in at once', async (t) => {
  const w = await world(t, on)
  const name = await w.account()
  const all = await Promise.all(Array.from({ length: 20 }, () => w.login(name)))
  t.equal(new Set(all.map(({ access_token }) => referenceIn(access_token)!.status_list.idx)).size, 20)
  const again = sql`update session set status_index = (select min(status_index) from session)`
  await t.rejects(again.execute(w.app.db), { code: '23505' })
})

t.test('lists go on from memory while the database is away, and new ones do not', async (t) => {
  const w = await world(t, on)
  const { access_token } = await w.login(await w.account())
  t.equal(await statusOf(w, access_token), 0)
  await w.app.db.destroy()
  t.equal(await statusOf(w, access_token), 0)
})
