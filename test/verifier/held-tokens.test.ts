import t from 'tap'
import { createVerifier } from '../../packages/verifier/src/index.js'
import { createTestIssuer } from '../../packages/verifier/src/testing.js'
import { workshop } from '../support/forge.js'
import { verdictOf, verifierOf } from '../support/verifier.js'
import { world } from '../support/world.js'

/** Tokens that were verified are remembered. CVE-2026-107719 and CVE-2026-35039 are about memories that were wrong. */

t.test('a token that is remembered ends in the same millisecond as one that is not', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const now = Math.floor(w.now().getTime() / 1000)
  const [cold, warm] = [verifierOf(t, w, { rememberedTokens: 0 }), verifierOf(t, w)]
  for (const [title, change] of [
    ['with iat', { exp: now + 10 }],
    ['with nbf', { exp: now + 10, nbf: now }],
    ['with iat of long ago', { exp: now + 10, iat: 0 }]
  ] as const) {
    const token = shop.ours(change)
    const both = async () => [await verdictOf(cold, token), await verdictOf(warm, token)]
    t.same(await both(), ['good', 'good'], title)
    t.equal(warm.health().rememberedTokens, 1)
    w.wait(14_999)
    t.same(await both(), ['good', 'good'], title)
    w.wait(1)
    t.same(await both(), ['token_expired', 'token_expired'], title)
    t.equal(warm.health().rememberedTokens, 0, 'and is forgotten')
    w.wait(-15_000)
  }
  t.equal(cold.health().rememberedTokens, 0)
})

t.test('a token that is remembered is not yet valid where the clock was put back', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const verifier = verifierOf(t, w)
  t.equal(await verdictOf(verifier, shop.token), 'good')
  w.wait(-5_000)
  t.equal(await verdictOf(verifier, shop.token), 'good', 'within the leeway')
  w.wait(-1_000)
  t.equal(await verdictOf(verifier, shop.token), 'token_invalid')
})

t.test('two tokens that differ in one letter share nothing', async (t) => {
  const w = await world(t)
  const { token } = await workshop(w)
  const verifier = verifierOf(t, w)
  t.equal(await verdictOf(verifier, token), 'good')
  const last = token.length - 1
  for (const at of [...Array.from({ length: Math.floor(last / 7) }, (_, n) => n * 7), last - 2, last - 1, last]) {
    const other = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    if (other !== token && (await verdictOf(verifier, other)) === 'good') t.fail(`letter ${at}`)
  }
  for (const other of [` ${token}`, `${token} `, `${token}=`, `${token}.`, token.toUpperCase()]) {
    t.equal(await verdictOf(verifier, other), 'token_invalid')
  }
  t.equal(verifier.health().rememberedTokens, 1)
})

t.test('who a token speaks for is the same object for all, and nobody can change it', async (t) => {
  const w = await world(t)
  const shop = await workshop(w)
  const verifier = verifierOf(t, w)
  const principal = await verifier.verify(shop.ours({ roles: ['editor'], more: { deep: ['x'] } }))
  const attempts: Array<[string, () => unknown]> = [
    ['a member', () => Object.assign(principal, { accountId: 'x' })],
    ['a new member', () => Object.assign(principal, { isAdmin: true })],
    ['a role', () => (principal.roles as Set<string>).add('admin')],
    ['a role less', () => (principal.roles as Set<string>).delete('editor')],
    ['no roles', () => (principal.roles as Set<string>).clear()],
    ['a scope', () => (principal.scopes as Set<string>).add('x')],
    ['a permission', () => (principal.permissions as Set<string>).add('x')],
    ['a way of signing in', () => (principal.amr as string[]).push('mfa')],
    ['a claim', () => Object.assign(principal.claims, { sub: 'x' })],
    ['a role among claims', () => (principal.claims.roles as string[]).push('admin')],
    ['deep inside', () => (principal.claims.more as { deep: string[] }).deep.push('y')]
  ]
  for (const [title, attempt] of attempts) t.throws(attempt, TypeError, title)
  principal.expiresAt.setFullYear(2100)
  principal.authenticatedAt?.setFullYear(2100)
  t.ok(principal.expiresAt.getFullYear() < 2100)
  t.ok(principal.authenticatedAt!.getFullYear() < 2100)
  t.same([...principal.roles], ['editor'])
  t.ok(principal.roles.has('editor'))
})

t.test('no more tokens are remembered than fit, and those in use stay', async (t) => {
  const issuer = await createTestIssuer()
  const verifier = createVerifier({ ...issuer.options, rememberedTokens: 10 })
  t.teardown(() => verifier.close())
  const used = await issuer.token()
  const principal = await verifier.verify(used)
  for (let n = 0; n < 100; n++) {
    await verifier.verify(await issuer.token())
    if (n % 3 === 0) t.equal(await verifier.verify(used), principal)
    if (verifier.health().rememberedTokens > 10) t.fail('too many')
  }
})
