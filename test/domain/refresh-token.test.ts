import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { formatRefreshToken, readRefreshToken } from '../../src/domain/refresh-token.js'
import { textKey } from '../../src/domain/signed-text.js'
import { uuidFromBytes } from '../../src/domain/uuid.js'

const key = textKey(Buffer.alloc(32, 'a secret'))
const other = textKey(Buffer.alloc(32, 'another one'))
const content = { sessionId: '01890a5d-ac96-774b-bcce-b302099a8057', generation: 7 }
const token = formatRefreshToken(key, content)
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const contents = fc.record({
  sessionId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidFromBytes),
  generation: fc.integer({ min: 0, max: 2 ** 32 - 1 })
})

t.test('what is written is read', async (t) => {
  fc.assert(
    fc.property(contents, (content) => {
      const text = formatRefreshToken(key, content)
      const read = readRefreshToken([other, key], text)
      return (
        /^ktr_[\w-]{76}$/.test(text) && read?.sessionId === content.sessionId && read.generation === content.generation
      )
    })
  )
  t.equal(formatRefreshToken(key, content), token, 'and is the same text each time')
})

t.test('two sessions, two generations or two keys never share a token', async (t) => {
  fc.assert(
    fc.property(contents, contents, (one, two) => {
      const same = one.sessionId === two.sessionId && one.generation === two.generation
      return same === (formatRefreshToken(key, one) === formatRefreshToken(key, two))
    })
  )
  t.not(formatRefreshToken(other, content), token)
})

t.test('a token with any one bit changed is refused', async (t) => {
  const bytes = Buffer.from(token.slice(4), 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    t.equal(readRefreshToken([key], `ktr_${changed.toString('base64url')}`), null, `bit ${bit}`)
  }
})

t.test('a token with any one character changed is refused', async (t) => {
  for (let at = 0; at < token.length; at++) {
    for (const letter of [...alphabet, '=', '.', ' ']) {
      if (letter === token[at]) continue
      const changed = token.slice(0, at) + letter + token.slice(at + 1)
      if (readRefreshToken([key], changed) !== null) t.fail(`${letter} at ${at}`)
    }
  }
  t.pass()
})

t.test('a token cut short or made longer is refused at every length', async (t) => {
  for (let length = 0; length < token.length; length++) {
    t.equal(readRefreshToken([key], token.slice(0, length)), null, `first ${length}`)
    t.equal(readRefreshToken([key], token.slice(token.length - length)), null, `last ${length}`)
  }
  for (let more = 1; more <= 64; more++) {
    t.equal(readRefreshToken([key], token + 'A'.repeat(more)), null, `${more} more`)
    t.equal(readRefreshToken([key], 'A'.repeat(more) + token), null, `${more} before`)
  }
  for (const wrapped of [`${token}\n`, ` ${token}`, `${token} `, `${token}=`, `"${token}"`, token + token]) {
    t.equal(readRefreshToken([key], wrapped), null, JSON.stringify(wrapped.slice(-3)))
  }
})

t.test('a token of another key, or of none, is refused', async (t) => {
  t.equal(readRefreshToken([other], token), null)
  t.equal(readRefreshToken([], token), null)
  const borrowed = { id: key.id, secret: other.secret }
  t.equal(readRefreshToken([key], formatRefreshToken(borrowed, content)), null, 'the id of a key is not its secret')
})

t.test('another version and another beginning are refused, though their MAC may be right', async (t) => {
  t.equal(readRefreshToken([key], token.replace('ktr_', 'ktx_')), null)
  t.equal(readRefreshToken([key], token.replace('ktr_', 'KTR_')), null)
})

t.test('chance is no token', async (t) => {
  for (let n = 0; n < 1_000; n++) {
    if (readRefreshToken([key], `ktr_${randomBytes(57).toString('base64url')}`) !== null) t.fail()
  }
  t.pass()
})

t.test('the id of a key tells nothing of its secret and follows from it', async (t) => {
  t.ok(textKey(Buffer.alloc(32, 'a secret')).id.equals(key.id))
  t.notOk(other.id.equals(key.id))
  t.equal(key.id.length, 4)
  t.notOk(key.secret.includes(key.id))
})
