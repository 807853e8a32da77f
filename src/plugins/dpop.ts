import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { judgeProof, type ProofReason, passProofGate, proofHeaders } from '../domain/dpop.js'
import { noncesAt, type Proof, proofOf, tokenHash } from '../domain/dpop-proof.js'
import { Refusal } from '../domain/refusal.js'
import { isSignedBy } from './jose.js'

export interface Dpop {
  /**
   * The proof of a request (RFC 9449 §4.3), null where it carries none. Throws `dpop_proof_invalid` and
   * `dpop_nonce_required`. With an access token the proof must be one for this token; whether it is by the key that the
   * token is bound to is for the caller to compare.
   *
   * The database was not asked: whoever relies on the proof spends it (`flows.spendProof`; sign-in and refresh do it
   * themselves), once the rest of the request was found good, so that nobody unknown can make it write.
   */
  proof(request: FastifyRequest, accessToken?: string): Promise<Proof | null>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly dpop: Dpop
  }
}

export interface DpopOptions {
  /** Where clients reach the service; never taken from a request. */
  readonly issuer: string
  /** Whether a proof must carry a nonce of this service. */
  readonly nonce: 'off' | 'required'
  readonly clock: () => Date
}

type Fault = ProofReason | 'several' | 'signature_wrong'

const shape = 'It is not a JWT with a header of exactly typ, alg and jwk and an object as payload.'
const nonce = 'Make the proof anew with the value of the header DPoP-Nonce as its nonce.'

/** What to do about it, for the developer of a client; never what was sent. */
const details: Record<Fault, string> = {
  several: 'Send one DPoP header: the request carries several.',
  too_long: 'It is longer than 4096 characters.',
  not_a_compact_jws: shape,
  not_canonical: 'A part of it is not base64url without padding: something was added or changed on the way.',
  header_unreadable: shape,
  header_member_unknown: shape,
  type_wrong: 'Its typ must be dpop+jwt.',
  algorithm_refused: 'Its alg must be one of dpop_signing_alg_values_supported in the metadata.',
  key_malformed: 'Its jwk must be a public key of the kind that its alg asks for; RSA with 2048 to 4096 bits.',
  key_private: 'Its jwk has private members. Whoever saw the request has the key now: make a new one.',
  payload_unreadable: shape,
  claim_missing_or_malformed:
    'It needs jti (16 to 256 characters), htm, htu, iat (whole seconds), and ath beside a token.',
  method_wrong: 'Its htm must be the method of this request.',
  uri_wrong:
    'Its htu must be the address of this request as clients know it: the issuer and the path, without a query.',
  too_old: 'Its iat is more than 60 s ago. Make a proof for each request; the header Date tells the time here.',
  not_yet_valid: 'Its iat is more than 5 s ahead. The header Date tells the time here.',
  token_hash_wrong: 'Its ath must be base64url of SHA-256 of the access token that it comes with.',
  signature_wrong: 'Its signature is not by the key in its jwk.',
  nonce_missing: nonce,
  nonce_wrong: nonce
}

function refusalOf(because: Fault, claim?: string): Refusal {
  const code = because === 'nonce_missing' || because === 'nonce_wrong' ? 'dpop_nonce_required' : 'dpop_proof_invalid'
  return new Refusal(code, {
    because: claim === undefined ? because : `${because}: ${claim}`,
    detail: details[because]
  })
}

/** DPoP (RFC 9449): requests that prove to be by the holder of a key. */
export const dpop = fp<DpopOptions>(
  async (app, { issuer, nonce, clock }) => {
    const secrets = app.vault.dpopNonceSecrets

    app.decorate('dpop', {
      async proof(request, accessToken) {
        const [text, ...more] = proofHeaders(request.raw.rawHeaders)
        if (text === undefined) return null
        if (more.length > 0) throw refusalOf('several')
        const gate = passProofGate(text)
        if (!gate.ok) throw refusalOf(gate.because)
        const { draft } = gate
        const now = clock()
        const { method, uri } = provenRequest(request)
        const nonces = nonce === 'required' ? secrets.flatMap((secret) => noncesAt(secret, now)) : null
        const accessTokenHash = accessToken === undefined ? undefined : tokenHash(accessToken)
        const verdict = judgeProof(draft, { method, uri, accessTokenHash, nonces }, now)
        if (!verdict.ok) throw refusalOf(verdict.because, verdict.claim)
        // After all that is cheap.
        if (!(await isSignedBy(text, draft.jwk, draft.algorithm))) throw refusalOf('signature_wrong')
        return proofOf(draft, verdict.jti, uri, now)
      }
    } satisfies Dpop)

    /** What the proof is for: this request, or the one that a proxy asks about. */
    function provenRequest({ method, url, forwarded }: FastifyRequest): { method: string; uri: string } {
      if (forwarded !== null) {
        if (forwarded.url === null) throw refusalOf('uri_wrong')
        return { method: forwarded.method, uri: forwarded.url.origin + forwarded.url.pathname }
      }
      const path = url.replace(/[?#].*$/s, '')
      // A request line may carry a whole address, whose host would become a part of ours.
      if (!path.startsWith('/')) throw refusalOf('uri_wrong')
      return { method, uri: issuer + path }
    }

    app.addHook('onSend', (request, reply, payload, done) => {
      if (request.headers.dpop !== undefined) tell(reply)
      done(null, payload)
    })

    function tell(reply: FastifyReply): void {
      // The time by which proofs are judged, for clients whose clock is wrong; this machine's own may be another.
      reply.header('date', clock().toUTCString())
      // On every answer, so that a client always has the next nonce; on none that a cache may keep.
      if (nonce === 'off' || reply.getHeader('cache-control') !== 'no-store') return
      reply.header('dpop-nonce', noncesAt(secrets[0], clock())[0])
    }
  },
  { name: 'dpop', dependencies: ['vault', 'forwarded'], fastify: '5.x' }
)
