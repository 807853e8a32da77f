import type { SigningAlgorithm } from '../domain/key-ring.js'
import { Refusal } from '../domain/refusal.js'

/** Signs with one key, wherever that is. */
export interface Signer {
  /**
   * The JWS signature of bytes (RFC 7515 §5.1): for ECDSA r and s side by side, 64 bytes (RFC 7518 §3.4), not the DER
   * that most services answer with.
   */
  sign(input: Buffer): Buffer | Promise<Buffer>
}

/** Keeps signing keys elsewhere: in a KMS, an HSM, another process. Their private halves never come here. */
export interface KeyProvider {
  /** As AUTH_KEY_PROVIDER names it. */
  readonly name: string
  /** Makes a key, and tells the reference by which it is found again, and its public half as a JWK. */
  create(algorithm: SigningAlgorithm): Promise<MadeKey> | MadeKey
  /** The signer of a key that was made once. Nothing has to be asked before its first signature. */
  signer(reference: string, algorithm: SigningAlgorithm): Signer
}

export interface MadeKey {
  readonly reference: string
  readonly publicJwk: Readonly<Record<string, unknown>>
}

/** Says what a key provider must have, at the start and not at the first signature. */
export function defineKeyProvider(provider: KeyProvider): KeyProvider {
  const { name, create, signer } = provider as Partial<KeyProvider>
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_-]{0,31}$/.test(name)) {
    throw new Error('a key provider needs a name: 1 to 32 lower-case letters, digits, - and _')
  }
  if (name === 'local') throw new Error('"local" is the name of the keys in Postgres; give the provider another one')
  if (typeof create !== 'function') throw new Error(`the key provider ${name} needs a function create()`)
  if (typeof signer !== 'function') throw new Error(`the key provider ${name} needs a function signer()`)
  return provider
}

/**
 * What a provider is asked, with an end: one that throws, or has not answered in time (milliseconds), is
 * `service_unavailable`, and what it says later counts no more. Its words go into the log alone.
 */
export async function askProvider<T>(name: string, timeout: number, ask: () => Promise<T> | T): Promise<T> {
  const unavailable = (because: string, cause?: unknown) =>
    new Refusal('service_unavailable', { because: `key provider ${name}: ${because}`, retryAfter: 1, cause })
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(unavailable(`no answer within ${timeout} ms`)), timeout)
  })
  // Called within the chain, so that what it throws at once is treated as what it throws later.
  const answer = Promise.resolve()
    .then(ask)
    .catch((error) => {
      throw error instanceof Refusal ? error : unavailable(error instanceof Error ? error.message : 'failed', error)
    })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
