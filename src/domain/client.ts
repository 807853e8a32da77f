import { createHash } from 'node:crypto'
import { base62Of, formatCheckedText, isCheckedText } from './checked-text.js'
import type { Violation } from './refusal.js'
import { judgeScopes } from './scope.js'

/** A client's id: `ktc_` and 22 characters of base62 from 16 random bytes. It is public, and no account's id looks so. */
const idForm = /^ktc_[0-9A-Za-z]{22}$/

/** A client's secret: `kts_`, 43 characters of base62 from 32 random bytes, and a checksum: /kts_[0-9A-Za-z]{49}/. */
const secretPrefix = 'kts_'
const secretLength = 43

/** Random bytes that a new client's id and a new secret take. */
export const clientIdEntropy = 16
export const clientSecretEntropy = 32

export function formatClientId(entropy: Buffer): string {
  return `ktc_${base62Of(entropy, 22)}`
}

export function isClientId(text: string): boolean {
  return idForm.test(text)
}

export function formatClientSecret(entropy: Buffer): string {
  return formatCheckedText(secretPrefix, entropy, secretLength)
}

/** Whether a text can be a secret at all: what is not costs no query. */
export function isClientSecret(text: string): boolean {
  return isCheckedText(secretPrefix, secretLength, text)
}

/** What is kept of a secret. It is random and long, so a fast digest does. */
export function clientSecretDigest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** How a client may prove itself (RFC 6749 §2.3, RFC 7523 §2.2), by the names of the metadata (RFC 8414 §2). */
export const clientMethods = ['client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const
export type ClientMethod = (typeof clientMethods)[number]

/** A public key of a client, with the one algorithm that it is good for (RFC 8725bis §3.1). */
export type ClientKey = Readonly<Record<string, string>> & { readonly kty: string; readonly alg: string }

export interface ClientKeys {
  readonly keys: readonly ClientKey[]
}

/** What keys of each algorithm are made of; nothing symmetric is among them. */
const kinds: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  ES256: { kty: 'EC', crv: 'P-256' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
  RS256: { kty: 'RSA' },
  PS256: { kty: 'RSA' }
}

/** The JWS algorithms that a client's key may have. */
export const assertionAlgorithms: readonly string[] = Object.keys(kinds)

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']
const publicMembers = ['kty', 'crv', 'x', 'y', 'n', 'e', 'alg', 'kid', 'use']

/** What of a JWK is kept: a key's own members, and no certificate or address that somebody could be led to trust. */
function publicPart(jwk: Readonly<Record<string, unknown>>): ClientKey {
  return Object.fromEntries(publicMembers.flatMap((name) => (name in jwk ? [[name, jwk[name]]] : []))) as ClientKey
}

function whyNotAKey(jwk: unknown): string | null {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return 'This is not a JWK.'
  const key = jwk as Record<string, unknown>
  if (privateMembers.some((name) => name in key))
    return 'This is a private key. Send its public half, and keep this one.'
  const kind = typeof key.alg === 'string' && Object.hasOwn(kinds, key.alg) ? kinds[key.alg] : undefined
  if (kind === undefined) return `It needs "alg", one of ${assertionAlgorithms.join(', ')}.`
  if (key.kty !== kind.kty || (kind.crv !== undefined && key.crv !== kind.crv)) return 'Its "alg" is of other keys.'
  if (key.use !== undefined && key.use !== 'sig') return 'Its "use" is not "sig".'
  if (key.kid !== undefined && !(typeof key.kid === 'string' && /^[\x21-\x7e]{1,200}$/.test(key.kid))) {
    return 'Its "kid" must have 1 to 200 printable characters.'
  }
  // 2,048 bits are 342 characters of base64url (RFC 7518 §3.3).
  if (kind.kty === 'RSA' && !(typeof key.n === 'string' && key.n.length >= 342)) return 'It has fewer than 2,048 bits.'
  return null
}

/** The public keys of a client as they are kept, or what is wrong with them. */
export function readClientKeys(jwks: {
  readonly keys: readonly unknown[]
}): { readonly keys: ClientKeys } | { readonly errors: Violation[] } {
  const errors: Violation[] = []
  const refuse = (pointer: string, detail: string) => void errors.push({ pointer, code: 'invalid', detail })
  if (jwks.keys.length < 1 || jwks.keys.length > 10) refuse('/jwks/keys', 'Send 1 to 10 keys.')
  jwks.keys.forEach((key, at) => {
    const because = whyNotAKey(key)
    if (because !== null) refuse(`/jwks/keys/${at}`, because)
  })
  if (errors.length > 0) return { errors }
  const keys = jwks.keys.map((key) => publicPart(key as Record<string, unknown>))
  const names = keys.flatMap(({ kid }) => kid ?? [])
  if (new Set(names).size < names.length) refuse('/jwks/keys', 'Two keys have one "kid".')
  return errors.length > 0 ? { errors } : { keys: { keys } }
}

/** Says what is wrong with a client's name, scopes and audience. */
export function judgeClient(
  input: {
    readonly name?: string | undefined
    readonly scopes?: readonly string[] | undefined
    readonly audience?: readonly string[] | undefined
  },
  installation: readonly string[]
): Violation[] {
  const { name, scopes = [], audience = [] } = input
  const errors: Violation[] = []
  if (name !== undefined && (name.length < 1 || name.length > 100 || /[\p{Cc}\p{Cs}]/u.test(name))) {
    errors.push({ pointer: '/name', code: 'pattern', detail: 'Use 1 to 100 characters.' })
  }
  errors.push(...judgeScopes(scopes))
  audience.forEach((one, at) => {
    if (installation.includes(one)) return
    errors.push({ pointer: `/audience/${at}`, code: 'unknown_audience', detail: 'AUTH_AUDIENCE does not name it.' })
  })
  return errors
}
