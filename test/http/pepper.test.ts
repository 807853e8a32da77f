import t, { type Test } from 'tap'
import { pepperOf } from '../../src/domain/pepper.js'
import { goodPassword, world } from '../support/world.js'

const old = pepperOf(Buffer.alloc(32, 'old pepper'))
const recent = pepperOf(Buffer.alloc(32, 'recent pepper'))
type Peppers = { current: typeof old | null; known: (typeof old)[] }

async function withPeppers(t: Test) {
  const w = await world(t)
  const username = await w.account()
  const replica = (peppers: Peppers) =>
    w.replica((options) => ({ ...options, passwords: { ...options.passwords, peppers } }))
  const stored = async () =>
    (await w.app.db.selectFrom('account').select('password_hash').executeTakeFirstOrThrow()).password_hash!
  /** Signs in on a replica with these peppers, and tells how the hash begins after it. */
  async function signIn(peppers: Peppers, password = goodPassword) {
    const app = await replica(peppers)
    const response = await app.inject({ method: 'POST', url: '/v1/login', payload: { username, password } })
    return `${response.statusCode} ${(await stored()).replace(/\$v=19.*/, '')}`
  }
  return { w, username, signIn, stored }
}

t.test('a pepper comes, changes and goes, each time at the next right password', async (t) => {
  const { signIn } = await withPeppers(t)
  t.equal(await signIn({ current: old, known: [old] }), `200 $hmac-sha256$k=${old.id}$argon2id`)
  t.equal(await signIn({ current: recent, known: [recent, old] }), `200 $hmac-sha256$k=${recent.id}$argon2id`)
  t.equal(await signIn({ current: recent, known: [recent] }), `200 $hmac-sha256$k=${recent.id}$argon2id`)
  t.equal(await signIn({ current: null, known: [recent] }), '200 $argon2id')
})

t.test('a wrong password changes nothing, and is as wrong as without', async (t) => {
  const { signIn } = await withPeppers(t)
  t.equal(await signIn({ current: old, known: [old] }, 'wrong horse battery'), '401 $argon2id')
})

t.test('a replica that lacks the pepper refuses nobody for good, and says what to set', async (t) => {
  const { w, signIn } = await withPeppers(t)
  await signIn({ current: old, known: [old] })
  t.equal(await signIn({ current: recent, known: [recent] }), `503 $hmac-sha256$k=${old.id}$argon2id`)
  t.ok(w.logs.some((line) => line.includes('AUTH_PASSWORD_PEPPER_PREVIOUS')))
})

t.test('whoever has the database alone cannot check a guess', async (t) => {
  const { signIn, stored } = await withPeppers(t)
  await signIn({ current: old, known: [old] })
  const hash = (await stored()).replace(/^\$hmac-sha256\$k=[^$]+/, '')
  const { verifySync } = await import('@node-rs/argon2')
  t.equal(verifySync(hash, goodPassword), false)
})

t.test('new accounts have it from the start', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    passwords: { ...options.passwords, peppers: { current: old, known: [old] } }
  }))
  const username = await w.account()
  const { password_hash: hash } = await w.app.db.selectFrom('account').select('password_hash').executeTakeFirstOrThrow()
  t.ok(hash?.startsWith(`$hmac-sha256$k=${old.id}$argon2id`))
  await w.login(username)
})
