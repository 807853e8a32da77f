import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import { judgeProof, normalizedUri, passProofGate, proofWindow } from '../../../src/domain/dpop.js'
import type { Settings } from './settings.js'

/** The request that a proof has to be about. */
export interface ProofRequest {
  readonly method: string
  /** The whole address as clients know it: made from the configuration, never from a header. */
  readonly url: string
}

export type ProofVerdict = { readonly ok: true } | { readonly ok: false; readonly because: string }

const refuse = (because: string): ProofVerdict => ({ ok: false, because })

/** Proofs of possession (RFC 9449): each is for one request, one token, one key, and counts once. */
export class Proofs {
  readonly #settings: Settings<object>
  readonly #seen: SeenProofs

  constructor(settings: Settings<object>) {
    this.#settings = settings
    this.#seen = new SeenProofs(settings.rememberedProofs)
  }

  /**
   * Judges the proof that came with a token which is bound to the key `jkt`. `full` where so many proofs are remembered
   * that a replay could not be told.
   */
  async judge(
    proof: string,
    token: string,
    jkt: string,
    request: ProofRequest
  ): Promise<ProofVerdict | { readonly ok: false; readonly because: 'full' }> {
    const gate = passProofGate(proof)
    if (!gate.ok) return refuse(gate.because)
    const { draft } = gate
    const accessTokenHash = await sha256(token)
    const now = this.#settings.now()
    const expected = { method: request.method, uri: request.url, accessTokenHash, nonces: null }
    const verdict = judgeProof(draft, expected, new Date(now))
    if (!verdict.ok) return refuse(verdict.because)
    if ((await calculateJwkThumbprint({ ...draft.jwk })) !== jkt) return refuse('another key')
    // After all that is cheap.
    try {
      await compactVerify(proof, await importJWK({ ...draft.jwk }, draft.algorithm), { algorithms: [draft.algorithm] })
    } catch {
      return refuse('signature_wrong')
    }
    // Of one digest, so that what is remembered is short whatever its parts are.
    const identifier = await sha256(JSON.stringify([jkt, verdict.jti, normalizedUri(request.url)]))
    const answer = this.#seen.add(identifier, now)
    if (answer === 'full') return { ok: false, because: 'full' }
    return answer === 'new' ? { ok: true } : refuse('used before')
  }
}

/** Milliseconds for which a proof can be accepted. */
const window = (proofWindow.past + proofWindow.future) * 1000

/** The proofs that were used, for as long as they could be used again; never more than fit. */
class SeenProofs {
  readonly #most: number
  #young = new Set<string>()
  #old = new Set<string>()
  #turnedAt = Number.NEGATIVE_INFINITY

  constructor(most: number) {
    this.#most = most
  }

  add(identifier: string, now: number): 'new' | 'seen' | 'full' {
    // Each generation lasts one window, so what is in the one before the last can be accepted by nobody any more. A
    // clock that is put back must not bring a proof back to life.
    if (now - this.#turnedAt >= window) {
      this.#old = now - this.#turnedAt >= 2 * window ? new Set() : this.#young
      this.#young = new Set()
      this.#turnedAt = now
    }
    if (this.#young.has(identifier) || this.#old.has(identifier)) return 'seen'
    if (this.#young.size + this.#old.size >= this.#most) return 'full'
    this.#young.add(identifier)
    return 'new'
  }
}

async function sha256(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return btoa(String.fromCharCode(...digest))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
