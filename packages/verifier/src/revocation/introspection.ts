import type { Discovery } from '../discovery.js'
import { type Outgoing, OutgoingError, objectOf } from '../outgoing.js'
import type { HeldToken } from '../principal.js'
import type { Settings } from '../settings.js'
import type { Life, RevocationHealth, RevocationSource } from './source.js'

const maxBytes = 64 * 1024
/** Milliseconds between two looks for whoever waits for an end. */
const lookAgainAfter = 15_000

/** Asks the service what a token stands for at this moment (RFC 7662). Only tokens that were verified are asked about. */
export class Introspection implements RevocationSource {
  readonly lookAgainAfter = lookAgainAfter
  readonly #settings: Settings<object>
  readonly #cache: number
  readonly #discovery: Discovery
  readonly #outgoing: Outgoing
  #lastError: string | undefined

  /** `cache`: milliseconds for which an answer is good. */
  constructor(
    settings: Settings<object>,
    cache: number,
    parts: { readonly discovery: Discovery; readonly outgoing: Outgoing }
  ) {
    this.#settings = settings
    this.#cache = cache
    this.#discovery = parts.discovery
    this.#outgoing = parts.outgoing
  }

  async ready(): Promise<void> {
    await this.#discovery.endpoint('introspection')
  }

  judge(held: HeldToken): Life | Promise<Life> {
    if (this.#cache > 0 && held.confirmedAt !== undefined) {
      const age = this.#settings.now() - held.confirmedAt
      if (age >= 0 && age < this.#cache) return 'alive'
    }
    return this.ask(held)
  }

  /** Whether it is alive now, whatever was said before. */
  async ask(held: HeldToken): Promise<Life> {
    const askedAt = this.#settings.now()
    try {
      const isActive = await this.#introspect(held)
      this.#lastError = undefined
      this.#settings.metrics('introspection', 1, { outcome: isActive ? 'active' : 'inactive' })
      if (isActive) held.confirmedAt = askedAt
      else delete held.confirmedAt
      return isActive ? 'alive' : 'revoked'
    } catch (error) {
      this.#lastError = (error as Error).message
      this.#settings.metrics('introspection', 1, { outcome: 'failed' })
      this.#settings.logger.warn({ error: this.#lastError }, 'the service could not be asked about a token')
      return 'unknown'
    }
  }

  onChange(): () => void {
    return () => {}
  }

  health(): RevocationHealth {
    const error = this.#lastError
    return {
      mode: 'introspect',
      ageSeconds: null,
      isKnown: error === undefined,
      ...(error === undefined ? {} : { lastError: error })
    }
  }

  close(): void {}

  async #introspect({ token, principal }: HeldToken): Promise<boolean> {
    const { client } = this.#settings
    if (client === undefined) throw new OutgoingError('no client is configured: give the verifier the option "client"')
    const { clientId, clientSecret } = client
    const secret = typeof clientSecret === 'string' ? clientSecret : await clientSecret()
    const answer = await this.#outgoing.ask(await this.#discovery.endpoint('introspection'), {
      accept: ['application/json'],
      maxBytes,
      headers: { authorization: `Basic ${btoa(`${formEncoded(clientId)}:${formEncoded(secret)}`)}` },
      form: new URLSearchParams({ token, token_type_hint: 'access_token' })
    })
    const said = objectOf(answer.kind === 'content' ? answer.text : '')
    if (said.active === false) return false
    // What is said of another token is no answer.
    if (said.active !== true || said.jti !== principal.tokenId || said.sub !== principal.accountId) {
      throw new OutgoingError('an answer that is not about the token')
    }
    return true
  }
}

/** As RFC 6749 §2.3.1 has it of a client's id and secret. */
function formEncoded(text: string): string {
  return new URLSearchParams({ x: text }).toString().slice(2)
}
