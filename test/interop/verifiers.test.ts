import { spawn } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import { generateKey } from '../../src/plugins/token-engine.js'
import { encode, forge, workshop } from '../support/forge.js'
import { missingModules, python } from '../support/python.js'
import { freePort } from '../support/service.js'
import { world } from '../support/world.js'

/** Other people's libraries, told nothing but the issuer and the audience, judge our tokens as we do. */

interface Asked {
  readonly issuer: string
  readonly audience: string
  readonly tokens: readonly string[]
}

/** Per token `sub: …` where it was accepted, `refused: …` where it was not. */
type Verifier = (asked: Asked) => Promise<string[]>

const withJose: Verifier = async ({ issuer, audience, tokens }) => {
  const metadata = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as {
    issuer: string
    jwks_uri: string
  }
  if (metadata.issuer !== issuer) throw new Error('the metadata is another issuer’s')
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
  return await Promise.all(
    tokens.map(async (token) => {
      try {
        const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })
        return `sub: ${payload.sub}`
      } catch (error) {
        if (error instanceof errors.JOSEError) return `refused: ${error.code}`
        throw error
      }
    })
  )
}

const inPython =
  (script: string): Verifier =>
  async (asked) => {
    const child = spawn(python, [fileURLToPath(new URL(script, import.meta.url))], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
    })
    child.stdin.end(JSON.stringify(asked))
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`${script} ended with ${code}`)
    return JSON.parse(output)
  }

const verifiers: Array<[name: string, verifier: Verifier, skip: string | false]> = [
  ['jose', withJose, false],
  ['PyJWT', inPython('pyjwt.py'), missingModules('jwt', 'cryptography')],
  ['jwcrypto', inPython('jwcrypto_verifier.py'), missingModules('jwcrypto', 'cryptography')]
]

/** A service that listens where its issuer says. */
async function service(t: Test, algorithm: SigningAlgorithm) {
  const port = await freePort()
  const issuer = `http://localhost:${port}`
  const w = await world(t, (options) => ({
    ...options,
    issuer,
    signing: { ...options.signing, algorithm },
    clock: () => new Date()
  }))
  await w.app.listen({ port, host: 'localhost' })
  return { issuer, w, shop: await workshop(w) }
}

for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
  t.test(`tokens signed with ${algorithm}`, async (t) => {
    const { issuer, w, shop } = await service(t, algorithm)
    const { token, header, claims, ours } = shop
    const now = Math.floor(Date.now() / 1000)
    const stray = await generateKey(algorithm)
    const pem = createPublicKey(shop.privateKey).export({ format: 'pem', type: 'spki' }) as string
    const [head, payload, signature] = token.split('.') as [string, string, string]
    const other = encode({ ...claims, sub: 'somebody else' })

    const good: Array<[string, string]> = [
      ['a token of a sign-in', token],
      ['a token of a refresh', (await w.refresh((await w.login(await w.account())).refresh_token)).json().access_token],
      ['a token for several services', ours({ aud: ['other', 'api'] })]
    ]
    const bad: Array<[string, string]> = [
      ['expired', ours({ iat: now - 7200, exp: now - 3600 })],
      ['for another audience', ours({ aud: 'other' })],
      ['of another issuer', ours({ iss: 'https://evil.example' })],
      ['by another key under our id', forge(header.alg, stray.privateKey, header, claims)],
      ['by another key under its own id', forge(header.alg, stray.privateKey, { ...header, kid: stray.kid }, claims)],
      ['alg none', `${encode({ ...header, alg: 'none' })}.${payload}.`],
      ['alg none with a signature', `${encode({ ...header, alg: 'none' })}.${payload}.${signature}`],
      ['HS256 with the public key as PEM', forge('HS256', pem, { ...header, alg: 'HS256' }, claims)],
      [
        'HS256 with the public key as JWK',
        forge('HS256', JSON.stringify(shop.publicJwk), { ...header, alg: 'HS256' }, claims)
      ],
      ['with other claims under the same signature', `${head}.${other}.${signature}`],
      ['of another kind', ours({}, { typ: 'JWT' })]
    ]
    for (const [name, verify, skip] of verifiers) {
      await t.test(
        `${algorithm}: ${name} finds the key by itself, accepts the good and refuses the bad`,
        { skip },
        async (t) => {
          const tokens = [...good, ...bad].map(([, token]) => token)
          const verdicts = await verify({ issuer, audience: 'api', tokens })
          t.equal(verdicts.length, tokens.length)
          for (const [n, [title, token]] of good.entries()) {
            const { sub } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
            t.equal(verdicts[n], `sub: ${sub}`, `${name} accepts ${title}`)
          }
          for (const [n, [title]] of bad.entries()) {
            t.match(
              verdicts[good.length + n],
              /^refused: /,
              `${name} refuses one ${title}: ${verdicts[good.length + n]}`
            )
          }
        }
      )
    }
    for (const [title, token] of bad) t.equal((await w.get('/v1/me', token)).statusCode, 401, `and so do we: ${title}`)
  })
}

t.test('a verifier that is told another issuer than the metadata says stops there', async (t) => {
  const { issuer, shop } = await service(t, 'ES256')
  for (const [, verify, skip] of verifiers) {
    if (skip) continue
    // The same service, written another way: what it says of itself does not change.
    const elsewhere = issuer.replace('localhost', 'LOCALHOST')
    await t.rejects(verify({ issuer: elsewhere, audience: 'api', tokens: [shop.token] }))
  }
})
