import t from 'tap'
import { until } from '../support/until.js'
import { world } from '../support/world.js'

const code = (response: { json: () => unknown }) => (response.json() as { code: string }).code

t.test('a token that was seen before is good no longer than one that was not', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  const [, payload] = access_token.split('.') as [string, string, string]
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
  const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { exp: number }
  w.wait((exp + 5) * 1000 - w.now().getTime() - 1)
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200, 'the last millisecond')
  w.wait(1)
  t.equal(code(await w.get('/v1/me', access_token)), 'token_expired')
})

t.test('one that differs from it in a letter is looked at anew', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
  const [header, payload, signature] = access_token.split('.') as [string, string, string]
  const other = signature.startsWith('A') ? 'B' : 'A'
  const forged = `${header}.${payload}.${other}${signature.slice(1)}`
  t.equal(code(await w.get('/v1/me', forged)), 'token_invalid')
  t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
})

t.test('it ends with its session and with its key', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const [one, two] = [await w.login(username), await w.login(username)]
  for (const { access_token } of [one, two]) t.equal((await w.get('/v1/me', access_token)).statusCode, 200)
  await w.post('/v1/logout', {}, { authorization: `Bearer ${one.access_token}` })
  t.ok(await until(async () => (await w.get('/v1/me', one.access_token)).statusCode === 401))
  t.equal(code(await w.get('/v1/me', one.access_token)), 'token_revoked')
  const [key] = w.app.keys.published()
  await w.app.keys.rotateInEmergency('stolen')
  t.equal(w.app.keys.find(key!.kid), undefined)
  t.equal((await w.app.accessTokens.judge(two.access_token)).ok, false, 'by its key alone')
})

t.test('what a handler does to its principal is not remembered', async (t) => {
  const w = await world(t)
  const { access_token } = await w.login(await w.account())
  const first = await w.app.accessTokens.authenticate(access_token)
  ;(first.permissions as Set<string>).add('everything')
  const second = await w.app.accessTokens.authenticate(access_token)
  t.equal(second.permissions.has('everything'), false)
  const verdict = await w.app.accessTokens.judge(access_token)
  t.ok(verdict.ok && Object.isFrozen(verdict.claims) && Object.isFrozen(verdict.claims.permissions))
})
