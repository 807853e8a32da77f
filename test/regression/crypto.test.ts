import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { world } from '../support/world.js'

/** How the service uses cryptography, as its source says it and as it does. */

const root = new URL('../../', import.meta.url)
const sources = ['src', 'packages/verifier/src'].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((path) => /\.(ts|js)$/.test(path))
    .map((path) => ({ path, lines: readFileSync(new URL(path, root), 'utf8').split('\n') }))
)

/** The lines of the source that match, by file, without comments. */
const linesWith = (form: RegExp) =>
  sources.flatMap(({ path, lines }) =>
    lines.filter((line) => form.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line)).map((line) => `${path}: ${line.trim()}`)
  )

t.test('CVE-2026-21713, CVE-2022-31142: secrets are compared in constant time', (t) => {
  const secret = /\b(mac|secret|digest|signature|password|hash)\b/
  const compared = linesWith(new RegExp(`${secret.source}.*[!=]==|[!=]==.*${secret.source}|\\.equals\\(`)).filter(
    // Whether there is one, of what kind, and how long it is, is no secret.
    (line) => !/(undefined|null|typeof|''|\.length|\bkind\b|[!=]== ['"\d])/.test(line.slice(line.indexOf(': ')))
  )
  const known = [
    // A token that the service works out by itself, against its own row: nobody sent either.
    'src/flows/api-tokens.ts: if (!digest.equals(apiTokenDigest(told))) {',
    // Ids of keys, which every text carries.
    'src/domain/signed-text.ts: const key = keys.find(({ id }) => id.equals(bytes.subarray(1, headLength)))',
    'src/plugins/vault.ts: sealed[0] === version ? sealing.find(({ id }) => id.equals(sealed.subarray(1, 5))) : undefined',
    // Two rows of our own table.
    "src/plugins/keys.ts: return 'sealed' in one && 'sealed' in other && !one.sealed.equals(other.sealed)",
    // Links of the audit's chain, by a command on what its owner keeps: whoever changed one sees no answer to try another by.
    "src/domain/audit-chain.ts: if (!event.link.equals(expected.link)) return broken(event.position, event.id, 'changed')",
    "src/domain/audit-chain.ts: if (!last.link.equals(ends.last.link)) return broken(last.position, null, 'changed')",
    'src/flows/audit-chain.ts: if (!isKept || atHead?.equals(head.link)) return { ...verdict, ...outside }',
    // Lists of passwords that leaked, which are for everybody.
    'src/plugins/breached-passwords.ts: if (found === digest) return true',
    'src/plugins/breached-passwords.ts: if (suffix.toUpperCase() === digest.slice(5)) return Number(count) > 0'
  ]
  t.same(
    compared.filter((line) => !known.includes(line)),
    []
  )
  for (const path of ['src/domain/signed-text.ts', 'src/flows/client-authentication.ts', 'src/hashing/legacy.js']) {
    t.ok(
      linesWith(/timingSafeEqual\(/).some((line) => line.startsWith(path)),
      path
    )
  }
  t.end()
})

t.test('no weak algorithm is named, but where passwords of other systems are read', (t) => {
  const foreign = [
    'src/hashing/legacy.js',
    'src/domain/legacy-password.ts',
    'src/domain/imported-user.ts',
    // The list of passwords that leaked is one of SHA-1, by whoever made it; it proves nothing here.
    'src/plugins/breached-passwords.ts'
  ]
  const weak = linesWith(/['"`](md5|sha-?1|des\b|des-|rc4|bf-|aes-\d+-(ecb|cbc))/i)
  t.same(
    weak.filter((line) => !foreign.some((path) => line.startsWith(`${path}:`)) && !line.startsWith('src/import/')),
    []
  )
  const ciphers = linesWith(/create(De|C)ipheriv\(/).filter((line) => !line.startsWith('src/hashing/legacy.js'))
  t.ok(ciphers.length > 0)
  for (const line of ciphers) t.match(line, /'aes-256-gcm'/, line)
  t.end()
})

t.test('no two values are sealed with one nonce', async (t) => {
  const { app } = await world(t)
  const nonces = new Set<string>()
  const plain = Buffer.from('the same each time')
  for (let n = 0; n < 20_000; n++) {
    // A version, the id of the key, and the nonce.
    nonces.add(app.vault.seal(plain, 'one row').subarray(5, 17).toString('hex'))
  }
  t.equal(nonces.size, 20_000)
})
