import { type ClaimsReason, judgeClaims } from '../../../src/domain/access-token.js'
import { textOfBase64url } from '../../../src/domain/base64url.js'
import { HeldTokens } from '../../../src/domain/held-tokens.js'
import { type GateReason, passGate } from '../../../src/domain/token-gate.js'
import type { KeySet, VerificationKey } from './key-set.js'
import { type HeldToken, hold } from './principal.js'
import type { Settings } from './settings.js'

export type TokenReason =
  | GateReason
  | ClaimsReason
  | 'key_unknown'
  | 'algorithm_not_the_keys'
  | 'signature_wrong'
  | 'claims_refused'

export type TokenVerdict<C extends object> =
  | { readonly ok: true; readonly held: HeldToken<C> }
  | { readonly ok: false; readonly because: TokenReason; readonly cause?: unknown }

type Refused = Extract<TokenVerdict<object>, { ok: false }>
const refuse = (because: TokenReason, cause?: unknown): Refused =>
  cause === undefined ? { ok: false, because } : { ok: false, because, cause }

/** The signed content of a document: the gate was passed, then the key is found, then the signature is looked at. */
export async function signedPayload(
  keys: KeySet,
  text: string,
  header: { readonly kid: string; readonly alg: string }
): Promise<{ readonly ok: true; readonly key: VerificationKey; readonly payload: unknown } | Refused> {
  const found = keys.find(header.kid)
  const key = found instanceof Promise ? await found : found
  if (key === undefined) return refuse('key_unknown')
  // Each key has one algorithm; the header never chooses it (RFC 8725bis §3.1).
  if (key.algorithm !== header.alg) return refuse('algorithm_not_the_keys')
  const verdict = key.verify(text)
  if (!(typeof verdict === 'boolean' ? verdict : await verdict)) return refuse('signature_wrong')
  try {
    return {
      ok: true,
      key,
      payload: JSON.parse(textOfBase64url(text.slice(text.indexOf('.') + 1, text.lastIndexOf('.'))))
    }
  } catch {
    return refuse('payload_not_an_object')
  }
}

/** Access tokens: the gate, the key by its id, the signature, the claims, in this order, as the service does it. */
export class Tokens<C extends object> {
  readonly #settings: Settings<C>
  readonly #keys: KeySet
  readonly held: HeldTokens<HeldToken<C>>

  constructor(settings: Settings<C>, keys: KeySet) {
    this.#settings = settings
    this.#keys = keys
    this.held = new HeldTokens(settings.rememberedTokens)
  }

  /** A token that was verified before, judged by the time alone; undefined where it was not. */
  recall(token: string): TokenVerdict<C> | undefined {
    const held = this.held.get(token)
    if (held === undefined) return undefined
    // By the same comparisons as at first, so that a remembered token ends at the same millisecond as any other.
    const at = this.#settings.now() / 1000
    const { leeway } = this.#settings
    if (held.exp + leeway <= at) {
      this.held.delete(token)
      return refuse('expired')
    }
    if (held.notBefore - leeway > at) return refuse('not_yet_valid')
    return { ok: true, held }
  }

  /** Throws KeysUnavailable where the keys cannot be had. */
  async judge(token: string): Promise<TokenVerdict<C>> {
    const gate = passGate(token)
    if (!gate.ok) return refuse(gate.because)
    const signed = await signedPayload(this.#keys, token, gate.header)
    if (!signed.ok) return signed
    const { issuer, audience, leeway, now, claims: parse } = this.#settings
    const verdict = judgeClaims(signed.payload, { issuer, audience, leeway }, new Date(now()))
    if (!verdict.ok) return refuse(verdict.because)
    const { claims } = verdict
    let more: C | undefined
    try {
      more = parse?.({ ...claims })
    } catch (error) {
      return refuse('claims_refused', error)
    }
    const held = hold(token, claims, more, signed.key.kid)
    // A key that went while the signature was looked at has taken what it signed along.
    if (this.#keys.has(signed.key)) this.held.add(token, held)
    return { ok: true, held }
  }
}
