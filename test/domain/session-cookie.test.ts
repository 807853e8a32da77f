import fc from 'fast-check'
import t from 'tap'
import { formatRefreshToken } from '../../src/domain/refresh-token.js'
import { formatSessionCookie, readSessionCookie } from '../../src/domain/session-cookie.js'
import { formatSignedText, readSignedText, textKey } from '../../src/domain/signed-text.js'

const key = textKey(Buffer.alloc(32, 1))
const old = textKey(Buffer.alloc(32, 2))
const foreign = textKey(Buffer.alloc(32, 3))
const id = '7f0d3b5c-4a1e-4c2d-9b8a-0123456789ab'

t.test('a session cookie names its session, by every key that is held', async (t) => {
  const text = formatSessionCookie(key, id)
  t.match(text, /^kts_[\w-]{71}$/)
  t.equal(readSessionCookie([key], text), id)
  t.equal(readSessionCookie([old, key], text), id)
  t.equal(readSessionCookie([key, old], formatSessionCookie(old, id)), id)
  t.equal(readSessionCookie([key, old], formatSessionCookie(foreign, id)), null)
  t.equal(readSessionCookie([], text), null)
})

t.test('the same session has the same cookie, and another one another', async (t) => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (one, other) => {
      const [a, b] = [formatSessionCookie(key, one), formatSessionCookie(key, other)]
      return readSessionCookie([key], a) === one && (a === b) === (one === other)
    }),
    { numRuns: 1_000 }
  )
  t.pass()
})

t.test('every change of a single character is seen, and every second spelling', async (t) => {
  const text = formatSessionCookie(key, id)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n%'
  for (let at = 0; at < text.length; at++) {
    for (const character of alphabet) {
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      if (changed !== text && readSessionCookie([key], changed) !== null) t.fail(`character ${at} as ${character}`)
    }
  }
  for (const spelling of [`${text}=`, ` ${text}`, `${text} `, text.toUpperCase(), text.slice(0, -1), `${text}A`]) {
    t.equal(readSessionCookie([key], spelling), null)
  }
})

t.test('a text of one kind is never one of another, also by the same key', async (t) => {
  const refresh = formatRefreshToken(key, { sessionId: id, generation: 0 })
  t.equal(readSessionCookie([key], refresh), null)
  t.equal(readSessionCookie([key], refresh.replace(/^ktr_/, 'kts_')), null)
  const longer = formatSignedText('kts_', key, Buffer.alloc(20))
  t.equal(readSessionCookie([key], longer), null)
  t.equal(readSignedText('ktx_', [key], 16, formatSessionCookie(key, id)), null)
})

t.test('a key id that fits and a secret that does not is no key', async (t) => {
  const twin = { id: key.id, secret: foreign.secret }
  t.equal(readSessionCookie([key], formatSessionCookie(twin, id)), null)
})

t.test('another version is another format', async (t) => {
  const bytes = Buffer.from(formatSessionCookie(key, id).slice(4), 'base64url')
  bytes[0] = 2
  t.equal(readSessionCookie([key], `kts_${bytes.toString('base64url')}`), null)
})
