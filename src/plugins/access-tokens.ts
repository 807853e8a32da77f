import { randomUUID } from 'node:crypto'
import fp from 'fastify-plugin'
import {
  type AccessTokenClaims,
  type AccessTokenSubject,
  type ClaimsReason,
  composeClaims,
  judgeClaims,
  judgeTimes
} from '../domain/access-token.js'
import { deepFreeze } from '../domain/frozen.js'
import { HeldTokens } from '../domain/held-tokens.js'
import { joseAlgorithm } from '../domain/key-ring.js'
import { type Principal, principalOf } from '../domain/principal.js'
import { Refusal } from '../domain/refusal.js'
import { type GateReason, passGate } from '../domain/token-gate.js'
import type { SignedAccessToken } from '../flows/flow.js'
import type { RingKey } from './keys.js'

export type TokenReason = GateReason | ClaimsReason | 'key_unknown' | 'algorithm_not_the_keys' | 'signature_wrong'

export type TokenVerdict =
  | { readonly ok: true; readonly claims: AccessTokenClaims }
  | { readonly ok: false; readonly because: TokenReason; readonly claim?: string; readonly claims?: unknown }

export interface AccessTokens {
  sign(subject: AccessTokenSubject, now: Date): Promise<SignedAccessToken>
  /** What is wrong with a token, or its claims. */
  judge(token: string): Promise<TokenVerdict>
  /**
   * Who a token speaks for. Throws `token_expired` or `token_invalid`. No database is asked about a known key.
   *
   * The scheme must be the token's own: one that is bound to a key is refused as a bearer token, and the other way round
   * (RFC 9449 §7.1). Behind `dpop` the caller has still to see the proof by the principal's `jkt`.
   */
  authenticate(token: string, scheme?: 'bearer' | 'dpop'): Promise<Principal>
  /** The session of a token that was good once, for its end: an expired one is enough. Undefined where there is none. */
  sessionOf(token: string): Promise<{ sessionId: string } | undefined>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly accessTokens: AccessTokens
  }
}

export interface AccessTokensOptions {
  readonly issuer: string
  readonly audience: readonly string[]
  /** Milliseconds. */
  readonly lifetime: number
  /** Seconds. */
  readonly leeway: number
  readonly clock: () => Date
}

/** Tokens that are remembered as verified: about 3 KiB each. */
const maxHeld = 8_000

/** Claims of a token that was verified, and the key that did it. */
interface VerifiedClaims {
  readonly claims: AccessTokenClaims
  readonly kid: string
  readonly verify: RingKey['verify']
}

/** Access tokens in and out: the gate, the key by its id, the signature, the claims, in this order. */
export const accessTokens = fp<AccessTokensOptions>(
  async (app, options) => {
    const { keys } = app
    const audience = options.audience.length === 1 ? options.audience[0]! : options.audience
    const issuance = { issuer: options.issuer, audience, lifetime: options.lifetime }

    const held = new HeldTokens<VerifiedClaims>(maxHeld)

    /** What was found before, where the key is still there: it is asked each time, and so are the times. */
    function recall(token: string): TokenVerdict | undefined {
      const found = held.get(token)
      if (found === undefined) return undefined
      const { claims, kid, verify } = found
      if (keys.find(kid)?.verify !== verify) {
        held.delete(token)
        return undefined
      }
      const verdict = judgeTimes(claims, options.leeway, options.clock())
      return verdict.ok ? verdict : { ...verdict, claims }
    }

    async function judge(token: string): Promise<TokenVerdict> {
      const recalled = recall(token)
      if (recalled !== undefined) return recalled
      const gate = passGate(token)
      if (!gate.ok) return gate
      const { kid, alg } = gate.header
      const key = keys.find(kid) ?? (await keys.findFresh(kid))
      if (key === undefined) return { ok: false, because: 'key_unknown' }
      // Each key has one algorithm; the header never chooses it (RFC 8725bis §3.1).
      if (joseAlgorithm(key.algorithm) !== alg) return { ok: false, because: 'algorithm_not_the_keys' }
      let payload: unknown
      try {
        payload = key.verify(token)
      } catch {
        return { ok: false, because: 'signature_wrong' }
      }
      const verdict = judgeClaims(payload, options, options.clock())
      if (!verdict.ok) return { ...verdict, claims: payload }
      held.add(token, { claims: deepFreeze(verdict.claims), kid, verify: key.verify })
      return verdict
    }

    app.decorate('accessTokens', {
      async sign(subject, now) {
        // Bought by the hundred: randomBytes asks the system each time.
        const id = randomUUID()
        const status = app.statusLists.reference(subject.sessionId === null ? null : subject.statusIndex)
        const claims = composeClaims(subject, issuance, id, Math.random(), now, status)
        return { token: await keys.signing().sign(claims), expiresAt: new Date(claims.exp * 1000) }
      },
      judge,
      async authenticate(token, scheme = 'bearer') {
        const verdict = await judge(token)
        if (verdict.ok) {
          const isBound = verdict.claims.cnf !== undefined
          if (isBound === (scheme === 'dpop')) return principalOf(verdict.claims)
          throw new Refusal('token_invalid', { because: isBound ? 'bound, sent as bearer' : 'not bound, sent as DPoP' })
        }
        throw new Refusal(verdict.because === 'expired' ? 'token_expired' : 'token_invalid', {
          because: verdict.because
        })
      },
      async sessionOf(token) {
        const verdict = await judge(token)
        if (!verdict.ok && verdict.because !== 'expired') return undefined
        const { sid } = verdict.claims as AccessTokenClaims
        return sid === undefined ? undefined : { sessionId: sid }
      }
    } satisfies AccessTokens)
  },
  { name: 'access-tokens', dependencies: ['keys', 'status-lists'], fastify: '5.x' }
)
