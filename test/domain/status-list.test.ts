import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { decodeStatusList, judgeStatusList, listSize, statusAt } from '../../src/domain/status-list.js'
import { encodeStatusList, StatusPlaces } from '../../src/domain/status-places.js'

interface Vector {
  readonly name: string
  readonly bits?: number
  readonly entries?: number
  readonly nonzeroOrListed?: Record<string, number>
  readonly rawHex?: string
  readonly values?: number[]
  readonly jwt?: string
  readonly publicJwk?: JsonWebKey
  readonly statusList?: { readonly bits: 1 | 2 | 4 | 8; readonly lst: string }
}

const { vectors } = JSON.parse(
  readFileSync(new URL('../vectors/token-status-list/vectors.json', import.meta.url), 'utf8')
) as { vectors: Vector[] }
const lists = vectors.filter(({ statusList }) => statusList !== undefined)

t.test('the draft’s lists say what the draft says', async (t) => {
  t.equal(lists.length, 6)
  for (const { name, bits, entries, nonzeroOrListed, rawHex, values, statusList } of lists) {
    const list = (await decodeStatusList(statusList))!
    t.equal(list.bits, bits, name)
    if (rawHex !== undefined) t.equal(Buffer.from(list.bytes).toString('hex'), rawHex, name)
    const said = values ?? Array.from({ length: entries! }, (_, idx) => nonzeroOrListed![idx] ?? 0)
    t.same(
      said.findIndex((value, idx) => statusAt(list, idx) !== value),
      -1,
      `${name}: every place`
    )
    t.equal(statusAt(list, (list.bytes.length * 8) / list.bits), undefined, `${name}: a place beyond its end`)
  }
})

t.test('the draft’s example token verifies and is accepted under its own address alone', async (t) => {
  const { jwt, publicJwk } = vectors.find(({ name }) => name === 'example statuslist+jwt')!
  const [header, payload, signature] = jwt!.split('.') as [string, string, string]
  const key = { key: createPublicKey({ key: publicJwk!, format: 'jwk' }), dsaEncoding: 'ieee-p1363' } as const
  t.ok(verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')))
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
  const then = new Date('2026-01-01T00:00:00Z')
  const verdict = await judgeStatusList(claims, 'https://example.com/statuslists/1', 5, then)
  t.ok(verdict.ok && statusAt(verdict.list, 0) === 1 && statusAt(verdict.list, 1) === 0)
  t.match(await judgeStatusList(claims, 'https://example.com/statuslists/1/', 5, then), { because: 'subject_wrong' })
})

t.test('what is encoded inflates to the draft’s bytes', async (t) => {
  const [oneBit] = lists
  const places = Object.keys(oneBit!.nonzeroOrListed!).map(Number)
  const inflate = (lst: string) => inflateSync(Buffer.from(lst, 'base64url')).toString('hex')
  const encoded = encodeStatusList(places, oneBit!.entries)
  t.equal(encoded.bits, 1)
  t.ok(inflate(encoded.lst) === inflate(oneBit!.statusList!.lst))
  const short = lists.find(({ name }) => name === 'short 1-bit')!
  const set = short.values!.flatMap((value, idx) => (value === 1 ? [idx] : []))
  t.equal(inflate(encodeStatusList(set, 16).lst), short.rawHex)
  t.equal(Buffer.from(encodeStatusList([]).lst, 'base64url')[0], 0x78, 'ZLIB, not raw DEFLATE')
})

t.test('whatever is set is read back, and nothing else', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(1023), { maxLength: 200 }), async (places) => {
      const list = (await decodeStatusList(encodeStatusList(places, 1024)))!
      const set = new Set(places)
      for (let idx = 0; idx < 1024; idx++) if (statusAt(list, idx) !== (set.has(idx) ? 1 : 0)) return false
      return true
    })
  )
  t.pass()
})

t.test('a list that is none, or that would become too large, is refused', async (t) => {
  const zeros = (length: number) => deflateSync(Buffer.alloc(length)).toString('base64url')
  const bad: Array<[string, unknown]> = [
    ['nothing', undefined],
    ['a text', 'eNrbuRgAAhcBXQ'],
    ['without bits', { lst: 'eNrbuRgAAhcBXQ' }],
    ['of three bits', { bits: 3, lst: 'eNrbuRgAAhcBXQ' }],
    ['of bits in a text', { bits: '1', lst: 'eNrbuRgAAhcBXQ' }],
    ['empty', { bits: 1, lst: '' }],
    ['padded', { bits: 1, lst: 'eNrbuRgAAhcBXQ==' }],
    ['not compressed', { bits: 1, lst: Buffer.from('b9a3', 'hex').toString('base64url') }],
    ['cut', { bits: 1, lst: 'eNrbuRgA' }],
    ['a bomb of a gigabyte’s kind', { bits: 8, lst: zeros(listSize + 1) }]
  ]
  for (const [title, value] of bad) t.equal(await decodeStatusList(value), undefined, title)
  t.ok(await decodeStatusList({ bits: 8, lst: zeros(listSize) }), 'the largest that there can be')
})

t.test('a place is a whole number within the list', async (t) => {
  const list = (await decodeStatusList(encodeStatusList([15], 16)))!
  t.equal(statusAt(list, 15), 1)
  for (const idx of [-1, 16, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    t.equal(statusAt(list, idx), undefined, String(idx))
  }
})

t.test('places within a list are a permutation: all of them, each once', async (t) => {
  const places = new StatusPlaces(Buffer.alloc(32, 'key'))
  for (const list of [0, 7]) {
    const seen = new Uint8Array(listSize)
    let misplaced = 0
    for (let n = 0; n < listSize; n++) {
      const place = places.of(list * listSize + n)
      if (place.list !== list || place.idx < 0 || place.idx >= listSize) misplaced++
      seen[place.idx]! += 1
    }
    t.equal(misplaced, 0)
    t.ok(seen.every((count) => count === 1))
  }
})

t.test('places tell neither the order of sign-ins nor, between lists and keys, each other', async (t) => {
  const places = new StatusPlaces(Buffer.alloc(32, 'key'))
  const first = Array.from({ length: 1_000 }, (_, n) => places.of(n).idx)
  const ups = first.filter((idx, n) => n > 0 && idx > first[n - 1]!).length
  t.ok(ups > 400 && ups < 600, `${ups} of 999 are higher than the one before`)
  const steps = new Set(first.map((idx, n) => (n > 0 ? idx - first[n - 1]! : 0)))
  t.ok(steps.size > 900, 'no step repeats')
  const other = Array.from({ length: 1_000 }, (_, n) => places.of(listSize + n).idx)
  t.ok(first.filter((idx, n) => idx === other[n]).length < 10, 'another list has another order')
  const foreign = new StatusPlaces(Buffer.alloc(32, 'another'))
  t.ok(first.filter((idx, n) => idx === foreign.of(n).idx).length < 10, 'and so has another key')
  t.same(new StatusPlaces(Buffer.alloc(32, 'key')).of(5), places.of(5), 'every replica has the same')
})

const now = new Date('2030-01-01T12:00:00Z')
const epoch = now.getTime() / 1000
const uri = 'https://auth.test/v1/status-lists/0'
const good = { sub: uri, iat: epoch - 10, exp: epoch + 290, ttl: 30, status_list: encodeStatusList([3], 16) }

t.test('a list token is judged before its list is believed', async (t) => {
  const bad: Array<[string, unknown, string]> = [
    ['nothing', null, 'malformed'],
    ['without iat', { ...good, iat: undefined }, 'malformed'],
    ['exp as a text', { ...good, exp: '9999999999' }, 'malformed'],
    ['a ttl of nothing', { ...good, ttl: 0 }, 'malformed'],
    ['of another list', { ...good, sub: 'https://auth.test/v1/status-lists/1' }, 'subject_wrong'],
    ['expired', { ...good, exp: epoch - 5 }, 'expired'],
    ['of the future', { ...good, iat: epoch + 6 }, 'not_yet_valid'],
    ['without a list', { ...good, status_list: undefined }, 'list_unreadable']
  ]
  for (const [title, payload, because] of bad) {
    t.same(await judgeStatusList(payload, uri, 5, now), { ok: false, because }, title)
  }
  const verdict = await judgeStatusList(good, uri, 5, now)
  t.ok(verdict.ok && statusAt(verdict.list, 3) === 1)
  t.equal(verdict.ok && verdict.freshUntil.getTime(), now.getTime() + 30_000)
  const greedy = await judgeStatusList({ ...good, exp: undefined, ttl: 10 ** 9 }, uri, 5, now)
  t.equal(greedy.ok && greedy.freshUntil.getTime(), now.getTime() + 86_400_000, 'a day at most')
})
