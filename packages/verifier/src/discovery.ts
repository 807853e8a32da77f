import { Flight } from './flight.js'
import { type Outgoing, OutgoingError, objectOf } from './outgoing.js'
import { refusalOfUrl, type Settings } from './settings.js'

/** Where the issuer has what a verifier asks for, as it is reached from here. */
export interface Endpoints {
  readonly keys: string | undefined
  readonly revocations: string | undefined
  readonly stream: string | undefined
  readonly introspection: string | undefined
}

/** Milliseconds for which metadata is good. */
const maxAge = 3_600_000
const maxBytes = 64 * 1024

/**
 * The issuer's metadata (RFC 8414, OpenID Connect Discovery): fetched when it is first needed, and again after an hour.
 * What it names is used only on the issuer's own origin, so that it cannot send requests or secrets anywhere else.
 */
export class Discovery {
  readonly #settings: Settings<object>
  readonly #outgoing: Outgoing
  readonly #flight: Flight<Endpoints>
  #known: { readonly endpoints: Endpoints; readonly at: number } | undefined

  constructor(settings: Settings<object>, outgoing: Outgoing) {
    this.#settings = settings
    this.#outgoing = outgoing
    this.#flight = new Flight(settings.timeout)
  }

  /** Throws an OutgoingError where there is no metadata that could be trusted. */
  async endpoints(): Promise<Endpoints> {
    const known = this.#known
    if (known !== undefined) {
      const age = this.#settings.now() - known.at
      if (age >= 0 && age < maxAge) return known.endpoints
    }
    try {
      return await this.#flight.run((moved) => this.#discover(moved))
    } catch (error) {
      if (known !== undefined) return known.endpoints
      throw error
    }
  }

  /** One of the endpoints. Throws an OutgoingError where the issuer does not have it. */
  async endpoint(name: keyof Endpoints): Promise<string> {
    const url = (await this.endpoints())[name]
    if (url === undefined) throw new OutgoingError(`the issuer's metadata names no ${name}`)
    return url
  }

  async #discover(moved: () => void): Promise<Endpoints> {
    const at = this.#settings.now()
    let first: unknown
    for (const url of metadataUrls(this.#settings.baseUrl)) {
      try {
        const answer = await this.#outgoing.ask(url, { accept: ['application/json'], maxBytes })
        const endpoints = this.#read(answer.kind === 'content' ? answer.text : '')
        this.#known = { endpoints, at }
        return endpoints
      } catch (error) {
        first ??= error
      }
      moved()
    }
    throw first
  }

  #read(text: string): Endpoints {
    const metadata = objectOf(text)
    // RFC 8414 §3.3: letter by letter.
    const { issuer } = metadata
    if (issuer !== this.#settings.issuer) {
      const said = typeof issuer === 'string' ? issuer.slice(0, 200) : 'none'
      throw new OutgoingError(
        `the metadata is of another issuer: it says ${said}, and the option "issuer" ${this.#settings.issuer}, which must be the same letter by letter`
      )
    }
    const own = (value: unknown) => (value === undefined ? undefined : this.reached(value))
    return {
      keys: own(metadata.jwks_uri),
      revocations: own(metadata.keyturn_revocations_uri),
      stream: own(metadata.keyturn_revocations_stream_uri),
      introspection: own(metadata.introspection_endpoint)
    }
  }

  /** How an address of the issuer's is reached from here. Throws an OutgoingError where it is not the issuer's own. */
  reached(value: unknown): string {
    const { issuer, baseUrl, allowHttp } = this.#settings
    const refusal = refusalOfUrl(value, allowHttp)
    if (refusal !== null) throw new OutgoingError(`an address of the issuer ${refusal}`)
    const url = new URL(value as string)
    const own = new URL(issuer)
    if (url.origin !== own.origin) throw new OutgoingError('an address that is not on the origin of the issuer')
    const base = own.pathname === '/' ? '' : own.pathname.replace(/\/$/, '')
    if (own.origin + base === baseUrl) return url.href
    if (!url.pathname.startsWith(`${base}/`)) throw new OutgoingError('an address that is not below the issuer')
    return baseUrl + url.pathname.slice(base.length) + url.search
  }
}

/** Where RFC 8414 §3.1 has it, between host and path, and where OpenID Connect has it, behind the path. */
function metadataUrls(baseUrl: string): string[] {
  const { origin, pathname } = new URL(baseUrl)
  const path = pathname === '/' ? '' : pathname
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`
  ]
}
