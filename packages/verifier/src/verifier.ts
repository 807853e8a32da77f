import {
  inquiryOf,
  judge,
  type RequestContext,
  type Requirement,
  type Verdict
} from '../../../src/domain/requirement.js'
import { AuthError, type AuthErrorCode, type AuthErrorDetails, type Scheme } from './auth-error.js'
import { Discovery } from './discovery.js'
import { Endings } from './endings.js'
import { KeySet, KeysUnavailable } from './key-set.js'
import type { VerifierOptions } from './options.js'
import { Outgoing } from './outgoing.js'
import { type RequestHeaders, readPresented } from './presented.js'
import { type HeldToken, heldOf, type VerifiedPrincipal } from './principal.js'
import { type ProofRequest, Proofs } from './proofs.js'
import { Feed } from './revocation/feed.js'
import { Introspection } from './revocation/introspection.js'
import { none, type RevocationHealth, type RevocationSource } from './revocation/source.js'
import { StatusLists } from './revocation/status-lists.js'
import { readOptions, type Settings } from './settings.js'
import { Tokens, type TokenVerdict } from './tokens.js'

/** What a check and an owner rule are told. Where no method is said, it is none that only reads. */
export type Context = Partial<RequestContext>

/** A request by its method and its whole address as clients know it: both are needed where tokens are bound to keys. */
export type RequestFacts = Context & Partial<ProofRequest>

export type VerifyResult<C extends object> =
  | { readonly ok: true; readonly principal: VerifiedPrincipal<C> }
  | { readonly ok: false; readonly error: AuthError }

export interface KeysHealth {
  /** Since the key set was fetched; infinite where it never was. */
  readonly ageSeconds: number
  readonly count: number
  /** Requests for it since the start. */
  readonly fetches: number
  readonly lastError?: string
}

export interface Health {
  readonly keys: KeysHealth
  /** Undefined in the mode `none`. */
  readonly revocation: RevocationHealth | undefined
  readonly rememberedTokens: number
}

export interface Verifier<C extends object = object> {
  readonly issuer: string
  /** Whom a token speaks for. Throws an AuthError, and nothing else. A token that is bound to a key needs its proof: `verifyHeaders`. */
  verify(token: string, need?: Requirement, context?: Context): Promise<VerifiedPrincipal<C>>
  /** The same without throwing. */
  tryVerify(token: string, need?: Requirement, context?: Context): Promise<VerifyResult<C>>
  /** Whom a request is from, by its headers, with the proof where the token is bound to a key (RFC 9449). */
  verifyHeaders(headers: RequestHeaders, need?: Requirement, request?: RequestFacts): Promise<VerifiedPrincipal<C>>
  /** The same, null where the request brings no credential at all: for what is open to everybody, with `admit`. */
  identify(headers: RequestHeaders, request?: RequestFacts): Promise<VerifiedPrincipal<C> | null>
  /** Lets somebody in or throws an AuthError. */
  admit(principal: VerifiedPrincipal<C> | null, need: Requirement, context?: Context): Promise<void>
  /** Whether a principal meets a requirement. Throws an AuthError with status 503 where that cannot be found out. */
  check(principal: VerifiedPrincipal<C>, need: Requirement, context?: Context): Promise<boolean>
  /** Fetches what is needed before the first request. Rejects where it cannot be had: call it before you listen. */
  ready(): Promise<void>
  health(): Health
  /** For connections that stay: resolves when the principal's token expires or is revoked. */
  ended(principal: VerifiedPrincipal<C>, signal?: AbortSignal): Promise<'expired' | 'revoked'>
  /** Ends what runs in the background. */
  close(): Promise<void>
}

/** Verifies the access tokens of one issuer. Throws a TypeError where the options are not right. */
export function createVerifier<C extends object = object>(options: VerifierOptions<C>): Verifier<C> {
  return new OfflineVerifier(readOptions(options))
}

/** What went wrong, without the words that are for the log. */
const hints: Partial<Record<string, string>> = {
  issuer_wrong: 'The token is of another issuer.',
  audience_wrong: 'The token is not for this service.'
}

const anyone: Requirement = { authenticated: true }

class OfflineVerifier<C extends object> implements Verifier<C> {
  readonly issuer: string
  readonly #settings: Settings<C>
  readonly #outgoing: Outgoing
  readonly #keys: KeySet
  readonly #tokens: Tokens<C>
  readonly #proofs: Proofs
  readonly #introspection: Introspection
  readonly #source: RevocationSource
  readonly #endings: Endings

  constructor(settings: Settings<C>) {
    this.issuer = settings.issuer
    this.#settings = settings
    // Whatever is not about claims does not care about their type.
    const common = settings as unknown as Settings<object>
    const outgoing = new Outgoing(common)
    const discovery = new Discovery(common, outgoing)
    this.#outgoing = outgoing
    this.#keys = new KeySet(common, discovery, outgoing, () => this.#tokens.held.clear())
    this.#tokens = new Tokens(settings, this.#keys)
    this.#proofs = new Proofs(common)
    const { revocation } = settings
    const parts = { discovery, outgoing, keys: this.#keys }
    const cache = revocation.mode === 'introspect' ? revocation.cache : 0
    this.#introspection = new Introspection(common, cache, parts)
    this.#source =
      revocation.mode === 'none'
        ? none
        : revocation.mode === 'introspect'
          ? this.#introspection
          : revocation.mode === 'status-list'
            ? new StatusLists(common, revocation, parts)
            : new Feed(common, revocation, parts)
    this.#endings = new Endings(common, this.#source)
  }

  async verify(token: string, need?: Requirement, context?: Context): Promise<VerifiedPrincipal<C>> {
    const { principal } = await this.#authenticate(token, 'bearer')
    if (need !== undefined) await this.#admit(principal, need, context, 'bearer')
    return principal
  }

  async tryVerify(token: string, need?: Requirement, context?: Context): Promise<VerifyResult<C>> {
    try {
      return { ok: true, principal: await this.verify(token, need, context) }
    } catch (error) {
      return { ok: false, error: error as AuthError }
    }
  }

  async verifyHeaders(
    headers: RequestHeaders,
    need: Requirement = anyone,
    request?: RequestFacts
  ): Promise<VerifiedPrincipal<C>> {
    const principal = await this.identify(headers, request)
    if (principal === null) throw this.#refusal('authentication_required', { because: 'none' })
    await this.#admit(principal, need, request, schemeOf(principal))
    return principal
  }

  async identify(headers: RequestHeaders, request?: RequestFacts): Promise<VerifiedPrincipal<C> | null> {
    const presented = readPresented(headers)
    switch (presented.kind) {
      case 'nothing':
        return null
      case 'malformed':
        throw this.#refusal('request_malformed', presented)
      case 'refused':
        throw this.#refusal('authentication_required', presented)
    }
    const held = await this.#authenticate(presented.token, presented.scheme)
    if (presented.scheme === 'dpop') await this.#prove(held, presented.proof, request)
    return held.principal
  }

  async admit(principal: VerifiedPrincipal<C> | null, need: Requirement, context?: Context): Promise<void> {
    await this.#admit(principal, need, context, principal === null ? 'bearer' : schemeOf(principal))
  }

  async check(principal: VerifiedPrincipal<C>, need: Requirement, context?: Context): Promise<boolean> {
    return (await this.#judge(principal, need, context, schemeOf(principal))).ok
  }

  async ready(): Promise<void> {
    await this.#keys.ready()
    await this.#source.ready()
  }

  health(): Health {
    return {
      keys: this.#keys.health(),
      revocation: this.#source.health(),
      rememberedTokens: this.#tokens.held.size
    }
  }

  async ended(principal: VerifiedPrincipal<C>, signal?: AbortSignal): Promise<'expired' | 'revoked'> {
    return await this.#endings.of(this.#held(principal), signal)
  }

  async close(): Promise<void> {
    this.#source.close()
    this.#endings.close()
    this.#outgoing.close()
    this.#tokens.held.clear()
  }

  /** A token that is good, of the scheme that it came by, and not revoked as far as it is known. */
  async #authenticate(token: string, scheme: Scheme): Promise<HeldToken<C>> {
    const { metrics } = this.#settings
    if (typeof token !== 'string') throw this.#refusal('token_invalid', { because: 'no text', scheme })
    const recalled = this.#tokens.recall(token)
    const verdict = recalled ?? (await this.#judgeToken(token, scheme))
    if (!verdict.ok) {
      metrics('token', 1, { outcome: verdict.because })
      const { because, cause } = verdict
      const detail = hints[because]
      throw this.#refusal(because === 'expired' ? 'token_expired' : 'token_invalid', {
        because,
        scheme,
        ...(cause === undefined ? {} : { cause }),
        ...(detail === undefined ? {} : { detail })
      })
    }
    const { held } = verdict
    // The scheme must be the token's own: one that is bound to a key is worth nothing as a bearer token (RFC 9449 §7.1).
    if ((held.principal.jkt !== null) !== (scheme === 'dpop')) {
      const because = scheme === 'dpop' ? 'not bound, sent as DPoP' : 'bound, sent as bearer'
      throw this.#refusal('token_invalid', { because, scheme })
    }
    const judged = this.#source.judge(held)
    const life = typeof judged === 'string' ? judged : await judged
    if (life !== 'alive') throw this.#over(life, scheme)
    metrics('token', 1, { outcome: recalled === undefined ? 'verified' : 'remembered' })
    return held
  }

  async #judgeToken(token: string, scheme: Scheme): Promise<TokenVerdict<C>> {
    try {
      return await this.#tokens.judge(token)
    } catch (error) {
      if (!(error instanceof KeysUnavailable)) throw this.#unexpected(error, scheme)
      this.#settings.metrics('token', 1, { outcome: 'keys_unavailable' })
      throw this.#refusal('keys_unavailable', { because: error.message, cause: error, scheme, retryAfter: 5 })
    }
  }

  #over(life: 'revoked' | 'unknown', scheme: Scheme, asked: RevocationSource = this.#source): AuthError {
    this.#settings.metrics('token', 1, { outcome: life === 'revoked' ? 'revoked' : 'revocation_unavailable' })
    if (life === 'revoked') return this.#refusal('token_revoked', { because: 'it was revoked', scheme })
    const why = asked.health()?.lastError
    const because = `what has ended is not known${why === undefined ? '' : `: ${why}`}`
    return this.#refusal('revocation_unavailable', { because, scheme })
  }

  async #prove({ token, principal }: HeldToken<C>, proof: string | undefined, request?: RequestFacts): Promise<void> {
    const scheme = 'dpop'
    if (proof === undefined) throw this.#refusal('dpop_proof_invalid', { because: 'no proof', scheme })
    const { method, url } = request ?? {}
    if (method === undefined || url === undefined) {
      const because = 'a proof cannot be looked at without the method and the url of the request'
      this.#settings.logger.error({}, because)
      throw this.#refusal('dpop_proof_invalid', { because, scheme })
    }
    const verdict = await this.#proofs.judge(proof, token, principal.jkt!, { method, url })
    if (verdict.ok) return
    const { because } = verdict
    this.#settings.metrics('proof_refused', 1, { because })
    if (because === 'full') throw this.#refusal('service_unavailable', { because: 'too many proofs', scheme })
    throw this.#refusal('dpop_proof_invalid', { because, scheme })
  }

  async #admit(
    principal: VerifiedPrincipal<C> | null,
    need: Requirement,
    context: Context | undefined,
    scheme: Scheme
  ): Promise<void> {
    const verdict = await this.#judge(principal, need, context, scheme)
    if (!verdict.ok) throw this.#refusalOf(verdict, scheme)
  }

  async #judge(
    principal: VerifiedPrincipal<C> | null,
    need: Requirement,
    given: Context | undefined,
    scheme: Scheme
  ): Promise<Verdict> {
    const context: RequestContext = { method: '', ...given }
    const facts = { principal, context, now: new Date(this.#settings.now()) }
    const inquiry = inquiryOf(need)
    if (principal === null || (!inquiry.fresh && inquiry.checks.length === 0)) return judge(need, facts)
    const checks = new Map<Requirement, boolean>()
    try {
      for (const one of inquiry.checks) checks.set(one, (await one.run(principal, context)) === true)
    } catch (error) {
      throw this.#unexpected(error, scheme)
    }
    if (!inquiry.fresh) return judge(need, { ...facts, checks })
    // Nobody is asked about a request that would be refused in any case.
    const otherwise = judge(need, { ...facts, checks, fresh: true })
    if (!otherwise.ok) return otherwise
    const life = await this.#introspection.ask(this.#held(principal))
    if (life === 'unknown') throw this.#over(life, scheme, this.#introspection)
    return judge(need, { ...facts, checks, fresh: life === 'alive' })
  }

  #refusalOf(verdict: Exclude<Verdict, { ok: true }>, scheme: Scheme): AuthError {
    switch (verdict.because) {
      case 'anonymous':
        return this.#refusal('authentication_required', { because: 'none' })
      case 'not_fresh':
        return this.#refusal('token_revoked', { because: 'not alive at this moment', scheme })
      case 'scope':
        return this.#refusal('insufficient_scope', {
          because: `scope ${verdict.scope} is required`,
          challenge: { error: 'insufficient_scope', scope: verdict.scope },
          scheme
        })
      case 'step_up':
        return this.#refusal('reauthentication_required', {
          because: 'the sign-in is too old or too weak',
          challenge: {
            error: 'insufficient_user_authentication',
            ...(verdict.acrValues === undefined ? {} : { acr_values: verdict.acrValues }),
            ...(verdict.maxAge === undefined ? {} : { max_age: String(verdict.maxAge) })
          },
          scheme
        })
      case 'denied':
        return this.#refusal('permission_denied', {
          because: 'the requirement is not met',
          challenge: { error: 'insufficient_scope' },
          scheme
        })
    }
  }

  #held(principal: VerifiedPrincipal<C>): HeldToken<C> {
    const held = heldOf(principal)
    if (held === undefined) throw new TypeError('verifier: this is not a principal that a verifier has returned')
    return held
  }

  #refusal(code: AuthErrorCode, details: AuthErrorDetails): AuthError {
    const { because, detail, challenge, retryAfter, scheme, cause } = details
    return new AuthError(code, {
      issuer: this.issuer,
      ...(because === undefined ? {} : { because }),
      ...(detail === undefined ? {} : { detail }),
      ...(challenge === undefined ? {} : { challenge }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(scheme === undefined ? {} : { scheme }),
      ...(cause === undefined ? {} : { cause })
    })
  }

  /** What nobody thought of closes the door for the moment, and says in the log what it was. */
  #unexpected(error: unknown, scheme: Scheme): AuthError {
    this.#settings.logger.error({ error }, 'a token could not be judged')
    return this.#refusal('service_unavailable', { because: 'an unexpected error', cause: error, scheme })
  }
}

const schemeOf = ({ jkt }: { readonly jkt: string | null }): Scheme => (jkt === null ? 'bearer' : 'dpop')
