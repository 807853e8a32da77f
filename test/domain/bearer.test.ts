import fc from 'fast-check'
import t from 'tap'
import { bearerCredential } from '../../src/domain/bearer.js'

const cases: Array<[string, string | undefined, unknown, ReturnType<typeof bearerCredential>]> = [
  ['nothing', undefined, {}, { kind: 'none' }],
  ['a token', 'Bearer a.b.c', {}, { kind: 'token', token: 'a.b.c' }],
  ['the scheme in any case', 'bEaReR a.b.c', {}, { kind: 'token', token: 'a.b.c' }],
  ['more spaces', 'Bearer   a.b.c  ', {}, { kind: 'token', token: 'a.b.c' }],
  ['padding at the end', 'Bearer YQ==', {}, { kind: 'token', token: 'YQ==' }],
  ['an empty header', '', {}, { kind: 'malformed' }],
  ['the scheme alone', 'Bearer', {}, { kind: 'malformed' }],
  ['the scheme and spaces', 'Bearer   ', {}, { kind: 'malformed' }],
  ['no space', 'Bearera.b.c', {}, { kind: 'malformed' }],
  ['a tab', 'Bearer\ta.b.c', {}, { kind: 'malformed' }],
  ['a space before', ' Bearer a.b.c', {}, { kind: 'malformed' }],
  ['another scheme', 'Basic YTpi', {}, { kind: 'malformed' }],
  ['a token alone', 'a.b.c', {}, { kind: 'malformed' }],
  ['two tokens', 'Bearer a.b.c d.e.f', {}, { kind: 'malformed' }],
  ['two headers that were joined', 'Bearer a.b.c, Bearer d.e.f', {}, { kind: 'malformed' }],
  ['quotes', 'Bearer "a.b.c"', {}, { kind: 'malformed' }],
  ['a line end', 'Bearer a.b.c\n', {}, { kind: 'malformed' }],
  ['a NUL', 'Bearer a.b.c\0', {}, { kind: 'malformed' }],
  ['padding in the middle', 'Bearer a=b', {}, { kind: 'malformed' }],
  ['JSON', 'Bearer {"payload":"e30"}', {}, { kind: 'malformed' }],
  ['a token in the query', undefined, { access_token: 'a.b.c' }, { kind: 'in_query' }],
  ['a token in the query, and a header', 'Bearer a.b.c', { access_token: '' }, { kind: 'in_query' }]
]
for (const [title, header, query, expected] of cases) {
  t.test(`the access token of a request: ${title}`, async (t) => {
    t.strictSame(bearerCredential(header, query), expected)
  })
}

t.test('a token has the characters of RFC 6750 §2.1, whatever the header', async (t) => {
  const headers = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary' }).map((text) => `Bearer ${text}`)
  )
  fc.assert(
    fc.property(headers, (header) => {
      const credential = bearerCredential(header, {})
      return credential.kind !== 'token' || /^[A-Za-z0-9\-._~+/]+=*$/.test(credential.token)
    }),
    { numRuns: 2_000 }
  )
  t.pass()
})
