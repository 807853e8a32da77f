import t from 'tap'
import { startService } from '../support/service.js'
import { terminal } from '../support/terminal.js'
import { goodPassword } from '../support/world.js'

t.test('administrators and users are made with a password from standard input', async (t) => {
  const { run, json } = await terminal(t)
  const made = await run('admin create root --email root@example.com', `${goodPassword}\n`)
  t.same(made, { code: 0, stdout: made.stdout, stderr: '' })
  t.match(made.stdout, /^Created root \(/)
  t.match((await run('user create grace --roles editor', goodPassword)).stderr, /There is no such role/)
  for (const name of ['editor', 'author']) t.match(await json(`role set ${name}`), { role: { name } })
  t.match(await json('user create grace --roles editor,author', goodPassword), {
    user: { roles: ['editor', 'author'] }
  })

  const weak = await run('user create weak', 'short')
  t.equal(weak.code, 1)
  t.match(weak.stderr, /password: Use at least 15 characters; this one has 5/)
  t.match((await run('user create ROOT', goodPassword)).stderr, /This username is taken/)

  t.match(await json('user list'), { users: [{ username: 'root', roles: ['admin'] }, { username: 'grace' }] })
  t.match(await json('user list --search gr'), { users: [{ username: 'grace' }] })
  t.match((await run('user show root@example.com')).stdout, /roles +admin/)
  t.match(await json('user disable grace'), { user: { disabled: true } })
  t.match(await json('user enable grace'), { user: { disabled: false } })
  t.match(await json('user revoke-sessions grace'), { ended: 0 })
  t.match((await run('user disable root')).stderr, /The last administrator must stay/)
})

t.test('a link makes an administrator', async (t) => {
  const { environment, json } = await terminal(t)
  const { link } = await json('admin link')
  const service = await startService(t, environment)
  const [, token] = /\/setup#t=([\w-]+)$/.exec(link)!
  const admin = await service.post('/v1/register', { username: 'root', password: goodPassword, invitation: token })
  t.match(await admin.json(), { user: { roles: ['admin'] } })
})

t.test('a token is minted, and explained in words', async (t) => {
  const { run, json } = await terminal(t)
  await run('user create grace', goodPassword)
  const { access_token, expires_in } = await json('token mint grace --ttl 2m')
  t.ok(expires_in <= 120)

  const good = await run('token inspect', `${access_token}\n`)
  t.equal(good.code, 0)
  t.match(good.stdout, /^Good: signed by a published key, for another \d+ s/)
  const [header, payload, signature] = access_token.split('.')
  const changed = `${header}.${payload}.${signature.slice(0, -4)}AAAA`
  const none = Buffer.from('{"alg":"none","typ":"at+jwt","kid":"x"}').toString('base64url')
  const explanations: Array<[string, RegExp]> = [
    [changed, /Refused\. Its signature is wrong/],
    [`${none}.${payload}.AAAA`, /Refused\. Its alg is none, symmetric or unknown/],
    [`${access_token}=`, /Refused\. A part is not base64url/],
    ['ktr_something', /Refused\. It is not three parts/]
  ]
  for (const [token, explanation] of explanations) {
    const refused = await run('token inspect', token)
    t.equal(refused.code, 1)
    t.match(refused.stdout, explanation)
  }
  t.match(await json('token inspect', changed), { ok: false, because: 'signature_wrong' })
})

t.test('keys are listed and rotated without a gap', async (t) => {
  const { json } = await terminal(t)
  t.match(await json('keys list'), { keys: [{ state: 'signing', algorithm: 'ES256', gone_at: null }] })
  const before = Date.now()
  const next = await json('keys rotate')
  const after = Date.now()
  t.match(await json('keys list'), {
    keys: [
      { state: 'signing', gone_at: String },
      { state: 'next', kid: next.kid }
    ]
  })
  t.match(await json('keys rotate'), { kid: next.kid }, 'one is waiting already: a second is not made')
  const signsFrom = Date.parse(next.signs_from)
  t.ok(
    signsFrom >= before + 630_000 && signsFrom <= after + 630_000,
    'it signs when the slowest verifier knows it, whatever the clocks say'
  )
})
