import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { clientKey, proofFor } from '../support/dpop.js'
import { type Change, fromOwnPage, goodPassword, type Tokens, type World, world } from '../support/world.js'

type App = World['app']

const oldKey = Buffer.alloc(32, 'the old master key')
const newKey = Buffer.alloc(32, 'the new master key')
const under =
  (masterKey: Buffer, ...previousMasterKeys: Buffer[]): Change =>
  (options) => ({ ...options, masterKey, previousMasterKeys })

const refresh = (app: App, refresh_token: string) =>
  app.inject({ method: 'POST', url: '/v1/refresh', payload: { refresh_token } })
const get = async (app: App, headers: Record<string, string>) =>
  (await app.inject({ url: '/v1/me', headers })).statusCode

const jar = (response: LightMyRequestResponse) =>
  response.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')

async function signedIn(app: App, username: string) {
  const post = (url: string, payload: object, headers = {}) => app.inject({ method: 'POST', url, payload, headers })
  const tokens = (await post('/v1/login', { username, password: goodPassword })).json() as Tokens
  const login = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
  return { tokens, cookie: jar(await post('/v1/login', login, fromOwnPage)) }
}

async function somebody(w: World) {
  const username = await w.account()
  const authtoken = async (app: App) => {
    const response = await app.inject({
      method: 'POST',
      url: '/api-token-auth/',
      payload: { username, password: goodPassword }
    })
    return response.json().token as string
  }
  return { username, authtoken, ...(await signedIn(w.app, username)) }
}

t.test('a rotation of the master key through two replicas signs nobody out', async (t) => {
  const w = await world(t, under(oldKey))
  const { username, authtoken, ...before } = await somebody(w)
  let { tokens, cookie } = before
  const key = await authtoken(w.app)
  let token = tokens.refresh_token
  let access = tokens.access_token

  /** Every client goes from one replica to the other and back. */
  async function everybodyGoesOn(stage: string, ...replicas: App[]): Promise<void> {
    for (const app of [...replicas, ...replicas]) {
      t.equal(await get(app, { authorization: `Bearer ${access}` }), 200, `${stage}: the access token`)
      const answer = await refresh(app, token)
      t.equal(answer.statusCode, 200, `${stage}: the refresh token`)
      const replay = await refresh(replicas.at(-1)!, token)
      t.equal(replay.statusCode, 200, `${stage}: sent again to the other replica`)
      token = answer.json().refresh_token
      access = answer.json().access_token
      t.equal(await get(app, { cookie }), 200, `${stage}: the session cookie`)
      t.equal(await get(app, { authorization: `Token ${key}` }), 200, `${stage}: the authtoken`)
      t.equal(await authtoken(app), key, `${stage}: the same authtoken for who asks again`)
    }
  }

  const authorization = 'Bearer of a receiver'
  const { id } = await w.app.flows.addReceiver({ url: 'https://events.test/', audience: 'x', note: '', authorization })

  const first = [await w.replica(under(oldKey, newKey)), await w.replica(under(oldKey, newKey))] as const
  await everybodyGoesOn('1: the new key is known', w.app, first[0])
  await everybodyGoesOn('1: everywhere', ...first)
  const second = [await w.replica(under(newKey, oldKey)), await w.replica(under(newKey, oldKey))] as const
  await everybodyGoesOn('2: one replica seals and signs with it', first[0], second[0])
  t.ok((await second[0].keys.rotate()).kid, 'a key that is made meanwhile')
  await everybodyGoesOn('2: and the other opens it', first[0], second[0])
  await everybodyGoesOn('2: everywhere', ...second)

  // The first signing key, two secrets of the service, and what a receiver of events is sent.
  t.match(await second[0].sealedValues.survey(), { current: 1, previous: 4, lost: [] })
  t.match(await second[0].sealedValues.reseal(), { resealed: 4, current: 5, previous: 0, lost: [] })
  t.match(await second[1].sealedValues.reseal(), { resealed: 0, current: 5, previous: 0, lost: [] })
  await everybodyGoesOn('3: resealed', ...second)

  // By then every session that began before step 2 is over by itself, and with it the texts of the old key.
  w.wait(30 * 86_400_000)
  ;({ tokens, cookie } = await signedIn(second[0], username))
  token = tokens.refresh_token
  access = tokens.access_token
  const third = await w.replica(under(newKey))
  await everybodyGoesOn('4: the old key is gone', second[0], third)
  const receiver = await w.app.db.selectFrom('event_receiver').select('sealed_authorization').executeTakeFirstOrThrow()
  t.equal(third.vault.open(receiver.sealed_authorization!, id).toString(), authorization)
  t.same(third.sealedValues.statusListSecret, w.app.sealedValues.statusListSecret, 'places in status lists stay')
  t.equal(third.keys.signing().kid, second[0].keys.signing().kid, 'the signing key is another matter')
  await t.rejects(w.replica(under(oldKey)), { message: /another master key\. Set AUTH_MASTER_KEY/ })
})

t.test('an authtoken of before stays the same where the master key changes at the upgrade itself', async (t) => {
  const w = await world(t, under(oldKey))
  const { authtoken } = await somebody(w)
  const key = await authtoken(w.app)
  for (const change of [under(oldKey, newKey), under(newKey, oldKey)]) {
    // As an installation of a version before has it: the secret followed from the master key, and was kept nowhere.
    await w.app.db.deleteFrom('service_secret').execute()
    const upgraded = await w.replica(change)
    t.equal(await authtoken(upgraded), key)
  }
})

t.test('a nonce of one step counts at replicas of the other', async (t) => {
  const asking =
    (change: Change): Change =>
    (options) => ({ ...change(options), dpop: { nonce: 'required' } })
  const w = await world(t, asking(under(oldKey, newKey)))
  const other = await w.replica(asking(under(newKey, oldKey)))
  const username = await w.account()
  const key = clientKey()
  const login = (app: App, nonce?: string) => {
    const dpop = proofFor(w, key, { path: '/v1/login', ...(nonce === undefined ? {} : { nonce }) })
    const payload = { username, password: goodPassword }
    return app.inject({ method: 'POST', url: '/v1/login', payload, headers: { dpop } })
  }
  for (const [one, another] of [
    [w.app, other],
    [other, w.app]
  ] as const) {
    const { headers } = await login(one)
    t.equal((await login(another, String(headers['dpop-nonce']))).statusCode, 200)
  }
})

t.test('who skips the first step turns clients away, and nothing else', async (t) => {
  const w = await world(t, under(oldKey))
  const { tokens } = await somebody(w)
  const ahead = await w.replica(under(newKey, oldKey))
  const next = (await refresh(ahead, tokens.refresh_token)).json()
  const answer = await refresh(w.app, next.refresh_token)
  t.match({ status: answer.statusCode, code: answer.json().code }, { status: 401, code: 'token_invalid' })
  t.equal((await refresh(ahead, next.refresh_token)).statusCode, 200, 'the session lives')
})

t.test('a replica that cannot open a new key publishes it, verifies with it, and does not sign with it', async (t) => {
  const w = await world(t, under(oldKey))
  const { username } = await somebody(w)
  const ahead = await w.replica(under(newKey, oldKey))
  const { kid } = await ahead.keys.rotate()
  const set = (await w.get('/.well-known/jwks.json')).json()
  t.ok(set.keys.some((key: { kid: string }) => key.kid === kid))
  w.wait(605_000)
  const login = await ahead.inject({ method: 'POST', url: '/v1/login', payload: { username, password: goodPassword } })
  t.equal(await get(w.app, { authorization: `Bearer ${login.json().access_token}` }), 200)
  const refused = await w.post('/v1/login', { username, password: goodPassword })
  t.match({ status: refused.statusCode, ...refused.json() }, { status: 503, code: 'service_unavailable' })
  await (await w.replica(under(oldKey, newKey))).sealedValues.reseal()
  await w.app.keys.publishedNow()
  t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 200, 'resealed for it')
})

t.test('what no master key opens is named, and left as it is', async (t) => {
  const w = await world(t, under(oldKey))
  const lost = await w.replica(under(newKey, oldKey))
  const { kid } = await lost.keys.rotate()
  const survey = await w.app.sealedValues.reseal()
  t.match(survey, { resealed: 0, current: 3, previous: 0, lost: [`signing_key/${kid}`] })
  t.equal((await lost.sealedValues.survey()).current, 1)
})

t.test('a sealed value opens in its own row alone', async (t) => {
  const w = await world(t, under(oldKey))
  const sealed = w.app.vault.seal(Buffer.from('secret'), 'one')
  t.throws(() => w.app.vault.open(sealed, 'other'))
  const turned = Buffer.from(sealed)
  turned[turned.length - 1]! ^= 1
  t.throws(() => w.app.vault.open(turned, 'one'))
  t.throws(() => w.app.vault.open(Buffer.alloc(0), 'one'), { message: /another master key/ })
})
