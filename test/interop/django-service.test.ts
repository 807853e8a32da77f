import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import { generateKey } from '../../src/plugins/token-engine.js'
import { converse } from '../support/conversation.js'
import { encode, forge, workshop } from '../support/forge.js'
import { missingModules, python } from '../support/python.js'
import { freePort, scratchFolder } from '../support/service.js'
import { unpackSnippets } from '../support/snippets.js'
import { type World, world } from '../support/world.js'

/** The Django REST Framework service of docs/django.md, with the real simplejwt, believes our tokens and no others. */

const script = fileURLToPath(new URL('django_service.py', import.meta.url))
const document = new URL('../../docs/django.md', import.meta.url)
const skip = missingModules('cryptography', 'django', 'rest_framework', 'rest_framework_simplejwt')

/** Why this simplejwt cannot verify an algorithm, by its own list, or false. */
function unknownTo(algorithm: string): string | false {
  const program = `
from django.conf import settings
settings.configure(SECRET_KEY="")
from rest_framework_simplejwt import __version__
from rest_framework_simplejwt.backends import ALLOWED_ALGORITHMS
print("" if "${algorithm}" in ALLOWED_ALGORITHMS else "simplejwt " + __version__ + " does not know ${algorithm}")`
  const { status, stdout } = spawnSync(python, ['-c', program], { encoding: 'utf8' })
  if (status !== 0) throw new Error('simplejwt does not say which algorithms it knows')
  return stdout.trim() || false
}

/** A service that listens where its issuer says. */
async function service(t: Test, { algorithm, access }: { algorithm?: SigningAlgorithm; access?: number } = {}) {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const w = await world(t, (options) => ({
    ...options,
    issuer,
    signing: { ...options.signing, ...(algorithm && { algorithm }) },
    flows: { ...options.flows, lifetimes: { ...options.flows.lifetimes, ...(access && { access }) } },
    clock: () => new Date()
  }))
  await w.app.listen({ port, host: 'localhost' })
  return { issuer, w }
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Record<string, string>
}

/** The documentation's project, behind this issuer. */
function django(t: Test, issuer: string, { algorithm = 'ES256', apiKey = '' } = {}) {
  const folder = scratchFolder(t)
  unpackSnippets(document, 'python', folder)
  const { ask } = converse(t, {
    command: python,
    words: ['-B', script, folder],
    environment: { KEYTURN_ISSUER: issuer, KEYTURN_ALGORITHM: algorithm, KEYTURN_API_KEY: apiKey }
  })
  const get = async (path: string, token?: string) => (await ask({ path, token })) as Answer
  /** What it answers where IsAuthenticated, IsAdminUser and a custom permission class guard. */
  const statuses = async (token: string, prefix = '') => {
    const found: number[] = []
    for (const path of ['authenticated', 'admin', 'articles']) found.push((await get(prefix + path, token)).status)
    return found
  }
  return { get, statuses }
}

async function disable(w: World, id: string) {
  const { access_token } = await w.admin()
  const response = await w.as(access_token, 'POST', `/v1/admin/users/${id}/disable`)
  if (response.statusCode !== 200) throw new Error(`disable: ${response.body}`)
}

t.test('docs/django.md has the whole project in it', async (t) => {
  t.same(unpackSnippets(document, 'python', scratchFolder(t)), [
    'myproject/settings.py',
    'myproject/auth.py',
    'myproject/permissions.py',
    'myproject/introspection.py'
  ])
})

for (const algorithm of ['ES256', 'RS256', 'Ed25519', 'PS256'] as const) {
  const unknown = skip || unknownTo(algorithm === 'Ed25519' ? 'EdDSA' : algorithm)
  t.test(`Django takes roles and permissions from tokens signed with ${algorithm}`, { skip: unknown }, async (t) => {
    const { issuer, w } = await service(t, { algorithm })
    const { token, header, claims, privateKey, publicJwk, ours } = await workshop(w)
    const { get, statuses } = django(t, issuer, { algorithm: header.alg })

    t.same(await statuses(token), [200, 403, 403], 'a plain account')
    const admin = await w.admin()
    t.same(await statuses(admin.access_token), [200, 200, 200], 'an administrator')
    t.same(await statuses(ours({ roles: ['staff'] })), [200, 200, 403], 'of the staff')
    t.same(await statuses(ours({ permissions: ['articles.change_article'] })), [200, 403, 200], 'permitted')
    t.same(
      await statuses(ours({ permissions: ['articles.change_articles', 'x'] })),
      [200, 403, 403],
      'nearly permitted'
    )
    t.same(
      await statuses(ours({ roles: 'admin', permissions: 'articles.change_article' })),
      [200, 403, 403],
      'as texts'
    )
    t.same(await statuses(ours({ is_staff: true, is_superuser: true })), [200, 403, 403], 'what simplejwt looks at')
    const refreshed = (await w.refresh(admin.refresh_token)).json()
    t.same(await statuses(refreshed.access_token), [200, 200, 200], 'after a refresh')
    t.equal((await get('default', token)).status, 200, 'and so without permission classes of its own')

    const permissions = ['articles.change_article', 'articles.view_article']
    const user = { pk: claims.sub, is_staff: false, is_superuser: false, has_perms: false, has_module_perms: false }
    for (const [title, change, expected] of [
      ['plain', {}, user],
      ['one of two permissions', { permissions: permissions.slice(1) }, { ...user, has_module_perms: true }],
      ['both', { permissions }, { ...user, has_perms: true, has_module_perms: true }],
      ['staff', { roles: ['staff'] }, { ...user, is_staff: true }],
      [
        'admin',
        { roles: ['author', 'admin'] },
        { ...user, is_staff: true, is_superuser: true, has_perms: true, has_module_perms: true }
      ]
    ] as const) {
      t.same(JSON.parse((await get('authenticated', ours(change))).body), expected, title)
    }

    const now = Math.floor(Date.now() / 1000)
    const stray = await generateKey(algorithm)
    const pem = createPublicKey(privateKey).export({ format: 'pem', type: 'spki' }) as string
    const [, payload, signature] = token.split('.') as [string, string, string]
    const confused = { ...header, alg: 'HS256' }
    const bad: Array<[title: string, token?: string]> = [
      ['no token'],
      ['expired', ours({ iat: now - 7200, exp: now - 1 })],
      ['for another audience', ours({ aud: 'other' })],
      ['for no audience', ours({ aud: undefined })],
      ['of another issuer', ours({ iss: 'https://evil.example' })],
      ['of an issuer with a slash', ours({ iss: `${issuer}/` })],
      ['by another key under our id', forge(header.alg, stray.privateKey, header, claims)],
      ['by another key under its own id', forge(header.alg, stray.privateKey, { ...header, kid: stray.kid }, claims)],
      ['alg none', `${encode({ ...header, alg: 'none' })}.${payload}.`],
      ['alg none with a signature', `${encode({ ...header, alg: 'none' })}.${payload}.${signature}`],
      ['HS256 with the public key as PEM', forge('HS256', pem, confused, claims)],
      ['HS256 with the public key as JWK', forge('HS256', JSON.stringify(publicJwk), confused, claims)],
      ['of another type', ours({ token_type: 'refresh' })],
      ['without a type', ours({ token_type: undefined })],
      ['a refresh token', admin.refresh_token],
      ['garbage', 'garbage'],
      ['garbage in three parts', 'a.b.c']
    ]
    for (const [title, token] of bad) {
      const { status, headers } = await get('authenticated', token)
      t.equal(status, 401, title)
      t.equal(headers['www-authenticate'], 'Bearer realm="api"', `${title}: says how to authenticate`)
    }
  })
}

t.test('a disabled account is refused when its token expires', { skip }, async (t) => {
  const { issuer, w } = await service(t, { access: 6_000 })
  const { get } = django(t, issuer)
  t.equal((await get('authenticated')).status, 401, 'it is up')

  const tokens = await w.login(await w.account())
  const { exp } = JSON.parse(Buffer.from(tokens.access_token.split('.')[1]!, 'base64url').toString())
  t.equal((await get('authenticated', tokens.access_token)).status, 200)
  await disable(w, tokens.user.id)
  t.equal((await w.refresh(tokens.refresh_token)).statusCode, 401, 'there is no next token')

  let answer = await get('authenticated', tokens.access_token)
  while (answer.status === 200 && Date.now() / 1000 < exp + 5) {
    await delay(50)
    answer = await get('authenticated', tokens.access_token)
  }
  t.equal(answer.status, 401)
  t.ok(Date.now() / 1000 >= exp, 'and until then it was let through: that is what verifying offline means')
})

/** A key of a service that may ask about tokens, and may do nothing else. */
async function resourceServerKey(w: World): Promise<string> {
  const { id } = await w.app.flows.createAccount({ username: 'articles' })
  await w.app.flows.setUserPermissions(id, ['keyturn.introspect'])
  return (await w.app.flows.createApiToken(id, { name: 'articles', scopes: ['introspect'] })).key
}

t.test('a service that asks about each token', { skip }, async (t) => {
  const { issuer, w } = await service(t)
  await t.test('refuses a disabled account at once, and a role that was taken away', async (t) => {
    const { get, statuses } = django(t, issuer, { apiKey: await resourceServerKey(w) })
    const asking = (token: string) => statuses(token, 'introspecting/')
    const plain = await w.login(await w.account())
    const admin = await w.admin()
    t.same(await asking(plain.access_token), [200, 403, 403])
    t.same(await asking(admin.access_token), [200, 200, 200])

    const setRoles = (roles: string[]) =>
      w.as(admin.access_token, 'PUT', `/v1/admin/users/${plain.user.id}/roles`, { roles })
    await w.role('staff')
    await setRoles(['staff'])
    const promoted = await w.login(plain.user.username)
    t.same(await asking(promoted.access_token), [200, 200, 403])
    await setRoles([])
    t.not((await get('introspecting/admin', promoted.access_token)).status, 200, 'the role is gone at once')

    await disable(w, plain.user.id)
    t.same(await statuses(promoted.access_token), [200, 200, 403], 'verified offline the token is good still')
    t.same(await asking(promoted.access_token), [401, 401, 401])
    t.equal((await get('introspecting/authenticated', 'garbage')).status, 401)
    t.equal((await get('introspecting/authenticated')).status, 401, 'no token')
  })

  await t.test('refuses with 503 where the answer is not for it', async (t) => {
    const { get } = django(t, issuer, { apiKey: 'wrong' })
    const { access_token } = await w.login(await w.account())
    t.equal((await get('authenticated', access_token)).status, 200)
    t.equal((await get('introspecting/authenticated', access_token)).status, 503)
  })

  await t.test('lets nothing through where it cannot ask', async (t) => {
    const { get } = django(t, issuer)
    const { access_token } = await w.login(await w.account())
    t.equal((await get('authenticated', access_token)).status, 200)
    await w.app.close()
    t.equal((await get('authenticated', access_token)).status, 200, 'verified offline it needs nobody')
    const { status, headers } = await get('introspecting/authenticated', access_token)
    t.equal(status, 503)
    t.equal(headers['retry-after'], '5')
    t.equal((await get('introspecting/authenticated', 'garbage')).status, 401)
  })
})
