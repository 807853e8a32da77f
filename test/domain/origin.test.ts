import fc from 'fast-check'
import t from 'tap'
import {
  type CookieRequest,
  judgeCookieRequest,
  judgeForwardedCookie,
  refusalOfOrigin
} from '../../src/domain/origin.js'

const allowed = new Set(['https://auth.test', 'https://app.test'])
const json = 'application/json'
const own: CookieRequest = { contentType: json, fetchSite: 'same-origin', origin: undefined, customHeader: '1' }
const old: CookieRequest = { ...own, fetchSite: undefined }

const cases: Array<[string, CookieRequest, boolean]> = [
  ['the own page', own, true],
  ['the own page with its origin', { ...own, origin: 'https://auth.test' }, true],
  ['with a charset', { ...own, contentType: 'application/json; charset=utf-8' }, true],
  ['in capitals', { ...own, contentType: 'Application/JSON' }, true],
  ['an allowed origin on the same site', { ...own, fetchSite: 'same-site', origin: 'https://app.test' }, true],
  ['an allowed origin on another site', { ...own, fetchSite: 'cross-site', origin: 'https://app.test' }, true],
  ['an old browser with an allowed origin', { ...old, origin: 'https://app.test' }, true],
  ['a sibling host', { ...own, fetchSite: 'same-site', origin: 'https://evil.test' }, false],
  ['a sibling host without an origin', { ...own, fetchSite: 'same-site' }, false],
  ['another site', { ...own, fetchSite: 'cross-site', origin: 'https://evil.example' }, false],
  ['another site without an origin', { ...own, fetchSite: 'cross-site' }, false],
  ['a navigation', { ...own, fetchSite: 'none' }, false],
  ['a value that no browser sends', { ...own, fetchSite: 'SAME-ORIGIN' }, false],
  ['two values', { ...own, fetchSite: 'same-origin, same-origin' }, false],
  ['an empty value', { ...own, fetchSite: '' }, false],
  ['an old browser without an origin', old, false],
  ['an old browser, origin null', { ...old, origin: 'null' }, false],
  ['an allowed host by http', { ...old, origin: 'http://app.test' }, false],
  ['an allowed host at another port', { ...old, origin: 'https://app.test:8443' }, false],
  ['an allowed host as a beginning', { ...old, origin: 'https://app.test.evil.example' }, false],
  ['an allowed host as an end', { ...old, origin: 'https://evilapp.test' }, false],
  ['an allowed host with a slash', { ...old, origin: 'https://app.test/' }, false],
  ['an allowed host in capitals', { ...old, origin: 'https://APP.test' }, false],
  ['two origins', { ...old, origin: 'https://app.test https://evil.example' }, false],
  ['no custom header', { ...own, customHeader: undefined }, false],
  ['no content type', { ...own, contentType: undefined }, false],
  ['an empty content type', { ...own, contentType: '' }, false]
]
for (const contentType of [
  'text/plain',
  'text/plain;application/json',
  'text/plain; charset=application/json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=application/json',
  'application/json, text/plain',
  'text/plain, application/json',
  'application/json-patch+json',
  'application/jsonp',
  'application/ json',
  'application/json\0',
  ';application/json'
]) {
  cases.push([`content type ${JSON.stringify(contentType)}`, { ...own, contentType }, false])
}
for (const [title, request, obeyed] of cases) {
  t.test(`a request with our cookie, ${title}, is ${obeyed ? 'obeyed' : 'refused'}`, async (t) => {
    const missing = judgeCookieRequest(request, allowed)
    t.equal(missing === null, obeyed, missing?.because ?? 'no reason')
  })
}

t.test('no origin but a listed one, and no other site, is ever obeyed', async (t) => {
  const texts = fc.oneof(fc.webUrl(), fc.string(), fc.constantFrom('null', 'https://auth.test', 'https://app.test'))
  const sites = fc.oneof(fc.constantFrom('same-site', 'cross-site', 'none', ''), fc.string())
  fc.assert(
    fc.property(fc.option(texts, { nil: undefined }), fc.option(sites, { nil: undefined }), (origin, fetchSite) => {
      fc.pre(fetchSite !== 'same-origin')
      const because = judgeCookieRequest({ ...own, origin, fetchSite }, allowed)
      return (because === null) === (origin !== undefined && allowed.has(origin))
    }),
    { numRuns: 2_000 }
  )
  t.pass()
})

t.test('an origin that may be allowed is written as browsers write it', async (t) => {
  for (const good of [
    'https://app.example.com',
    'http://localhost:5173',
    'https://[::1]:8443',
    'https://xn--bcher-kva.example'
  ]) {
    t.equal(refusalOfOrigin(good), null, good)
  }
  for (const bad of [
    '*',
    'null',
    '',
    'https://*.example.com/',
    'https://app.example.com/',
    'https://app.example.com/path',
    'https://app.example.com:443',
    'https://APP.example.com',
    'https://user@app.example.com',
    'app.example.com',
    'ftp://app.example.com',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://bücher.example',
    ' https://app.example.com'
  ]) {
    t.not(refusalOfOrigin(bad), null, JSON.stringify(bad))
  }
})

t.test('a request to a proxy’s upstream comes from its own pages or from those that are allowed', async (t) => {
  const own = 'https://shop.test'
  const cases: Array<[string, string | undefined, string | undefined, string | null, boolean]> = [
    ['the own page', 'same-origin', own, own, true],
    ['the own page, as it says alone', 'same-origin', undefined, null, true],
    ['an old browser', undefined, own, own, true],
    ['an allowed page', 'same-site', 'https://app.test', own, true],
    ['a sibling host', 'same-site', 'https://evil.test', own, false],
    ['another site', 'cross-site', 'https://evil.example', own, false],
    ['a navigation', 'none', undefined, own, false],
    ['neither', undefined, undefined, own, false],
    ['origin null', undefined, 'null', own, false],
    ['an origin where the own one is not known', undefined, own, null, false],
    ['the own host by http', undefined, 'http://shop.test', own, false],
    ['a value that no browser sends', 'SAME-ORIGIN', undefined, own, false]
  ]
  for (const [title, fetchSite, origin, ownOrigin, isAllowed] of cases) {
    t.equal(judgeForwardedCookie({ fetchSite, origin, own: ownOrigin }, allowed) === null, isAllowed, title)
  }
})
