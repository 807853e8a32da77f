import t from 'tap'
import { goodPassword, world } from '../support/world.js'

const newPassword = 'battery horse correct'

t.test('register makes an account', async (t) => {
  const w = await world(t)
  const response = await w.post('/v1/register', {
    username: 'Grace',
    password: goodPassword,
    email: 'grace@example.com'
  })
  t.equal(response.statusCode, 201)
  t.match(response.json(), {
    user: {
      username: 'Grace',
      email: 'grace@example.com',
      email_verified: false,
      roles: [],
      disabled: false,
      last_login_at: null
    }
  })
})

t.test('a name that is taken is refused, also in another spelling', async (t) => {
  const w = await world(t)
  await w.post('/v1/register', { username: 'grace', password: goodPassword, email: 'grace@example.com' })
  for (const username of ['grace', 'GRACE', 'ｇｒａｃｅ']) {
    t.match((await w.post('/v1/register', { username, password: goodPassword })).json(), {
      code: 'username_taken',
      status: 409
    })
  }
  const email = await w.post('/v1/register', { username: 'other', password: goodPassword, email: 'Grace@Example.com' })
  t.match(email.json(), { code: 'email_taken', status: 409 })
})

t.test('of ten simultaneous registrations of one name one wins', async (t) => {
  const w = await world(t)
  await w.warm()
  const registration = { username: 'grace', password: goodPassword }
  const answers = await Promise.all(Array.from({ length: 10 }, () => w.post('/v1/register', registration)))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [201, ...Array.from({ length: 9 }, () => 409)])
})

t.test('each wrong member is pointed at', async (t) => {
  const w = await world(t)
  const response = await w.post('/v1/register', { username: 7, email: 'nowhere', role: 'admin', 'a/b~c': 1 })
  t.equal(response.statusCode, 400)
  const { code, errors } = response.json()
  t.equal(code, 'validation_failed')
  t.same(errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code]).sort(), [
    ['/a~1b~0c', 'unknown'],
    ['/email', 'format'],
    ['/password', 'required'],
    ['/role', 'unknown'],
    ['/username', 'type']
  ])
})

t.test('a password is judged by length, lists and the own name, never by composition', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    flows: { ...options.flows, passwordPolicy: { ...options.flows.passwordPolicy, contextWords: ['roadrunner'] } }
  }))
  const attempts: Array<[string, string]> = [
    ['R0adrunner-1234', 'known_name'],
    ['username graceful', 'known_name'],
    ['fourteen chars', 'too_short'],
    ['123456789987654321', 'too_common'],
    ['graceful-username', 'same_as_name'],
    ['a\0bcdefghijklmnopqrst', 'not_text'],
    ['\ud800bcdefghijklmnopqrst', 'not_text']
  ]
  for (const [password, code] of attempts) {
    const response = await w.post('/v1/register', { username: 'graceful-username', password })
    t.match(response.json(), { code: 'validation_failed', errors: [{ pointer: '/password', code }] }, code)
  }
  for (const password of ['aaaa aaaa aaaa aaab', '🔑'.repeat(15), 'ж'.repeat(1024)]) {
    const username = `user${[...password].length}`
    t.equal((await w.post('/v1/register', { username, password })).statusCode, 201)
    t.equal((await w.post('/v1/login', { username, password })).statusCode, 200)
    t.equal(
      (await w.post('/v1/login', { username, password: password.slice(0, -2) })).statusCode,
      401,
      'to its last character'
    )
  }
  t.equal((await w.post('/v1/register', { username: 'long', password: 'x'.repeat(1025) })).statusCode, 400)
})

t.test('sign-up is open, closed, or by invitation', async (t) => {
  const closed = await world(t, (options) => ({ ...options, flows: { ...options.flows, signUp: 'closed' } }))
  const registration = { username: 'grace', password: goodPassword }
  t.match((await closed.post('/v1/register', registration)).json(), { code: 'sign_up_closed', status: 403 })
  const { token } = await closed.app.flows.invite({ roles: [], lifetime: 60_000 })
  t.match((await closed.post('/v1/register', { ...registration, invitation: token })).json(), {
    code: 'sign_up_closed'
  })

  const w = await world(t, (options) => ({ ...options, flows: { ...options.flows, signUp: 'invitation' } }))
  t.match((await w.post('/v1/register', registration)).json(), { code: 'sign_up_closed' })
  const admin = await w.admin()
  await w.role('editor')
  const made = await w.as(admin.access_token, 'POST', '/v1/admin/invitations', { roles: ['editor'], expires_in: 3600 })
  t.equal(made.statusCode, 201)
  const { invitation } = made.json()
  const invited = { ...registration, invitation }
  t.match((await w.post('/v1/register', { ...invited, username: admin.user.username })).json(), {
    code: 'username_taken'
  })
  t.match(
    (await w.post('/v1/register', invited)).json(),
    { user: { roles: ['editor'] } },
    'who took a taken name may try again'
  )
  t.match((await w.post('/v1/register', { ...invited, username: 'second' })).json(), {
    code: 'invitation_invalid',
    status: 403
  })
  t.match((await w.post('/v1/register', { ...invited, invitation: 'made up' })).json(), { code: 'invitation_invalid' })

  const late = (await w.as(admin.access_token, 'POST', '/v1/admin/invitations', {})).json().invitation
  w.wait(8 * 86_400_000)
  t.match((await w.post('/v1/register', { username: 'late', password: goodPassword, invitation: late })).json(), {
    code: 'invitation_invalid'
  })
})

t.test('an invitation is good for one of ten who use it at once', async (t) => {
  const w = await world(t)
  await w.role('editor')
  const { token } = await w.app.flows.invite({ roles: ['editor'], lifetime: 60_000 })
  await w.warm()
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      w.post('/v1/register', { username: `user${n}`, password: goodPassword, invitation: token })
    )
  )
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [201, ...Array.from({ length: 9 }, () => 403)])
})

t.test('the link for the first administrator works once, and only while there is none', async (t) => {
  const w = await world(t)
  const setup = () => w.app.flows.invite({ roles: ['admin'], lifetime: 30 * 60_000, isSetup: true })
  const [one, two, late] = [await setup(), await setup(), await setup()]
  const use = (username: string, token: string) =>
    w.post('/v1/register', { username, password: goodPassword, invitation: token })
  w.wait(29 * 60_000)
  t.match((await use('root', one.token)).json(), { user: { roles: ['admin'] } })
  t.match((await use('other', two.token)).json(), { code: 'invitation_invalid' })
  w.wait(2 * 60_000)
  t.match((await use('late', late.token)).json(), { code: 'invitation_invalid' })
})

t.test('the own account is read, changed and deleted', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account('grace'))
  const me = (method: 'GET' | 'PATCH' | 'DELETE', body?: object, url = '/v1/me') =>
    w.as(tokens.access_token, method, url, body)

  t.match((await me('GET')).json(), {
    id: tokens.user.id,
    roles: [],
    scope: '',
    amr: ['pwd'],
    acr: 'aal1',
    client_id: 'web'
  })
  t.match((await me('PATCH', { username: 'Hopper' })).json(), { user: { id: tokens.user.id, username: 'Hopper' } })
  t.match((await me('PATCH', { email: 'grace@example.com' })).json(), { code: 'password_incorrect', status: 403 })
  t.match((await me('PATCH', { email: 'grace@example.com', current_password: goodPassword })).json(), {
    user: { email: 'grace@example.com', email_verified: false }
  })
  t.match((await me('PATCH', { email: null, current_password: goodPassword })).json(), { user: { email: null } })
  t.equal((await me('PATCH', {})).statusCode, 400, 'a change of nothing is a mistake')
  t.match((await me('GET', undefined, '/v1/me/profile')).json(), { user: { username: 'Hopper' } })

  await w.account('taken')
  t.match((await me('PATCH', { username: 'TAKEN' })).json(), { code: 'username_taken' })

  t.match((await me('DELETE', { current_password: 'wrong' })).json(), { code: 'password_incorrect' })
  t.equal((await me('DELETE', { current_password: goodPassword })).statusCode, 204)
  t.match((await w.refresh(tokens.refresh_token)).json(), { code: 'session_revoked' })
  await w.app.revocations.read()
  t.match((await me('GET', undefined, '/v1/me/profile')).json(), { code: 'token_revoked', status: 401 })
  t.equal((await w.post('/v1/login', { username: 'hopper', password: goodPassword })).statusCode, 401)
})

t.test('a change of password asks for the old one and ends all other sessions', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const [here, there] = [await w.login(username), await w.login(username)]
  const change = (current_password: string, new_password: string) =>
    w.as(here.access_token, 'POST', '/v1/me/password', { current_password, new_password })

  t.match((await change('wrong horse battery', newPassword)).json(), { code: 'password_incorrect', status: 403 })
  t.match((await change(goodPassword, 'short')).json(), { errors: [{ pointer: '/new_password', code: 'too_short' }] })
  t.equal((await change(goodPassword, newPassword)).statusCode, 204)

  t.equal((await w.refresh(here.refresh_token)).statusCode, 200)
  t.match((await w.refresh(there.refresh_token)).json(), { code: 'session_revoked' })
  t.equal((await w.post('/v1/login', { username, password: goodPassword })).statusCode, 401)
  t.equal((await w.post('/v1/login', { username, password: newPassword })).statusCode, 200)
})

t.test('of two simultaneous changes of a password one wins', async (t) => {
  const w = await world(t)
  const tokens = await w.login(await w.account())
  await w.warm()
  const answers = await Promise.all(
    ['first new password', 'second new password'].map((new_password) =>
      w.as(tokens.access_token, 'POST', '/v1/me/password', { current_password: goodPassword, new_password })
    )
  )
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [204, 403])
})

t.test('a hash of older settings is replaced at the next sign-in', async (t) => {
  const w = await world(t)
  const username = await w.account()
  const stronger = await w.replica((options) => ({ ...options, passwords: { ...options.passwords, iterations: 2 } }))
  const payload = { username, password: goodPassword }
  t.equal((await stronger.inject({ method: 'POST', url: '/v1/login', payload })).statusCode, 200)
  const { password_hash } = await w.app.db.selectFrom('account').select('password_hash').executeTakeFirstOrThrow()
  t.match(password_hash, /^\$argon2id\$v=19\$m=8,t=2,p=1\$/)
  t.equal((await stronger.inject({ method: 'POST', url: '/v1/login', payload })).statusCode, 200)
})
