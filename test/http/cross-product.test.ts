import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { Refusal } from '../../src/domain/refusal.js'
import type { Requirement } from '../../src/domain/requirement.js'
import { allow, guard } from '../../src/index.js'
import type { Authenticator } from '../../src/plugins/authenticators.js'
import { bindingLogin, clientKey } from '../support/dpop.js'
import { fromOwnPage, goodPassword, type World, world } from '../support/world.js'

/**
 * Every kind of credential × every set of authenticators × every requirement × GET and POST. What is expected is worked
 * out from the tables of this file alone, so that a cell passes only where somebody meant it to.
 */

type Scheme = 'session' | 'token' | 'bearer' | 'basic' | 'apikey' | 'partner'
type Method = 'GET' | 'POST'

/** What a person can do with a credential that is good. */
interface Person {
  readonly id: string
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  readonly scopes: readonly string[]
  /** Seconds since the sign-in; null where there was none. */
  readonly age: number | null
  readonly acr: string | null
  /** Whether the database no longer has the session, and no revocation has said so. */
  readonly gone?: boolean
}

interface Kind {
  readonly name: string
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly query?: string
  /** The schemes of which it carries a credential, and what each is worth: a person, or the code of its refusal. */
  readonly carries: Partial<Record<Scheme, Person | string>>
  /** What every route answers that looks at credentials. */
  readonly always?: string
}

interface Demand {
  readonly need: Requirement
  /** Whether nobody has to be there. */
  readonly open?: (method: Method) => boolean
  /** The scopes that it asks for: a credential that is limited needs one. */
  readonly scope?: string
  /** Why a person does not get in; undefined where they do. */
  readonly refuses: (who: Person, method: Method) => string | undefined
}

const denied = 'permission_denied'
const stepUp = 'reauthentication_required'
const unless = (truth: boolean, code = denied) => (truth ? undefined : code)
const has = (who: Person, scope: string) => who.scopes.includes(scope)

/** Whose the resource is; who it is, is known once the service runs. */
const owner = { id: '' }

function demands(): Record<string, Demand> {
  const admin = (who: Person) => who.roles.includes('admin')
  const change = (who: Person) => who.permissions.includes('articles.change')
  return {
    allowAny: { need: allow.allowAny(), open: () => true, refuses: () => undefined },
    authenticated: { need: allow.authenticated(), refuses: () => undefined },
    admin: { need: allow.admin(), refuses: (who) => unless(admin(who)) },
    readOnlyOr: {
      need: allow.readOnlyOr(allow.admin()),
      open: (method) => method === 'GET',
      refuses: (who) => unless(admin(who))
    },
    scope: {
      need: allow.scope('read'),
      scope: 'read',
      refuses: (who) => unless(has(who, 'read'), 'insufficient_scope')
    },
    optionalScope: {
      need: allow.any(allow.authenticated(), allow.scope('read')),
      scope: 'read',
      refuses: (who) => unless(who.scopes.length === 0 || has(who, 'read'), 'insufficient_scope')
    },
    role: { need: allow.role('editor', 'chief'), refuses: (who) => unless(who.roles.includes('editor')) },
    permission: { need: allow.permission('articles.change'), refuses: (who) => unless(change(who)) },
    permissions: { need: allow.permission('articles.change', 'articles.burn'), refuses: () => denied },
    owner: {
      need: allow.owner(({ params }) => (params as { owner: string }).owner),
      refuses: (who) => unless(who.id === owner.id)
    },
    acr: { need: allow.acr('aal1'), refuses: (who) => unless(who.acr === 'aal1', stepUp) },
    maxAuthAge: {
      need: allow.maxAuthAge(3_600),
      refuses: (who) => unless(who.age !== null && who.age <= 3_600, stepUp)
    },
    fresh: { need: allow.fresh(), refuses: (who) => unless(who.gone !== true, 'token_revoked') },
    check: {
      need: allow.check('isOwner', async (who) => who.accountId === owner.id),
      refuses: (who) => unless(who.id === owner.id)
    },
    all: {
      need: allow.all(allow.role('editor'), allow.any(allow.authenticated(), allow.scope('read'))),
      scope: 'read',
      refuses: (who) =>
        unless(who.roles.includes('editor')) ??
        unless(who.scopes.length === 0 || has(who, 'read'), 'insufficient_scope')
    },
    allOpen: {
      need: allow.all(allow.readOnlyOr(allow.admin()), allow.authenticated()),
      refuses: (who, method) => unless(method === 'GET' || admin(who))
    },
    any: {
      need: allow.any(allow.role('nobody'), allow.permission('articles.change')),
      refuses: (who) => unless(change(who))
    },
    not: { need: allow.not(allow.role('editor')), refuses: (who) => unless(!who.roles.includes('editor')) },
    notNot: { need: allow.not(allow.not(allow.allowAny())), refuses: () => undefined },
    notOpen: { need: allow.not(allow.allowAny()), refuses: () => denied }
  }
}

const probes = demands()

/** What a 401 names, by authenticator; a cookie has no scheme of its own. */
const challenges: Partial<Record<Scheme, string>> = {
  token: 'Token realm="keyturn"',
  bearer: 'Bearer realm="keyturn"',
  basic: 'Basic realm="keyturn", charset="UTF-8"',
  apikey: 'ApiKey realm="test"'
}
const statuses: Record<string, number> = {
  request_malformed: 400,
  csrf_failed: 403,
  insufficient_scope: 403,
  [denied]: 403
}
const titles: Record<string, string> = {
  token_expired: 'The access token has expired',
  token_invalid: 'The token is not valid',
  token_revoked: 'The token is over'
}
const parameters: Record<string, Record<string, string>> = {
  acr: { [stepUp]: 'error="insufficient_user_authentication", acr_values="aal1"' },
  maxAuthAge: { [stepUp]: 'error="insufficient_user_authentication", max_age="3600"' }
}

interface Expected {
  readonly status: number
  readonly code: string | undefined
  readonly challenge: string | undefined
  readonly who: string | null | undefined
}

const sets: Record<string, readonly Scheme[] | undefined> = {
  session: ['session'],
  token: ['token'],
  bearer: ['bearer'],
  basic: ['basic'],
  apikey: ['apikey'],
  partner: ['partner'],
  default: undefined,
  all: ['session', 'token', 'bearer', 'basic', 'apikey', 'partner']
}
const order: readonly Scheme[] = ['session', 'token', 'bearer']

function expectation(kind: Kind, set: readonly Scheme[], name: string, demand: Demand, method: Method): Expected {
  const carried = set.filter((scheme) => kind.carries[scheme] !== undefined)
  let by: Scheme | undefined
  const no = (code: string): Expected => {
    const status = statuses[code] ?? 401
    const asked = parameters[name]?.[code]
    const isAtFault = by === 'bearer' && titles[code] !== undefined
    const error = asked ?? (isAtFault ? `error="invalid_token", error_description="${titles[code]}"` : undefined)
    const named = set
      .filter((scheme) => challenges[scheme] !== undefined)
      .map((scheme) => (scheme === 'bearer' && error ? `${challenges.bearer}, ${error}` : challenges[scheme]))
    const scope = code === 'insufficient_scope' ? `, scope="${demand.scope}"` : ''
    const forbidden =
      (code === denied || code === 'insufficient_scope') && set.includes('bearer')
        ? `${challenges.bearer}, error="insufficient_scope"${scope}`
        : undefined
    const challenge = status === 401 ? named.join(', ') || 'Cookie realm="keyturn"' : forbidden
    return { status, code, challenge, who: undefined }
  }
  if (kind.always !== undefined) return no(kind.always)
  if (carried.length > 1) return no('request_malformed')
  by = carried[0]
  const worth = by && kind.carries[by]
  if (by === 'session' && method === 'POST' && kind.headers['x-auth-request'] === undefined) return no('csrf_failed')
  if (typeof worth === 'string') return no(worth)
  if (worth === undefined && kind.headers.authorization !== undefined) return no('authentication_required')
  if (!demand.open?.(method)) {
    if (worth === undefined) return no('authentication_required')
    const refused = demand.refuses(worth, method)
    if (refused !== undefined && (worth.scopes.length === 0 || demand.scope !== undefined)) return no(refused)
    if (refused !== undefined || (worth.scopes.length > 0 && demand.scope === undefined)) return no(denied)
  }
  return { status: 200, code: undefined, challenge: undefined, who: worth?.id ?? null }
}

/** Credentials of one's own: one that tells by its form that it is there, and one that has to be asked. */
function customAuthenticators(app: () => World['app']): Authenticator[] {
  return [
    {
      name: 'apikey',
      challenge: 'ApiKey realm="test"',
      recognizes: (_request, authorization) => authorization?.scheme === 'apikey',
      async authenticate(_request, authorization) {
        const [, username] = /^good-(.*)$/.exec(authorization!.credentials) ?? []
        if (username === undefined) throw new Refusal('token_invalid', { because: 'not of ours' })
        return await app().flows.principalOf(username, 'apikey')
      }
    },
    {
      name: 'partner',
      async authenticate(request) {
        const name = request.headers['x-partner']
        if (name === undefined) return null
        if (name === 'bad') throw new Refusal('token_invalid', { because: 'not of ours' })
        return await app().flows.principalOf(String(name), 'partner')
      }
    }
  ]
}

/** People, and every kind of credential that they or anybody could send. */
async function cast(w: World): Promise<Kind[]> {
  const { app } = w
  await w.role('editor', ['articles.change'])
  await w.role('reader')
  const make = async (roles: readonly string[]) =>
    await app.flows.createAccount({ username: await freshName(), password: goodPassword, roles })
  let names = 0
  const freshName = async () => `person-${names++}`
  const signIn = async (username: string) => {
    const body = { username, password: goodPassword, refresh_transport: 'cookie', session: true }
    const response = await w.post('/v1/login', body, fromOwnPage)
    if (response.statusCode !== 200) throw new Error(response.body)
    const cookies = response.cookies as unknown as Array<{ name: string; value: string }>
    const cookie = cookies.find(({ name }) => name === '__Host-Http-session')!
    return { bearer: response.json().access_token as string, cookie: `${cookie.name}=${cookie.value}` }
  }
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  const token = (key: string) => ({ authorization: `Token ${key}` })
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  const apiKey = async (accountId: string, more: { scopes?: string[]; lifetime?: number } = {}) =>
    (await app.flows.createApiToken(accountId, { name: 'test', ...more })).key

  const ada = await make(['admin', 'editor'])
  const bob = await make([])
  const leaving = await make(['admin', 'editor'])
  const changed = await make(['admin', 'editor'])

  const old = await w.login(ada.username)
  const expired = await w.login(ada.username)
  const expiredKey = await apiKey(ada.id, { lifetime: 60_000 })
  w.wait(2 * 3_600_000)
  const refreshed = (await w.refresh(old.refresh_token)).json()

  const one = await signIn(ada.username)
  const other = await signIn(bob.username)
  const ended = await signIn(ada.username)
  await app.flows.endOne(JSON.parse(atob(ended.bearer.split('.')[1]!)).sid)
  const lost = await signIn(ada.username)
  const { sid } = JSON.parse(atob(lost.bearer.split('.')[1]!))
  await app.db.deleteFrom('session').where('id', '=', sid).execute()
  const beforeChange = await signIn(changed.username)
  await app.flows.setUserRoles(changed.id, ['reader'])
  const minted = await app.flows.mintToken(ada.id, 600_000)
  const good = await apiKey(ada.id)
  const { key: removed, token: removedToken } = await app.flows.createApiToken(ada.id, { name: 'removed' })
  await app.flows.deleteApiToken(ada.id, removedToken.id)
  const wrongChecksum = `${good.slice(0, -1)}${good.endsWith('0') ? '1' : '0'}`
  const left = await signIn(leaving.username)
  const leftKey = await apiKey(leaving.id)
  await app.flows.disableUser(leaving.id)
  await app.revocations.read()

  const full: Person = {
    id: ada.id,
    roles: ['admin', 'editor'],
    permissions: ['articles.change'],
    scopes: [],
    age: 0,
    acr: 'aal1'
  }
  const nobodySpecial: Person = { ...full, id: bob.id, roles: [], permissions: [] }
  const notSignedIn = { age: null, acr: null }
  const proof = fromOwnPage

  owner.id = ada.id
  return [
    { name: 'none', headers: {}, carries: {} },
    { name: 'bearer', headers: bearer(one.bearer), carries: { bearer: full } },
    {
      name: 'bearer, scheme in another case',
      headers: { authorization: `bEARER ${one.bearer}` },
      carries: { bearer: full }
    },
    { name: 'bearer of a plain account', headers: bearer(other.bearer), carries: { bearer: nobodySpecial } },
    {
      name: 'bearer of an old sign-in',
      headers: bearer(refreshed.access_token),
      carries: { bearer: { ...full, age: 7_200 } }
    },
    {
      name: 'bearer that was minted',
      headers: bearer(minted.accessToken),
      carries: { bearer: { ...full, acr: 'aal0' } }
    },
    {
      name: 'bearer of a session that is gone',
      headers: bearer(lost.bearer),
      carries: { bearer: { ...full, gone: true } }
    },
    { name: 'expired bearer', headers: bearer(expired.access_token), carries: { bearer: 'token_expired' } },
    { name: 'bearer of an ended session', headers: bearer(ended.bearer), carries: { bearer: 'token_revoked' } },
    { name: 'bearer after a role change', headers: bearer(beforeChange.bearer), carries: { bearer: 'token_revoked' } },
    { name: 'bearer of a disabled account', headers: bearer(left.bearer), carries: { bearer: 'token_revoked' } },
    { name: 'garbage bearer', headers: bearer('a.b.c'), carries: { bearer: 'token_invalid' } },
    { name: 'bearer that is empty', headers: { authorization: 'Bearer' }, carries: { bearer: 'token_invalid' } },
    {
      name: 'bearer that is bound to a key',
      headers: bearer((await bindingLogin(w, clientKey(), ada.username)).access_token),
      carries: { bearer: 'token_invalid' }
    },
    { name: 'API token as bearer', headers: bearer(good), carries: { bearer: 'token_invalid' } },
    { name: 'refresh token as bearer', headers: bearer(refreshed.refresh_token), carries: { bearer: 'token_invalid' } },
    {
      name: 'session cookie as bearer',
      headers: bearer(one.cookie.split('=')[1]!),
      carries: { bearer: 'token_invalid' }
    },
    { name: 'API token', headers: token(good), carries: { token: { ...full, ...notSignedIn } } },
    {
      name: 'API token of a plain account',
      headers: token(await apiKey(bob.id)),
      carries: { token: { ...nobodySpecial, ...notSignedIn } }
    },
    {
      name: 'API token limited to read',
      headers: token(await apiKey(ada.id, { scopes: ['read'] })),
      carries: { token: { ...full, ...notSignedIn, scopes: ['read'] } }
    },
    {
      name: 'API token of a plain account limited to read',
      headers: token(await apiKey(bob.id, { scopes: ['read'] })),
      carries: { token: { ...nobodySpecial, ...notSignedIn, scopes: ['read'] } }
    },
    {
      name: 'API token limited to another scope',
      headers: token(await apiKey(ada.id, { scopes: ['other'] })),
      carries: { token: { ...full, ...notSignedIn, scopes: ['other'] } }
    },
    {
      name: 'authtoken',
      headers: token((await app.flows.obtainAuthtoken(ada.id)).key),
      carries: { token: { ...full, ...notSignedIn } }
    },
    { name: 'expired API token', headers: token(expiredKey), carries: { token: 'token_expired' } },
    { name: 'removed API token', headers: token(removed), carries: { token: 'token_invalid' } },
    { name: 'API token with a wrong checksum', headers: token(wrongChecksum), carries: { token: 'token_invalid' } },
    { name: 'unknown authtoken', headers: token('0'.repeat(40)), carries: { token: 'token_invalid' } },
    { name: 'access token as API token', headers: token(one.bearer), carries: { token: 'token_invalid' } },
    { name: 'API token of a disabled account', headers: token(leftKey), carries: { token: 'account_disabled' } },
    { name: 'session cookie', headers: { ...proof, cookie: one.cookie }, carries: { session: full } },
    {
      name: 'session cookie of a plain account',
      headers: { ...proof, cookie: other.cookie },
      carries: { session: nobodySpecial }
    },
    { name: 'session cookie without proof', headers: { cookie: one.cookie }, carries: { session: full } },
    {
      name: 'cookie of an ended session',
      headers: { ...proof, cookie: ended.cookie },
      carries: { session: 'session_revoked' }
    },
    {
      name: 'cookie of a disabled account',
      headers: { ...proof, cookie: left.cookie },
      carries: { session: 'session_revoked' }
    },
    {
      name: 'forged cookie',
      headers: { ...proof, cookie: `${one.cookie.slice(0, -4)}AAAA` },
      carries: { session: 'token_invalid' }
    },
    {
      name: 'forged cookie without proof',
      headers: { cookie: `${one.cookie}A` },
      carries: { session: 'token_invalid' }
    },
    {
      name: 'refresh token as session cookie',
      headers: { ...proof, cookie: `__Host-Http-session=${refreshed.refresh_token}` },
      carries: { session: 'token_invalid' }
    },
    {
      name: 'cookie of another name',
      headers: { ...proof, cookie: one.cookie.replace('session', 'sesslon') },
      carries: {}
    },
    { name: 'basic', headers: basic(`${ada.username}:${goodPassword}`), carries: { basic: full } },
    {
      name: 'basic of a plain account',
      headers: basic(`${bob.username}:${goodPassword}`),
      carries: { basic: nobodySpecial }
    },
    { name: 'wrong basic', headers: basic(`${ada.username}:wrong`), carries: { basic: 'invalid_credentials' } },
    { name: 'basic of nobody', headers: basic(`nobody:${goodPassword}`), carries: { basic: 'invalid_credentials' } },
    { name: 'malformed basic', headers: { authorization: 'Basic !' }, carries: { basic: 'invalid_credentials' } },
    {
      name: 'basic of a disabled account',
      headers: basic(`${leaving.username}:${goodPassword}`),
      carries: { basic: 'invalid_credentials' }
    },
    {
      name: 'API key of one’s own',
      headers: { authorization: `ApiKey good-${ada.username}` },
      carries: { apikey: { ...full, ...notSignedIn } }
    },
    {
      name: 'bad API key of one’s own',
      headers: { authorization: 'ApiKey bad' },
      carries: { apikey: 'token_invalid' }
    },
    {
      name: 'API key of a disabled account',
      headers: { authorization: `ApiKey good-${leaving.username}` },
      carries: { apikey: 'account_disabled' }
    },
    {
      name: 'partner',
      headers: { 'x-partner': bob.username },
      carries: { partner: { ...nobodySpecial, ...notSignedIn } }
    },
    { name: 'bad partner', headers: { 'x-partner': 'bad' }, carries: { partner: 'token_invalid' } },
    {
      name: 'partner of a disabled account',
      headers: { 'x-partner': leaving.username },
      carries: { partner: 'account_disabled' }
    },
    { name: 'unknown scheme', headers: { authorization: `Digest ${one.bearer}` }, carries: {} },
    { name: 'no scheme', headers: { authorization: one.bearer }, carries: {} },
    {
      name: 'cookie and bearer',
      headers: { ...proof, ...bearer(one.bearer), cookie: one.cookie },
      carries: { session: full, bearer: full }
    },
    {
      name: 'cookie and API token',
      headers: { ...proof, ...token(good), cookie: one.cookie },
      carries: { session: full, token: { ...full, ...notSignedIn } }
    },
    {
      name: 'cookie and garbage bearer',
      headers: { ...proof, ...bearer('a.b.c'), cookie: one.cookie },
      carries: { session: full, bearer: 'token_invalid' }
    },
    {
      name: 'bearer and partner',
      headers: { ...bearer(one.bearer), 'x-partner': bob.username },
      carries: { bearer: full, partner: { ...nobodySpecial, ...notSignedIn } }
    },
    {
      name: 'two Authorization headers',
      headers: { authorization: [`Bearer ${one.bearer}`, `Bearer ${one.bearer}`] },
      carries: {},
      always: 'request_malformed'
    },
    {
      name: 'bearer in the query',
      headers: {},
      query: `?access_token=${one.bearer}`,
      carries: {},
      always: 'request_malformed'
    },
    {
      name: 'bearer in the header and in the query',
      headers: bearer(one.bearer),
      query: `?access_token=${one.bearer}`,
      carries: {},
      always: 'request_malformed'
    }
  ]
}

t.test('of credential × authenticators × requirement × method only the intended cells pass', async (t) => {
  let app: World['app']
  const w = await world(
    t,
    (options) => ({
      ...options,
      logger: false,
      authenticators: { order, custom: customAuthenticators(() => app) },
      // One person gives a wrong password in a thousand cells.
      flows: { ...options.flows, guessing: { free: 100_000, max: 100_000 } }
    }),
    async (built) => {
      app = built
      await built.register(async (scope) => {
        await scope.register(guard)
        for (const [set, authenticators] of Object.entries(sets)) {
          for (const [name, { need }] of Object.entries(probes)) {
            scope.route({
              method: ['GET', 'POST'],
              url: `/probe/${set}/${name}/:owner`,
              config: { requirement: need, ...(authenticators === undefined ? {} : { authenticators }) },
              handler: async ({ principalOrNull }) => ({ who: principalOrNull?.accountId ?? null })
            })
          }
        }
      })
    }
  )
  const kinds = await cast(w)
  let cells = 0
  for (const kind of kinds) {
    const wrong: unknown[] = []
    for (const [set, authenticators = order] of Object.entries(sets)) {
      for (const [name, demand] of Object.entries(probes)) {
        for (const method of ['GET', 'POST'] as const) {
          const url = `/probe/${set}/${name}/${owner.id}${kind.query ?? ''}`
          const response = await w.app.inject({ method, url, headers: kind.headers as Record<string, string> })
          const body = response.json()
          const got: Expected = {
            status: response.statusCode,
            code: body.code,
            who: body.who,
            challenge: response.headers['www-authenticate'] as string | undefined
          }
          const expected = expectation(kind, authenticators, name, demand, method)
          if (!isDeepStrictEqual(got, expected)) {
            wrong.push({ cell: `${method} ${set} ${name}`, got, expected })
          }
          cells++
        }
      }
    }
    t.strictSame(wrong, [], kind.name)
  }
  t.ok(cells > 15_000, `${cells} cells`)
})
