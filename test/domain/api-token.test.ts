import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import {
  apiTokenDigest,
  apiTokenEntropy,
  authtokenKey,
  formatApiToken,
  hintOf,
  isApiToken,
  judgeApiToken
} from '../../src/domain/api-token.js'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const entropy = fc
  .uint8Array({ minLength: apiTokenEntropy, maxLength: apiTokenEntropy })
  .map((bytes) => Buffer.from(bytes))

t.test('a key is a prefix, its randomness and a checksum, as scanners find it', async (t) => {
  t.equal(apiTokenEntropy * 8, 176)
  const key = formatApiToken(Buffer.alloc(apiTokenEntropy, 0xff))
  t.match(key, /^ktt_[0-9A-Za-z]{36}$/)
  // By hand: 2^176 - 1 in base 62.
  let value = 0n
  for (const character of key.slice(4, 34)) value = value * 62n + BigInt(alphabet.indexOf(character))
  t.equal(value, 2n ** 176n - 1n)
  let sum = 0n
  for (const character of key.slice(34)) sum = sum * 62n + BigInt(alphabet.indexOf(character))
  t.equal(sum, BigInt(crc32(key.slice(0, 34))))
  t.equal(formatApiToken(Buffer.alloc(apiTokenEntropy)).slice(0, 34), `ktt_${'0'.repeat(30)}`)
})

t.test('different randomness is a different key, and each is one', async (t) => {
  fc.assert(
    fc.property(entropy, entropy, (one, other) => {
      const [a, b] = [formatApiToken(one), formatApiToken(other)]
      return isApiToken(a) && isApiToken(b) && (a === b) === one.equals(other)
    }),
    { numRuns: 1_000 }
  )
  t.pass()
})

t.test('every change of a single character is seen without asking anybody', async (t) => {
  const key = formatApiToken(Buffer.from('a key of the test, ok!'))
  t.ok(isApiToken(key))
  for (let at = 0; at < key.length; at++) {
    for (let code = 0x20; code < 0x7f; code++) {
      const changed = key.slice(0, at) + String.fromCharCode(code) + key.slice(at + 1)
      if (changed !== key && isApiToken(changed)) t.fail(`character ${at} as ${String.fromCharCode(code)}`)
    }
    if (isApiToken(key.slice(0, at) + key.slice(at + 1))) t.fail(`without character ${at}`)
    if (isApiToken(`${key.slice(0, at)}0${key.slice(at)}`)) t.fail(`0 before character ${at}`)
    const [one, two] = [key[at]!, key[at + 1]]
    if (two === undefined || one === two) continue
    if (isApiToken(key.slice(0, at) + two + one + key.slice(at + 2)))
      t.fail(`characters ${at} and ${at + 1} changed places`)
  }
})

const hex = 'a0'.repeat(20)
const forms: Array<[string, string, boolean]> = [
  ['what Django REST Framework’s authtoken writes', hex, true],
  ['what knox writes', `${hex}${'b1'.repeat(12)}`, true],
  ['hexadecimal digits in upper case', hex.toUpperCase(), false],
  ['one digit less', hex.slice(1), false],
  ['one digit more', `${hex}0`, false],
  ['63 digits', 'a'.repeat(63), false],
  ['65 digits', 'a'.repeat(65), false],
  ['a line end', `${hex}\n`, false],
  ['a space', `${hex} `, false],
  ['a NUL', `${hex.slice(1)}\0`, false],
  ['nothing', '', false],
  ['the prefix alone', 'ktt_', false],
  ['the prefix in another case', formatApiToken(Buffer.alloc(22)).replace('ktt', 'KTT'), false],
  ['a key with a line end', `${formatApiToken(Buffer.alloc(22))}\n`, false],
  ['a refresh token', `ktr_${'A'.repeat(76)}`, false],
  ['a session cookie', `kts_${'A'.repeat(71)}`, false],
  ['an access token', 'a.b.c', false]
]
for (const [title, text, isOne] of forms) {
  t.test(`the form of a key: ${title}`, async (t) => {
    t.equal(isApiToken(text), isOne)
  })
}

t.test('whatever the text, to look at it is quick and says yes only to the three forms', async (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'grapheme-ascii' }).map((text) => `ktt_${text}`)
      ),
      (text) => {
        return !isApiToken(text) || /^(ktt_[0-9A-Za-z]{36}|[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)
      }
    ),
    { numRuns: 2_000 }
  )
  t.pass()
})

t.test('an authtoken follows from its row and a secret, and from nothing less', async (t) => {
  const [secret, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const key = authtokenKey(secret, 'a')
  t.match(key, /^[0-9a-f]{40}$/)
  t.ok(isApiToken(key))
  t.equal(authtokenKey(secret, 'a'), key)
  t.not(authtokenKey(secret, 'b'), key)
  t.not(authtokenKey(other, 'a'), key)
})

t.test('what is kept of a key is its SHA-256, and the last four characters for its owner', async (t) => {
  const key = formatApiToken(Buffer.alloc(22, 7))
  t.same(apiTokenDigest(key), createHash('sha256').update(key).digest())
  t.equal(hintOf(key), key.slice(-4))
})

const inputs: Array<[string, { name: string; scopes: string[] }, string[]]> = [
  ['a name and no scopes', { name: 'backup', scopes: [] }, []],
  ['scopes', { name: 'backup', scopes: ['read', 'articles:write', 'https://x.test/a'] }, []],
  ['an empty name', { name: '', scopes: [] }, ['/name']],
  ['a long name', { name: 'x'.repeat(101), scopes: [] }, ['/name']],
  ['a line end in the name', { name: 'a\nb', scopes: [] }, ['/name']],
  ['an escape of a terminal in the name', { name: '\u001b[2J', scopes: [] }, ['/name']],
  ['half of a pair in the name', { name: '\ud800', scopes: [] }, ['/name']],
  ['an empty scope', { name: 'a', scopes: [''] }, ['/scopes/0']],
  ['two scopes in one', { name: 'a', scopes: ['read', 'read write'] }, ['/scopes/1']],
  ['quotes', { name: 'a', scopes: ['a"b', 'a\\b'] }, ['/scopes/0', '/scopes/1']],
  ['a long scope', { name: 'a', scopes: ['x'.repeat(65)] }, ['/scopes/0']]
]
for (const [title, input, pointers] of inputs) {
  t.test(`a new token: ${title}`, async (t) => {
    t.same(
      judgeApiToken(input).map(({ pointer }) => pointer),
      pointers
    )
  })
}
