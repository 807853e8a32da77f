import fc from 'fast-check'
import t from 'tap'
import { judgePassword, normalizePassword, type PasswordPolicy } from '../../src/domain/password-policy.js'
import { loadBlocklist } from '../../src/password-lists.js'

const policy: PasswordPolicy = { minLength: 15, blocklist: new Set(['correcthorsebattery', 'trustno1trustno1']) }
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
  ['a long passphrase is fine', 'word '.repeat(200), []]
]
for (const [title, password, expected] of cases) {
  t.test(`passwords: ${title}`, async (t) => {
    t.strictSame(codes(password), expected)
  })
}

t.test('an account without an address is judged by its name alone', async (t) => {
  for (const email of [undefined, null]) t.strictSame(codes('countess.lovelace', { username: 'x', email }), [])
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
  const shipped = { minLength: 8, blocklist }
  t.ok(blocklist.size > 15_000)
  for (const known of ['password', '12345678', 'qwertyuiop', 'PassWord', 'iloveyou']) {
    t.strictSame(codes(known, own, shipped), ['too_common'], known)
  }
  t.strictSame(
    [...blocklist].filter((entry) => entry !== entry.toLowerCase()),
    []
  )
})
