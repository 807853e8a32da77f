import fc from 'fast-check'
import t from 'tap'
import { emailKey, judgeUsername, normalizeUsername, usernameKey } from '../../src/domain/identity.js'

const isGood = (username: string) => judgeUsername(username).length === 0
const kelvin = '\u212a'
const dotlessI = '\u0131'
const dottedI = '\u0130'
const longS = '\u017f'

t.test('look-alikes of one username are one username', async (t) => {
  for (const [one, other] of [
    ['ada', 'ADA'],
    ['ada', 'ａｄａ'],
    ['kate', `${kelvin}ate`],
    ['sam', `${longS}am`],
    ['file', 'ﬁle'],
    ['\u00e9va', 'e\u0301va'],
    ['ÅSA', 'a\u030asa'],
    ['straße', 'STRA\u1e9eE']
  ] as const) {
    t.equal(usernameKey(one), usernameKey(other), `${one} and ${other}`)
  }
})

t.test('different usernames stay different', async (t) => {
  for (const [one, other] of [
    ['i', dotlessI],
    ['ada', 'adа'],
    ['o', '0'],
    ['a.b', 'ab'],
    ['a+b', 'a']
  ] as const) {
    t.not(usernameKey(one), usernameKey(other), `${one} and ${other}`)
  }
})

t.test('the key of a username is the key of its stored form, and of itself', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (username) => {
      fc.pre(isGood(username))
      const key = usernameKey(username)
      return usernameKey(normalizeUsername(username)) === key && usernameKey(key) === key && isGood(key)
    }),
    { numRuns: 2_000 }
  )
  t.pass()
})

t.test('every single character that a username may have keeps one key', async (t) => {
  let letters = 0
  for (let code = 0x20; code < 0x11_0000; code++) {
    if (code >= 0xd800 && code < 0xe000) continue
    const letter = String.fromCodePoint(code)
    if (!isGood(letter)) continue
    letters++
    const key = usernameKey(letter)
    if (usernameKey(key) !== key || usernameKey(normalizeUsername(letter)) !== key) t.fail(code.toString(16))
  }
  t.ok(letters > 100_000)
})

const usernames: Array<[string, string, boolean]> = [
  ['letters, digits and the five signs', 'Ada_1.2@x+y-z', true],
  ['any script', '李明', true],
  ['150 characters', 'x'.repeat(150), true],
  ['151 characters', 'x'.repeat(151), false],
  ['150 that normalization makes longer', 'ﬃ'.repeat(60), false],
  ['nothing', '', false],
  ['a space', 'a b', false],
  ['a no-break space', 'a\u00a0b', false],
  ['a zero-width space', 'a\u200bb', false],
  ['a zero-width joiner', 'a\u200db', false],
  ['a text direction override', 'a\u202eb', false],
  ['a soft hyphen', 'a\u00adb', false],
  ['a NUL', 'a\0b', false],
  ['a line end', 'ada\n', false],
  ['a lone combining accent', '\u0301', false],
  ['a capital I with a dot, whose small form is two characters', dottedI, false],
  ['a diaeresis that normalization makes a space', 'a\u00a8b', false],
  ['half of a surrogate pair', 'a\ud83db', false],
  ['a slash', 'a/b', false],
  ['markup', '<b>', false],
  ['an emoji', '🔑', false]
]
for (const [title, username, good] of usernames) {
  t.test(`a username may ${good ? '' : 'not '}be ${title}`, async (t) => {
    t.equal(isGood(username), good)
  })
}

t.test('addresses are the same but for the case of ASCII letters', async (t) => {
  t.equal(emailKey('Ada@Example.COM'), 'ada@example.com')
  t.not(emailKey('ÉVA@example.com'), emailKey('éva@example.com'))
})

for (const [name, email, victim] of [
  ['the dotless i', `m${dotlessI}ke@example.com`, 'mike@example.com'],
  ['the dotted capital I', `m${dottedI}ke@example.com`, 'mike@example.com'],
  ['the long s', `${longS}am@example.com`, 'sam@example.com'],
  ['fullwidth letters', 'ａｄａ@example.com', 'ada@example.com'],
  ['a fullwidth at sign', 'ada＠example.com', 'ada@example.com'],
  ['a ligature', 'ﬁona@example.com', 'fiona@example.com'],
  ['the Kelvin sign', `${kelvin}ate@example.com`, 'kate@example.com'],
  ['the Kelvin sign in the host', `kate@${kelvin}yoto.example`, 'kate@kyoto.example']
] as const) {
  t.test(`CVE-2019-19844: an address with ${name} is not the plain one`, async (t) => {
    t.not(emailKey(email), emailKey(victim))
  })
}

t.test('the key of an address is its own key', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      (email) => emailKey(emailKey(email)) === emailKey(email)
    )
  )
  t.pass()
})
