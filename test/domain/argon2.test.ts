import { readFileSync } from 'node:fs'
import argon2 from 'argon2'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { HashQueue } from '../../src/hashing/queue.js'
import { passwords } from '../../src/plugins/passwords.js'
import { tracing } from '../../src/plugins/tracing.js'

const untraced = { endpoint: null, headers: {}, resource: {}, sampler: 'always_off', ratio: 1, timeout: 1_000 } as const

interface Vector {
  password: string
  salt: string
  t: number
  m: number
  p: number
  hex: string
  phc: string
}
const { vectors } = JSON.parse(readFileSync(new URL('../vectors/argon2/argon2id.json', import.meta.url), 'utf8')) as {
  vectors: Vector[]
}

const cheap = {
  memory: 8,
  iterations: 1,
  concurrency: 1,
  peppers: { current: null, known: [] },
  legacyConcurrency: 1,
  maxWaiting: 100,
  maxWait: 60_000
}

async function hasher(t: Test, parameters: { memory?: number; iterations?: number; isAhead?: boolean } = {}) {
  const app = Fastify()
  await app.register(tracing, untraced)
  await app.register(passwords, { ...cheap, ...parameters })
  t.teardown(() => app.close())
  await app.ready()
  return app.passwords
}

t.test('every PHC string of the vectors verifies, with our library and with another one', async (t) => {
  const ours = await hasher(t)
  t.equal(vectors.length, 10)
  for (const { password, phc, m, t: passes, p } of vectors) {
    const name = `m=${m}, t=${passes}, p=${p}, ${password}`
    t.equal(await ours.verify(phc, password), true, `ours: ${name}`)
    t.equal(await argon2.verify(phc, password), true, `argon2: ${name}`)
  }
})

t.test('no other password verifies, nor a string that was changed', async (t) => {
  const ours = await hasher(t)
  const { password, phc } = vectors.find(({ m }) => m === 256)!
  for (const wrong of ['', 'Password', `${password} `, `${password}\0`, password.slice(0, -1)]) {
    t.equal(await ours.verify(phc, wrong), false, JSON.stringify(wrong))
  }
  t.equal(await ours.verify(phc.replace('t=2', 't=3'), password), false, 'other passes')
  t.equal(await ours.verify(phc.replace('m=256', 'm=512'), password), false, 'other memory')
})

t.test('the values of the vectors are what another library computes from their inputs', async (t) => {
  for (const { password, salt, t: timeCost, m, p, hex } of vectors.filter(({ m }) => m <= 19_456)) {
    const options = {
      type: argon2.argon2id,
      timeCost,
      memoryCost: m,
      parallelism: p,
      salt: Buffer.from(salt),
      raw: true
    }
    const raw = await argon2.hash(password, options as typeof options & { raw: true })
    t.equal(raw.toString('hex'), hex, `m=${m}, t=${timeCost}, p=${p}`)
  }
})

t.test('our hashes verify with another library, and its hashes with ours', async (t) => {
  const ours = await hasher(t, { memory: 19_456, iterations: 2 })
  for (const password of [
    'correct horse battery',
    'pässwörd mit ümlauten',
    '密码密码密码密码',
    '🔑'.repeat(20),
    'x'.repeat(1024)
  ]) {
    const hash = await ours.hash(password)
    t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/, 'a salt of 16 bytes, a tag of 32')
    t.equal(await argon2.verify(hash, password.normalize('NFC')), true)
    t.equal(await argon2.verify(hash, `${password}x`), false)
    const theirs = await argon2.hash(password.normalize('NFC'), {
      type: argon2.argon2id,
      timeCost: 1,
      memoryCost: 1024
    })
    t.equal(await ours.verify(theirs, password), true)
  }
  t.not(
    await ours.hash('correct horse battery'),
    await ours.hash('correct horse battery'),
    'each has a salt of its own'
  )
})

t.test('keyboards that compose letters and keyboards that do not type the same password', async (t) => {
  const ours = await hasher(t)
  const hash = await ours.hash('caf\u00e9 caf\u00e9 caf\u00e9')
  t.equal(await ours.verify(hash, 'cafe\u0301 cafe\u0301 cafe\u0301'), true)
  t.equal(await ours.verify(hash, 'cafe cafe cafe'), false)
})

t.test('a hash is made anew where its settings are not the present ones', async (t) => {
  const ours = await hasher(t, { memory: 256, iterations: 2 })
  t.equal(ours.needsRehash(await ours.hash('correct horse battery')), false)
  const cases: Array<[string, boolean]> = [
    ['$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR', false],
    ['$argon2id$v=19$m=128,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$argon2id$v=19$m=256,t=20,p=1$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR', true],
    ['$2b$12$abcdefghijklmnopqrstuv', true]
  ]
  for (const [hash, expected] of cases) t.equal(ours.needsRehash(hash), expected, hash)
})

t.test('an account that is not there costs one hash of the same settings, and never has a password', async (t) => {
  const ours = await hasher(t)
  for (const password of ['', 'correct horse battery', 'x'.repeat(1024)]) {
    t.equal(await ours.verifyNothing(password), false)
  }
})

/** Lets a test do something before each job of the queue, and counts them by their kind. */
function beforeJobs(t: Test, work: () => void = () => {}) {
  const kinds: string[] = []
  const { run } = HashQueue.prototype
  HashQueue.prototype.run = async function (job, onStart) {
    kinds.push(job.kind)
    work()
    return await run.call(this, job, onStart)
  }
  t.teardown(() => {
    HashQueue.prototype.run = run
  })
  return kinds
}

t.test('a name that nobody has is answered again once a hash can be made, after one could not', async (t) => {
  let isBroken = true
  beforeJobs(t, () => {
    if (isBroken) throw new Error('no thread')
  })
  const ours = await hasher(t)
  await t.rejects(ours.verifyNothing('battery horse'), { message: 'no thread' })
  isBroken = false
  t.equal(await ours.verifyNothing('battery horse'), false)
})

t.test('a service has the hash of nobody from its start, and what signs nobody in makes none', async (t) => {
  const kinds = beforeJobs(t)
  const service = await hasher(t, { isAhead: true })
  t.same(kinds, ['hash'])
  await service.verifyNothing('battery horse')
  t.same(kinds, ['hash', 'verify'], 'so the first one costs what all do')
  kinds.length = 0
  await hasher(t)
  t.same(kinds, [])
})
