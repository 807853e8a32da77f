import { constants, createHmac, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import type { Test } from 'tap'
import { createVerifier, type Verifier } from '../../packages/verifier/src/index.js'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import type { TokenReason } from '../../src/plugins/access-tokens.js'
import { fetchFrom } from './verifier.js'
import { issuer, type World } from './world.js'

export const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Signs as the algorithm's RFC says, with the platform alone: nothing here is the code under test. */
function signature(algorithm: string, key: KeyObject | Buffer | string, signed: string): string {
  const data = Buffer.from(signed)
  if (algorithm.startsWith('HS')) {
    return createHmac(`sha${algorithm.slice(2)}`, key)
      .update(data)
      .digest('base64url')
  }
  const privateKey = key as KeyObject
  const made =
    algorithm === 'EdDSA' || algorithm === 'Ed25519'
      ? sign(null, data, privateKey)
      : algorithm.startsWith('ES')
        ? sign(`sha${algorithm.slice(2)}`, data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
        : algorithm.startsWith('PS')
          ? sign('sha256', data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
          : sign('sha256', data, privateKey)
  return made.toString('base64url')
}

/** A compact token of any header and any payload, in any algorithm, by any key. Texts are taken as they are. */
export function forge(algorithm: string, key: KeyObject | Buffer | string, header: unknown, payload: unknown): string {
  const signed = `${encode(header)}.${encode(payload)}`
  return `${signed}.${signature(algorithm, key, signed)}`
}

export interface Workshop {
  /** A token that is good, and what it says. */
  readonly token: string
  readonly header: { alg: string; kid: string; typ: string }
  readonly claims: Record<string, unknown>
  readonly privateKey: KeyObject
  readonly publicJwk: Readonly<Record<string, unknown>>
  /** A token by the service's own key: right in all but what is changed. */
  ours(claims: object, header?: object): string
}

/** What an attacker can get hold of, and, for tests of what comes after the signature, the service's own key. */
export async function workshop(w: World): Promise<Workshop> {
  const { access_token: token } = await w.login(await w.account())
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  const { kid, publicJwk } = w.app.keys.signing()
  const row = await w.app.db
    .selectFrom('signing_key')
    .select('sealed_private_key')
    .where('kid', '=', kid)
    .executeTakeFirstOrThrow()
  const der = w.app.vault.open(row.sealed_private_key!, kid)
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return {
    token,
    header,
    claims,
    privateKey,
    publicJwk,
    ours: (change, headerChange = {}) =>
      forge(header.alg, privateKey, { ...header, ...headerChange }, { ...claims, ...change })
  }
}

const verifiers = new WeakMap<World, Verifier>()

/** The package that other services verify with: what is refused here is refused there, for the same reason. */
function packageFor(w: World): Verifier {
  const known = verifiers.get(w)
  if (known !== undefined) return known
  const verifier = createVerifier({
    issuer,
    audience: 'api',
    revocation: 'none',
    fetch: fetchFrom(w.app),
    now: () => w.now().getTime()
  })
  verifiers.set(w, verifier)
  return verifier
}

/** The token is refused for this reason, by the package too, and over HTTP with 401 and nothing of it in the answer. */
export async function refused(
  t: Test,
  w: World,
  token: string,
  because: TokenReason | readonly TokenReason[],
  title: string
): Promise<void> {
  const verdict = await w.app.accessTokens.judge(token)
  const expected: readonly string[] = typeof because === 'string' ? [because] : because
  t.ok(!verdict.ok && expected.includes(verdict.because), `${title}: ${verdict.ok ? 'accepted' : verdict.because}`)
  t.equal(await w.app.accessTokens.sessionOf(token), undefined, `${title}: ends no session either`)
  const elsewhere = await packageFor(w).tryVerify(token)
  const why = elsewhere.ok ? 'accepted' : elsewhere.error.internal.because
  // The service's engine verifies and reads in one step, so to it what cannot be read is not signed.
  const isRight = expected.includes(why) || (expected.includes('signature_wrong') && why === 'payload_not_an_object')
  t.ok(!elsewhere.ok && elsewhere.error.status === 401 && isRight, `${title}: the package says ${why}`)
  if (!elsewhere.ok && token.length > 40) {
    const answer = JSON.stringify([elsewhere.error.toProblem(), elsewhere.error.headers])
    t.notOk(answer.includes(token.slice(0, 40)), `${title}: not repeated by the package`)
  }
  if (!/^[\x21-\x7e]+$/.test(token)) return
  const response = await w.get('/v1/me', token)
  t.equal(response.statusCode, 401, title)
  t.match(response.json(), { code: 'token_invalid' }, title)
  if (token.length > 40) t.notOk(response.body.includes(token.slice(0, 40)), `${title}: not repeated`)
}

export const algorithms: readonly SigningAlgorithm[] = ['ES256', 'Ed25519', 'RS256', 'PS256']
