import { createPublicKey } from 'node:crypto'
import { generateKey } from '../../src/plugins/token-engine.js'
import { algorithms, encode, forge, workshop } from './forge.js'
import type { World } from './world.js'

/** A token with what it is, for people. */
export interface Specimen {
  readonly title: string
  readonly token: string
}

export interface Specimens {
  readonly good: readonly Specimen[]
  /** What nobody may accept. */
  readonly bad: readonly Specimen[]
  /** What is refused by whoever looks at types: another document by the right key is no access token (RFC 8725 §3.11). */
  readonly otherType: readonly Specimen[]
  /** By keys that nobody knows, each under another id. */
  unknown(): Specimen
}

/** Access tokens of a service, and those that an attacker would make of them, all at this machine's time. */
export async function specimens(w: World): Promise<Specimens> {
  const shop = await workshop(w)
  const { token, header, claims, ours } = shop
  const algorithm = algorithms.find((one) => header.alg === one || (header.alg === 'EdDSA' && one === 'Ed25519'))!
  const now = Math.floor(Date.now() / 1000)
  const stray = await generateKey(algorithm)
  const pem = createPublicKey(shop.privateKey).export({ format: 'pem', type: 'spki' }) as string
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const other = encode({ ...claims, sub: 'somebody else' })
  const hmac = { ...header, alg: 'HS256' }
  const unsigned = encode({ ...header, alg: 'none' })
  const refreshed = await w.refresh((await w.login(await w.account())).refresh_token)
  const list = (specimens: Record<string, string>) =>
    Object.entries(specimens).map(([title, token]) => ({ title, token }))
  return {
    good: list({
      'of a sign-in': token,
      'of a refresh': refreshed.json().access_token,
      'for several services': ours({ aud: ['other', 'api'] })
    }),
    bad: list({
      expired: ours({ iat: now - 7200, exp: now - 3600 }),
      'not yet valid (nbf)': ours({ nbf: now + 3600 }),
      'for another audience': ours({ aud: 'other' }),
      'of another issuer': ours({ iss: 'https://evil.example' }),
      'by another key under our id': forge(header.alg, stray.privateKey, header, claims),
      'by another key under its own id': forge(header.alg, stray.privateKey, { ...header, kid: stray.kid }, claims),
      'alg none': `${unsigned}.${payload}.`,
      'alg none with a signature': `${unsigned}.${payload}.${signature}`,
      'HS256 with the public key as PEM': forge('HS256', pem, hmac, claims),
      'HS256 with the public key as JWK': forge('HS256', JSON.stringify(shop.publicJwk), hmac, claims),
      'with other claims under the same signature': `${head}.${other}.${signature}`
    }),
    otherType: list({
      'of the type JWT': ours({}, { typ: 'JWT' }),
      'without a type': ours({}, { typ: undefined }),
      'of the type of another document': ours({}, { typ: 'upstream+jwt' })
    }),
    unknown() {
      const kid = `unknown-${Math.random()}`
      return {
        title: 'by a key that nobody knows',
        token: forge(header.alg, stray.privateKey, { ...header, kid }, claims)
      }
    }
  }
}
