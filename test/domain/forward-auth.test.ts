import t from 'tap'
import {
  identityHeaders,
  identityOf,
  isPreflight,
  loginAddress,
  nobody,
  readDemand,
  statusForNginx,
  wantsPage
} from '../../src/domain/forward-auth.js'
import { principal } from '../../src/domain/principal.js'
import { allow, describeRequirement } from '../../src/domain/requirement.js'

const ada = principal({ accountId: 'ada', authenticator: 'bearer' })

t.test('a demand is read term by term', async (t) => {
  const cases: Array<[string | undefined, object]> = [
    [undefined, allow.authenticated()],
    ['authenticated', allow.authenticated()],
    ['anyone', allow.allowAny()],
    ['role:admin', allow.role('admin')],
    ['role:editor,admin', allow.role('editor', 'admin')],
    ['scope:a,b', allow.scope('a', 'b')],
    ['scope:https://api.test/read', allow.scope('https://api.test/read')],
    ['permission:articles.change_article', allow.permission('articles.change_article')],
    ['acr:aal2', allow.acr('aal2')],
    ['max_auth_age:300', allow.maxAuthAge(300)],
    ['fresh', allow.all(allow.authenticated(), allow.fresh())],
    ['role:admin&max_auth_age:300', allow.all(allow.role('admin'), allow.maxAuthAge(300))],
    ['preflight', allow.authenticated()],
    ['audience:orders', allow.authenticated()]
  ]
  for (const [text, requirement] of cases) {
    const demand = readDemand(text)
    t.same(demand && describeRequirement(demand.requirement), describeRequirement(requirement as never), String(text))
  }
  t.match(readDemand('role:a'), { preflight: false, audience: undefined })
  t.match(readDemand('role:a&preflight&audience:urn:orders'), { preflight: true, audience: 'urn:orders' })
})

t.test('a demand that cannot be read lets nobody in', async (t) => {
  for (const text of [
    '',
    '-',
    'Role:admin',
    'role',
    'role:',
    'role:,',
    'role:admin,',
    'role:admin&',
    '&role:admin',
    'role=admin',
    'roles:admin',
    'role:adm in',
    'constructor',
    'toString:x',
    '__proto__',
    'anyone:x',
    'fresh:1',
    'scope:"',
    'acr:aal1,aal2',
    'max_auth_age:-1',
    'max_auth_age:Infinity',
    'max_auth_age:1,2',
    'audience:',
    'audience:a&audience:b',
    'preflight:x'
  ]) {
    t.equal(readDemand(text), null, JSON.stringify(text))
  }
})

t.test('an identity is in headers, and every header is always there', async (t) => {
  const names = Object.keys(identityHeaders(nobody))
  t.same(names, [
    'x-auth-subject',
    'x-auth-session',
    'x-auth-roles',
    'x-auth-permissions',
    'x-auth-scope',
    'x-auth-email',
    'x-auth-token'
  ])
  t.same(Object.keys(identityHeaders(identityOf(ada, null)!)), names)
  const who = {
    ...ada,
    sessionId: 's1',
    roles: new Set(['b', 'a']),
    permissions: new Set(['x.y']),
    scopes: new Set(['r', 'q'])
  }
  t.match(identityOf(who, 'ada@example.com'), {
    subject: 'ada',
    session: 's1',
    roles: 'a,b',
    permissions: 'x.y',
    scope: 'q r',
    email: 'ada@example.com',
    token: ''
  })
})

t.test('nothing of an identity becomes another name or another header', async (t) => {
  const odd = ['editor,admin', 'a b', 'a\r\nx-auth-roles: admin', 'żółw', '', '\0']
  const who = { ...ada, sessionId: 'a\nb', roles: new Set(odd), permissions: new Set(odd), scopes: new Set(odd) }
  t.match(identityOf(who, 'żółw@example.com'), {
    session: '',
    roles: '',
    permissions: '',
    scope: 'editor,admin',
    email: ''
  })
  for (const accountId of ['', 'a b', 'a\nb', 'żółw']) t.equal(identityOf({ ...ada, accountId }, null), null, accountId)
})

t.test('a browser that asks for a page is told from a script', async (t) => {
  const html = 'text/html,application/xhtml+xml,*/*;q=0.8'
  const cases: Array<[string, string | undefined, string | undefined, boolean, boolean]> = [
    ['GET', html, undefined, false, true],
    ['HEAD', html, 'navigate', false, true],
    ['GET', 'TEXT/HTML;q=0.5', 'navigate', false, true],
    ['POST', html, 'navigate', false, false],
    ['', html, 'navigate', false, false],
    ['GET', html, 'cors', false, false],
    ['GET', html, undefined, true, false],
    ['GET', 'text/html;q=0', undefined, false, false],
    ['GET', 'text/html;q=0.000', undefined, false, false],
    ['GET', '*/*', undefined, false, false],
    ['GET', 'application/json', 'navigate', false, false],
    ['GET', undefined, undefined, false, false]
  ]
  for (const [method, accept, fetchMode, hasAuthorization, expected] of cases) {
    const page = wantsPage(method, { accept, fetchMode, hasAuthorization })
    t.equal(page, expected, `${method} ${accept} ${fetchMode}`)
  }
})

t.test('the login page is told the way back to an origin that is listed, and to no other', async (t) => {
  const page = { url: 'https://app.test/login?theme=dark', returnOrigins: new Set(['https://app.test']) }
  t.equal(
    loginAddress(page, new URL('https://app.test/a?b=c&d=/'), 'session_expired'),
    'https://app.test/login?theme=dark&reason=session_expired&returnTo=https%3A%2F%2Fapp.test%2Fa%3Fb%3Dc%26d%3D%2F'
  )
  for (const url of [
    'http://app.test/',
    'https://app.test:8443/',
    'https://app.test.evil.example/',
    'https://evil.example/https://app.test/'
  ]) {
    const address = loginAddress(page, new URL(url), 'authentication_required')
    t.equal(address, 'https://app.test/login?theme=dark&reason=authentication_required', url)
  }
  t.equal(loginAddress(page, null, 'x'), 'https://app.test/login?theme=dark&reason=x')
  t.equal(loginAddress(page, new URL('https://app.test/login?returnTo=x'), 'x'), null, 'it leads to itself')
})

t.test('a preflight is an OPTIONS request with both of its headers', async (t) => {
  const headers = { origin: 'https://a.test', 'access-control-request-method': 'PUT' }
  t.ok(isPreflight('OPTIONS', headers))
  t.notOk(isPreflight('GET', headers))
  t.notOk(isPreflight('OPTIONS', { origin: 'https://a.test' }))
  t.notOk(isPreflight('OPTIONS', { 'access-control-request-method': 'PUT' }))
})

t.test('nginx gets no status but those that it passes on', async (t) => {
  const cases: Array<[number, number]> = [
    [200, 200],
    [401, 401],
    [302, 403],
    [400, 403],
    [403, 403],
    [429, 403],
    [500, 403],
    [503, 403]
  ]
  for (const [status, expected] of cases) t.equal(statusForNginx(status), expected, String(status))
})
