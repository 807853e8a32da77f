import fc from 'fast-check'
import t from 'tap'
import { bearerToken, hasTokenInQuery, readAuthorization } from '../../src/domain/authorization.js'
import { basicCredentials } from '../../src/domain/basic-credentials.js'

const read = (text: string) => readAuthorization(['Host', 'x', 'aUtHorization', text])

/** The bearer token of a header; null where it is no bearer header, undefined where it is a malformed one. */
function bearerOf(text: string): string | null | undefined {
  const authorization = read(text)
  if (authorization === null || authorization === 'several') return null
  return authorization.scheme === 'bearer' ? bearerToken(authorization) : null
}

t.test('the Authorization header is found among raw headers, and never chosen among several', async (t) => {
  t.equal(readAuthorization([]), null)
  t.equal(readAuthorization(['x-authorization', 'Bearer a']), null)
  t.strictSame(read('Bearer a.b.c'), { scheme: 'bearer', credentials: 'a.b.c', text: 'Bearer a.b.c' })
  t.equal(readAuthorization(['authorization', 'Bearer a', 'Authorization', 'Bearer a']), 'several')
  t.equal(readAuthorization(['authorization', '', 'authorization', '']), 'several')
})

const bearers: Array<[string, string, string | null | undefined]> = [
  ['a token', 'Bearer a.b.c', 'a.b.c'],
  ['the scheme in any case', 'bEaReR a.b.c', 'a.b.c'],
  ['more spaces', 'Bearer   a.b.c  ', 'a.b.c'],
  ['padding at the end', 'Bearer YQ==', 'YQ=='],
  ['an empty header', '', null],
  ['the scheme alone', 'Bearer', undefined],
  ['the scheme and spaces', 'Bearer   ', undefined],
  ['no space', 'Bearera.b.c', null],
  ['a tab', 'Bearer\ta.b.c', null],
  ['a space before', ' Bearer a.b.c', null],
  ['another scheme', 'Basic YTpi', null],
  ['a token alone', 'a.b.c', null],
  ['two tokens', 'Bearer a.b.c d.e.f', undefined],
  ['two headers that were joined', 'Bearer a.b.c, Bearer d.e.f', undefined],
  ['quotes', 'Bearer "a.b.c"', undefined],
  ['a line end', 'Bearer a.b.c\n', undefined],
  ['a NUL', 'Bearer a.b.c\0', undefined],
  ['padding in the middle', 'Bearer a=b', undefined],
  ['JSON', 'Bearer {"payload":"e30"}', undefined]
]
for (const [title, header, expected] of bearers) {
  t.test(`the access token of a header: ${title}`, async (t) => {
    t.equal(bearerOf(header), expected)
  })
}

t.test('no header takes longer to read than its length: spaces within one are scanned once', async (t) => {
  const spaces = ' '.repeat(1_000_000)
  const startedAt = performance.now()
  for (const text of [
    `Bearer a${spaces}b`,
    `Bearer${spaces}b`,
    `Bearer a${spaces}`,
    `${spaces}a`,
    'a'.repeat(1_000_000)
  ]) {
    read(text)
  }
  t.ok(performance.now() - startedAt < 2_000, 'a quadratic reading takes minutes')
})

t.test('a token in the query is seen', async (t) => {
  t.ok(hasTokenInQuery({ access_token: 'a.b.c' }))
  t.ok(hasTokenInQuery({ access_token: '' }))
  t.notOk(hasTokenInQuery({ token: 'a.b.c' }))
  t.notOk(hasTokenInQuery(undefined))
})

t.test('a token has the characters of RFC 6750 §2.1, whatever the header', async (t) => {
  const headers = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary' }).map((text) => `Bearer ${text}`)
  )
  fc.assert(
    fc.property(headers, (header) => {
      const token = bearerOf(header)
      return token == null || /^[A-Za-z0-9\-._~+/]+=*$/.test(token)
    }),
    { numRuns: 2_000 }
  )
  t.pass()
})

const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64')
const basics: Array<[string, string, ReturnType<typeof basicCredentials>]> = [
  ['name and password', base64('ada:secret'), { name: 'ada', password: 'secret' }],
  ['a colon in the password', base64('ada:a:b'), { name: 'ada', password: 'a:b' }],
  ['an empty password', base64('ada:'), { name: 'ada', password: '' }],
  ['UTF-8', base64('ada:pä55wörd ✓'), { name: 'ada', password: 'pä55wörd ✓' }],
  ['no name', base64(':secret'), undefined],
  ['no colon', base64('ada'), undefined],
  ['nothing', '', undefined],
  ['no base64', 'ada:secret', undefined],
  ['Latin-1', base64(Buffer.from('ada:p\xe4ss', 'latin1')), undefined],
  ['without its padding', base64('ada:x').slice(0, -1), undefined],
  ['with too much padding', `${base64('ada:x')}=`, undefined],
  ['the longest name', base64(`${'a'.repeat(300)}:x`), { name: 'a'.repeat(300), password: 'x' }],
  ['a longer name', base64(`${'a'.repeat(301)}:x`), undefined],
  ['the longest password', base64(`ada:${'x'.repeat(1_024)}`), { name: 'ada', password: 'x'.repeat(1_024) }],
  ['a longer password', base64(`ada:${'x'.repeat(1_025)}`), undefined],
  ['too much', base64(`ada:${'x'.repeat(5_000)}`), undefined]
]
for (const [title, credentials, expected] of basics) {
  t.test(`a Basic header: ${title}`, async (t) => {
    t.strictSame(basicCredentials({ scheme: 'basic', credentials, text: '' }), expected)
  })
}
