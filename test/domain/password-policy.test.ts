import fc from 'fast-check'
import t from 'tap'
import { wordsOfIssuer } from '../../src/domain/context-words.js'
import { judgePassword, normalizePassword, type PasswordPolicy } from '../../src/domain/password-policy.js'
import { loadBlocklist } from '../../src/password-lists.js'

const policy: PasswordPolicy = {
  minLength: 15,
  blocklist: new Set(['correcthorsebattery', 'trustno1trustno1', 'qwertyuiop']),
  contextWords: ['keyturn', 'auth', 'example', 'com', 'Road-Runner']
}
const own = { username: 'ada.lovelace.1815', email: 'countess.lovelace@example.com' }
const codes = (password: string, who: Parameters<typeof judgePassword>[1] = own, rules = policy) =>
  judgePassword(password, who, rules).map(({ code }) => code)

const cases: Array<[string, string, string[]]> = [
  ['fifteen characters are enough', 'x'.repeat(15), []],
  ['fourteen are not', 'x'.repeat(14), ['too_short']],
  ['none are not', '', ['too_short']],
  ['characters are counted, not code units', '🔑'.repeat(14), ['too_short']],
  ['so fifteen of two units each are enough', '🔑'.repeat(15), []],
  ['letters count as they are stored, composed', 'e\u0301'.repeat(14), ['too_short']],
  ['white space counts', 'a b c d e f g h', []],
  ['there are no composition rules', 'nothing but words', []],
  ['a known password is refused', 'correcthorsebattery', ['too_common']],
  ['in any case', 'CorrectHorseBattery', ['too_common']],
  ['and in any width', 'ｃｏｒｒｅｃｔhorsebattery', ['too_common']],
  ['but not where it is only a part', 'correcthorsebattery!', []],
  ['the username is no password', 'ada.lovelace.1815', ['same_as_name']],
  ['in any case', 'ADA.LOVELACE.1815', ['same_as_name']],
  ['nor the address', 'Countess.Lovelace@Example.com', ['same_as_name']],
  ['nor its first part', 'countess.lovelace', ['same_as_name']],
  ['a NUL cannot be typed', 'correct horse \0 battery', ['not_text']],
  ['half of a surrogate pair cannot be stored', 'correct horse \ud83d battery', ['not_text']],
  ['a name of the service with a run of digits is one that is tried first', 'keyturn123456789', ['known_name']],
  ['in any case, and again and again', 'KeyTurnkeyturnKEYTURN', ['known_name']],
  ['with a year and signs', 'KeyTurn-2026!!!!', ['known_name']],
  ['with whatever between its letters', 'k-e-y-t-u-r-n 2026', ['known_name']],
  ['with digits and signs for letters', 'k3y7urn!k3y7urn!', ['known_name']],
  ['with accents, and in any width', 'ＫÉYTÜRN-keyturn', ['known_name']],
  ['with letters that are taken for each other', 'roadrunner-ROADRUNNER', ['known_name']],
  ['with the same sign until it is long enough', 'keyturn!!!!!!!!!!', ['known_name']],
  ['with a known password beside it', 'qwertyuiop-keyturn', ['known_name']],
  ['several of them', 'example.keyturn.com', ['known_name']],
  ['a part of the own username with a year', 'Lovelace1815-1843', ['known_name']],
  ['a part of the own address', 'countess-countess-1', ['known_name']],
  ['in leet as well', 'C0un7355 L0v31ac3!', ['known_name']],
  ['but a passphrase may have a name in it', 'keyturn opens my garden gate', []],
  ['also the own one', 'lovelace had eleven turtles', []],
  ['and other digits are other letters', 'keyturn 8253 9174', []],
  ['and what only begins alike is no name', 'keytur keytur keytur', []],
  ['a long passphrase is fine', 'word '.repeat(200), []]
]
for (const [title, password, expected] of cases) {
  t.test(`passwords: ${title}`, async (t) => {
    t.strictSame(codes(password), expected)
  })
}

t.test('an account without an address is judged by its name alone', async (t) => {
  for (const email of [undefined, null]) {
    t.strictSame(codes('countess.lovelace', { username: 'x', email }), [])
    t.strictSame(codes('quagmire-2024-!!', { username: 'quagmire', email }), ['known_name'])
  }
})

t.test('the minimum is a setting', async (t) => {
  t.strictSame(codes('eight888', own, { ...policy, minLength: 8 }), [])
  t.strictSame(codes('seven77', own, { ...policy, minLength: 8 }), ['too_short'])
})

t.test('what is wrong is said with the member and never with the password', async (t) => {
  for (const [, password] of cases) {
    for (const violation of judgePassword(password, own, policy, '/new_password')) {
      t.equal(violation.pointer, '/new_password')
      if (password !== '') t.notOk(violation.detail.includes(password))
    }
  }
})

t.test('NFC changes how a password is written, never which one it is', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (password) => {
      const normal = normalizePassword(password)
      return normalizePassword(normal) === normal && normalizePassword(password.normalize('NFD')) === normal
    })
  )
  t.not(normalizePassword('ﬁ'), 'fi', 'look-alikes stay different')
  t.not(normalizePassword('A'), 'a')
})

t.test('the lists that are shipped hold the commonest passwords, in lower case', async (t) => {
  const blocklist = loadBlocklist()
  const shipped = { minLength: 8, blocklist, contextWords: [] }
  t.ok(blocklist.size > 15_000)
  for (const known of ['password', '12345678', 'qwertyuiop', 'PassWord', 'iloveyou']) {
    t.strictSame(codes(known, own, shipped), ['too_common'], known)
  }
  t.strictSame(
    [...blocklist].filter((entry) => entry !== entry.toLowerCase()),
    []
  )
})

t.test('what is needed beside a name follows the minimum, and names of two letters are none', async (t) => {
  const short = { ...policy, minLength: 8 }
  t.strictSame(codes('keyturn-xq7', own, short), ['known_name'])
  t.strictSame(codes('keyturn-xq7z', own, short), [])
  const [violation] = judgePassword('keyturnkeyturn1', own, policy)
  t.match(violation!.detail, /at least 8 other letters/)
  t.strictSame(codes('alalalalalalalalal', { username: 'al' }), [])
})

t.test('the longest password costs no time, whatever is in it', async (t) => {
  const names = Array.from({ length: 50 }, (_, n) => `${'a'.repeat(100)}${n}`)
  t.strictSame(codes('a'.repeat(1024), own, { ...policy, contextWords: [...names, 'aaa'] }), ['known_name'])
})

t.test('the host of the issuer names the service, an IP address does not', async (t) => {
  t.strictSame(wordsOfIssuer('https://auth.example.com/tenant'), ['auth', 'example', 'com'])
  t.strictSame(wordsOfIssuer('http://localhost:3000'), ['localhost'])
  for (const issuer of ['http://127.0.0.1:3000', 'http://[::1]:3000']) t.strictSame(wordsOfIssuer(issuer), [])
})
