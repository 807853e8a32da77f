import fc from 'fast-check'
import t from 'tap'
import { isCanonicalBase64url } from '../../src/domain/base64url.js'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

t.test('any bytes have one canonical spelling: the one that the platform writes', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) =>
      isCanonicalBase64url(Buffer.from(bytes).toString('base64url'))
    )
  )
  t.pass()
})

t.test('a text is canonical exactly where decoding and encoding give it back', async (t) => {
  const texts = fc.oneof(
    fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(...alphabet, '=', '+', '/', '.', ' ', '\n', 'é', '\0'), maxLength: 12 })
  )
  fc.assert(
    fc.property(texts, (text) => {
      const again = Buffer.from(text, 'base64url').toString('base64url')
      return isCanonicalBase64url(text) === (text !== '' && again === text)
    }),
    { numRuns: 5_000 }
  )
  t.pass()
})

t.test('of all last characters that decode to the same bytes one is right', async (t) => {
  for (const [start, spellings] of [
    ['A', 4],
    ['AA', 16]
  ] as const) {
    const endings = [...alphabet].filter((end) => isCanonicalBase64url(start === 'A' ? `A${end}` : `AA${end}`))
    t.equal(endings.length, start === 'A' ? 4 : 16, `${start}?`)
    const values = endings.map((end) => Buffer.from(`${start}${end}`, 'base64url').toString('hex'))
    t.equal(new Set(values).size, spellings, 'all of them are different bytes')
  }
})

t.test('what is not base64url is refused', async (t) => {
  for (const text of [
    '',
    'A',
    'AAAAA',
    'AA==',
    'AAA=',
    'AA+A',
    'AA/A',
    'AA A',
    'AAAA\n',
    '\nAAAA',
    'AAAÄ',
    'AA\0A',
    '.'
  ]) {
    t.notOk(isCanonicalBase64url(text), JSON.stringify(text))
  }
})
