import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { isOwnPassword, parseLegacyPassword, passwordScheme } from '../../src/domain/legacy-password.js'
import { passwords } from '../../src/plugins/passwords.js'
import { tracing } from '../../src/plugins/tracing.js'
import { firebaseExample, passwordVectors } from '../support/password-vectors.js'

const untraced = { endpoint: null, headers: {}, resource: {}, sampler: 'always_off', ratio: 1, timeout: 1_000 } as const

async function hasher(t: Test) {
  const app = Fastify()
  const options = {
    memory: 8,
    iterations: 1,
    concurrency: 1,
    peppers: { current: null, known: [] },
    legacyConcurrency: 1,
    maxWaiting: 100,
    maxWait: 60_000
  }
  await app.register(tracing, untraced)
  await app.register(passwords, options)
  t.teardown(() => app.close())
  await app.ready()
  return app.passwords
}

const of = (scheme: string, at = 0) => passwordVectors.filter((vector) => vector.scheme === scheme)[at]!.encoded

t.test('every string of the vectors verifies with its password, as it was typed, and with no other', async (t) => {
  const { verify, needsRehash } = await hasher(t)
  t.equal(passwordVectors.length, 38)
  for (const { scheme, password, encoded } of passwordVectors) {
    const name = `${encoded.slice(0, 24)}…, ${password.slice(0, 12)}`
    const parsed = parseLegacyPassword(encoded)
    t.equal(parsed.scheme, scheme, name)
    t.equal(isOwnPassword(encoded), false, name)
    t.equal(needsRehash(encoded), true, name)
    t.equal(await verify(encoded, password), true, name)
    t.equal(await verify(encoded, `X${password}`), false, `another password: ${name}`)
  }
})

t.test('no other system composes letters, so passwords of theirs are not', async (t) => {
  const { verify } = await hasher(t)
  const decomposed = passwordVectors.filter(({ password }) => password !== password.normalize('NFC'))
  t.ok(decomposed.length >= 7)
  for (const { encoded, password, scheme } of decomposed) {
    t.equal(await verify(encoded, password), true, scheme)
    t.equal(await verify(encoded, password.normalize('NFC')), false, scheme)
  }
})

t.test('bcrypt reads 72 bytes, and bcrypt_sha256 all of them', async (t) => {
  const { verify } = await hasher(t)
  for (const { scheme, encoded, password } of passwordVectors.filter(({ password }) => password.length === 100)) {
    t.equal(await verify(encoded, password.slice(0, 72)), scheme === 'bcrypt', scheme)
  }
})

t.test('no string is taken that a password could match by chance, or that is damaged', async (t) => {
  const signer = firebaseExample.signerKey.replace(/=+$/, '')
  const wrong: Array<[string, string]> = [
    ['nothing after the salt', 'pbkdf2_sha256$1000$salt$'],
    ['no salt', of('pbkdf2_sha256', 1).replace(/(\$1000\$)[^$]+/, '$1')],
    ['a key that is too short', 'pbkdf2_sha256$1000$salt$AAAA'],
    ['the key of the other digest', of('pbkdf2_sha1', 1).replace('sha1', 'sha256')],
    ['a key that is not base64', of('pbkdf2_sha256', 1).replace(/.=$/, '*=')],
    ['no number', of('pbkdf2_sha256', 1).replace('$1000$', '$1e3$')],
    ['none iterations', of('pbkdf2_sha256', 1).replace('$1000$', '$0$')],
    ['one part more', `${of('pbkdf2_sha256', 1)}$x`],
    ['one part less', 'pbkdf2_sha256$1000$salt'],
    ['an empty PHC key', '$pbkdf2-sha256$i=2000,l=0$AAECAwQFBgcICQoLDA0ODw$'],
    ['another length than it says', of('pbkdf2-sha256').replace('l=32', 'l=31')],
    ['an empty scrypt key', 'scrypt$16384$salt$8$1$'],
    ['a cost that is no power of two', of('scrypt').replace('16384', '16383')],
    ['no block size', of('scrypt').replace('$8$', '$0$')],
    ['a hash that is shorter than the signer key', `$firebase-scrypt$ln=14,r=8$AAAA$Bw$${signer}$AAAA`],
    ['an empty signer key', '$firebase-scrypt$ln=14,r=8$AAAA$Bw$$'],
    ['no salt', `$firebase-scrypt$ln=14,r=8$$Bw$${signer}$${signer}`],
    ['an argon2 tag that is too short', 'argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$AAAA'],
    ['an argon2 of no kind', of('argon2id').replace('argon2id', 'argon2x')],
    ['half a bcrypt', of('bcrypt').slice(0, 40)],
    ['bcrypt of another kind', of('bcrypt').replace('$2b$', '$2x$')],
    ['bcrypt without its cost', of('bcrypt').replace('$12$', '$03$')],
    ['a line end after it', `${of('bcrypt')}\n`]
  ]
  const { verify } = await hasher(t)
  for (const [name, stored] of wrong) {
    const parsed = parseLegacyPassword(stored)
    t.equal(parsed.check, null, name)
    if (parsed.check === null) t.match(parsed.because, /is not the form|not supported/, name)
    t.equal(await verify(stored, ''), false, `${name}: the empty password`)
  }
})

t.test('what one sign-in may cost has bounds', async (t) => {
  const costs: Array<[string, string, RegExp | null]> = [
    ['pbkdf2_sha256', of('pbkdf2_sha256', 1).replace('$1000$', '$5000000$'), null],
    [
      'pbkdf2_sha256',
      of('pbkdf2_sha256', 1).replace('$1000$', '$5000001$'),
      /5000001 iterations for 32 bytes: one sign-in/
    ],
    ['pbkdf2_sha256', of('pbkdf2_sha256', 1).replace('$1000$', '$999$'), /999 iterations are no protection/],
    ['pbkdf2_sha256', of('pbkdf2_sha256', 1).replace('$1000$', '$99999999999$'), /not the form/],
    ['pbkdf2-sha512', of('pbkdf2-sha512').replace('i=2000', 'i=9999999'), /iterations/],
    ['bcrypt', of('bcrypt').replace('$12$', '$14$'), null],
    ['bcrypt', of('bcrypt').replace('$12$', '$15$'), /cost 15/],
    ['bcrypt_sha256', of('bcrypt_sha256').replace('$12$', '$31$'), /cost 31/],
    ['scrypt', of('scrypt').replace('$8$1$', '$8$8$'), null],
    ['scrypt', of('scrypt').replace('$8$1$', '$8$9$'), /N=16384, r=8, p=9/],
    ['scrypt', of('scrypt').replace('$8$1$', '$8$4294967295$'), /p=4294967295/],
    ['scrypt', of('scrypt').replace('16384', '1073741824'), /N=1073741824/],
    ['scrypt', of('scrypt').replace('16384', '512'), /N=512 is no protection/],
    ['firebase-scrypt', of('firebase-scrypt').replace('ln=14', 'ln=30'), /N=1073741824/],
    ['firebase-scrypt', of('firebase-scrypt').replace('ln=14,r=8', 'ln=14,r=999'), /r=999/],
    ['argon2id', of('argon2id').replace('m=102400', 'm=262144'), null],
    ['argon2id', of('argon2id').replace('m=102400', 'm=262145'), /m=262145/],
    ['argon2id', of('argon2id').replace('t=2', 't=11'), /t=11/],
    ['argon2id', of('argon2id').replace('p=8', 'p=255'), /p=255/],
    // Each block of a longer key costs all iterations again.
    [
      'pbkdf2-sha1',
      `$pbkdf2-sha1$i=1000000,l=128$${Buffer.alloc(16, 1).toString('base64')}$${Buffer.alloc(128, 1).toString('base64')}`,
      /1000000 iterations for 128 bytes/
    ],
    // What the libraries refuse to compute is not taken, or each sign-in would be an error.
    ['scrypt', of('scrypt').replace('16384', '65536').replace('$8$1$', '$1$1$'), /not the form/],
    ['firebase-scrypt', of('firebase-scrypt').replace('ln=14,r=8', 'ln=16,r=1'), /not the form/],
    ['argon2id', '$argon2id$v=19$m=8,t=1,p=16$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA', /not the form/],
    ['argon2id', '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbH_$AAAAAAAAAAAAAAAAAAAAAA', /not the form/],
    ['argon2id', '$argon2id$v=19$m=1024,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAB', /not the form/],
    ['argon2id', '$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA', /m=4194304/]
  ]
  for (const [scheme, stored, because] of costs) {
    const parsed = parseLegacyPassword(stored)
    t.equal(parsed.scheme, scheme, stored)
    if (because === null) t.ok(parsed.check, stored)
    else t.match(parsed, { check: null, because }, stored)
  }
})

t.test('weak and unknown schemes are named, and nothing of the hash is', async (t) => {
  const known: Array<[string, string, RegExp]> = [
    ['md5$salt$5f4dcc3b5aa765d61d8327deb882cf99', 'md5', /too weak/],
    ['sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8', 'sha1', /too weak/],
    ['5f4dcc3b5aa765d61d8327deb882cf99', 'unsalted_md5', /too weak/],
    ['crypt$$abJnggxhB/yWI', 'crypt', /too weak/],
    ['$1$salt$qJH7.N4xYta3aEG/dfqo/0', '1', /not supported/],
    ['{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr', 'unknown', /not supported/],
    ['my secret password', 'unknown', /not supported/],
    ['', 'unknown', /not supported/],
    [`pbkdf2_sha256$1000$${'x'.repeat(5000)}$`, 'unknown', /too long/]
  ]
  for (const [stored, scheme, because] of known) {
    const parsed = parseLegacyPassword(stored)
    t.match(parsed, { scheme, check: null, because }, stored.slice(0, 40))
    t.notMatch(JSON.stringify(parsed), /5f4dcc|5baa61|abJn|qJH7|0c0bl|my secret/)
  }
  t.equal(passwordScheme('$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA'), 'argon2id')
})
