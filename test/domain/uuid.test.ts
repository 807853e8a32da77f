import fc from 'fast-check'
import t from 'tap'
import { bytesFromUuid, isUuid, uuidFromBytes, uuidV7 } from '../../src/domain/uuid.js'

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 })

t.test('sixteen bytes become a UUID and come back', async (t) => {
  fc.assert(
    fc.property(bytes16, (bytes) => {
      const text = uuidFromBytes(bytes)
      return isUuid(text) && bytesFromUuid(text).equals(Buffer.from(bytes))
    })
  )
  const padded = Buffer.from(`ff${'01'.repeat(16)}ff`, 'hex')
  t.equal(uuidFromBytes(padded.subarray(1, 17)), '01010101-0101-0101-0101-010101010101', 'also out of a longer buffer')
})

t.test('a version 7 UUID says its time, its version and its variant', async (t) => {
  const times = fc.integer({ min: 0, max: 2 ** 48 - 1 })
  fc.assert(
    fc.property(times, bytes16, (time, entropy) => {
      const text = uuidV7(new Date(Math.min(time, 8.64e15)), entropy)
      return (
        isUuid(text) &&
        text[14] === '7' &&
        /[89ab]/.test(text[19]!) &&
        Number.parseInt(text.replaceAll('-', '').slice(0, 12), 16) === time
      )
    })
  )
  t.pass()
})

t.test('later UUIDs sort later, whatever chance adds', async (t) => {
  const times = fc.integer({ min: 0, max: 2 ** 47 })
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 2 ** 40 }), bytes16, bytes16, (time, gap, one, other) => {
      return uuidV7(new Date(time), one) < uuidV7(new Date(time + gap), other)
    })
  )
  t.pass()
})

t.test('chance is not changed where it was given', async (t) => {
  const entropy = Buffer.alloc(16, 0xff)
  uuidV7(new Date(), entropy)
  t.ok(entropy.equals(Buffer.alloc(16, 0xff)))
})

t.test('only the one canonical form is a UUID here', async (t) => {
  const good = '01890a5d-ac96-774b-bcce-b302099a8057'
  t.ok(isUuid(good))
  for (const bad of [
    good.toUpperCase(),
    `{${good}}`,
    `urn:uuid:${good}`,
    good.replaceAll('-', ''),
    `${good}\n`,
    ` ${good}`,
    `${good}0`,
    good.slice(1),
    good.replace('a', 'g'),
    good.replace('0', '٠'),
    `${good}' or '1'='1`,
    '../../etc/passwd',
    ''
  ]) {
    t.notOk(isUuid(bad), JSON.stringify(bad))
  }
})
