import t from 'tap'
import { type Inquiry, type ProxyDialect, readForwarded } from '../../src/domain/forwarded-request.js'

const asked: Inquiry = { method: 'GET', path: '/v1/forward-auth', headers: {} }
const traefik = {
  'x-forwarded-method': 'POST',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'app.test:8443',
  'x-forwarded-uri': '/reports?month=1'
}

t.test('each proxy is read by its own headers', async (t) => {
  const cases: Array<[ProxyDialect, Partial<Inquiry>, string, string | null]> = [
    ['forwarded', { headers: traefik }, 'POST', 'https://app.test:8443/reports?month=1'],
    [
      'forwarded',
      { headers: { ...traefik, 'x-forwarded-proto': 'wss' } },
      'POST',
      'https://app.test:8443/reports?month=1'
    ],
    [
      'forwarded',
      { headers: { ...traefik, 'x-forwarded-host': '[::1]:80' } },
      'POST',
      'https://[::1]:80/reports?month=1'
    ],
    [
      'nginx',
      { headers: { 'x-original-method': 'HEAD', 'x-original-url': 'http://app.test/a?b=c' } },
      'HEAD',
      'http://app.test/a?b=c'
    ],
    [
      'envoy',
      {
        method: 'DELETE',
        path: '/v1/forward-auth/envoy/role:admin/envoy/x/y?z=1',
        headers: { host: 'app.test', 'x-forwarded-proto': 'https' }
      },
      'DELETE',
      'https://app.test/envoy/x/y?z=1'
    ]
  ]
  for (const [dialect, inquiry, method, url] of cases) {
    const read = readForwarded(dialect, { ...asked, ...inquiry })
    t.same({ method: read.method, url: read.url?.href ?? null }, { method, url }, `${dialect} ${url}`)
  }
})

t.test('a header that the proxy does not set says nothing, whoever sent it', async (t) => {
  const all = { ...traefik, 'x-original-method': 'GET', 'x-original-url': 'https://evil.test/', host: 'evil.test' }
  t.equal(readForwarded('forwarded', { ...asked, headers: all }).method, 'POST')
  t.equal(readForwarded('nginx', { ...asked, headers: traefik }).method, '', 'a method that is not said is none')
  t.equal(readForwarded('nginx', { ...asked, headers: traefik }).url, null)
  const envoy = readForwarded('envoy', { method: 'PUT', path: '/v1/forward-auth/envoy/-/x', headers: all })
  t.same([envoy.method, envoy.url?.host], ['PUT', 'evil.test'], 'Envoy repeats the request itself')
})

t.test('what cannot be read is nothing', async (t) => {
  for (const change of [
    { 'x-forwarded-proto': 'javascript' },
    { 'x-forwarded-proto': 'https, http' },
    { 'x-forwarded-proto': 'toString' },
    { 'x-forwarded-host': 'app.test, evil.test' },
    { 'x-forwarded-host': 'app.test@evil.test' },
    { 'x-forwarded-host': 'app.test/evil' },
    { 'x-forwarded-host': 'app.test\\evil' },
    { 'x-forwarded-host': '' },
    { 'x-forwarded-host': ['app.test', 'evil.test'] },
    { 'x-forwarded-host': undefined },
    { 'x-forwarded-uri': '.evil.test/' },
    { 'x-forwarded-uri': '@evil.test/' },
    { 'x-forwarded-uri': undefined }
  ]) {
    t.equal(
      readForwarded('forwarded', { ...asked, headers: { ...traefik, ...change } }).url,
      null,
      JSON.stringify(change)
    )
  }
  for (const url of [
    '//app.test/',
    'app.test/',
    'https://app.test',
    'https://a:b@evil.test/',
    'https://a\\@b/',
    'ftp://a/'
  ]) {
    t.equal(readForwarded('nginx', { ...asked, headers: { 'x-original-url': url } }).url, null, url)
  }
  for (const method of ['', 'GET, POST', 'GET\tPOST', '1', 'x'.repeat(40), ['GET', 'POST']]) {
    t.equal(readForwarded('nginx', { ...asked, headers: { 'x-original-method': method } }).method, '', String(method))
  }
  t.equal(readForwarded('envoy', { ...asked, path: '/v1/forward-auth/envoy/role:admin?/x' }).url, null)
})
