import type { AccessTokenClaims } from '../../../src/domain/access-token.js'

/** A client of the service with the permission `keyturn.introspect`. */
export interface ClientCredentials {
  readonly clientId: string
  readonly clientSecret: string | (() => string | Promise<string>)
}

/** Whether tokens go on being accepted when what has ended is not known any more. There is no default: choose. */
export type OnStale = 'allow' | 'deny'

export type RevocationOptions =
  /** A token is good until it expires, whatever happened to its session. */
  | 'none'
  | {
      /** `feed` asks for what has ended at an interval; `push` keeps a stream open, and asks while it is broken. */
      readonly mode: 'feed' | 'push'
      /** Seconds between two requests, 15 unless said. */
      readonly interval?: number
      /** Seconds without an answer after which what has ended counts as not known, 60 unless said. */
      readonly maxStaleness?: number
      readonly onStale: OnStale
    }
  | {
      /** The OAuth status list that each token names: sessions alone, and 30 s late. */
      readonly mode: 'status-list'
      /** Seconds beyond a list's own time for which it is used when there is no newer one, 60 unless said. */
      readonly maxStaleness?: number
      readonly onStale: OnStale
    }
  | {
      /** The service is asked about each token. Needs `client`. While it does not answer, nobody is let in. */
      readonly mode: 'introspect'
      /** Seconds for which an answer is good, 0 unless said. */
      readonly cache?: number
    }

export interface KeyOptions {
  /** Seconds for which a key set is good, 300 unless said. */
  readonly maxAge?: number
  /** Seconds before that at which a new one is fetched in the background, 60 unless said. */
  readonly refreshAhead?: number
  /** Seconds between two fetches for keys that are not known, 5 unless said. */
  readonly cooldown?: number
  /** Seconds for which an old key set is good while there is no new one, a day unless said. */
  readonly staleIfError?: number
}

export interface Logger {
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

export interface VerifierOptions<C extends object = object> {
  /** Letter by letter what tokens and the service's metadata say. */
  readonly issuer: string
  /** Who this service is: a token must be for at least one of these. */
  readonly audience: string | readonly string[]
  readonly revocation: RevocationOptions
  /** Where the issuer is reached from here, where that is not at its own address. */
  readonly baseUrl?: string | undefined
  /** Where the key set is; by discovery unless said. */
  readonly jwksUri?: string | undefined
  /** A key set that never changes and is fetched from nowhere. */
  readonly jwks?: { readonly keys: readonly object[] } | undefined
  /** Seconds by which clocks may disagree: a whole number up to 60, 5 unless said. */
  readonly leeway?: number | undefined
  readonly keys?: KeyOptions | undefined
  /** Verified tokens that are remembered, 2,000 unless said; 0 remembers none. */
  readonly rememberedTokens?: number | undefined
  /** For `allow.fresh()` and for the mode `introspect`. */
  readonly client?: ClientCredentials | undefined
  /** The Authorization header for the feed, where it is not public (`Token ktt_…`). */
  readonly feedAuthorization?: string | (() => string | Promise<string>) | undefined
  /** What else a token has to say: throws, and the token is refused, or returns what is to be in `claims`. */
  readonly claims?: ((claims: Readonly<AccessTokenClaims & Record<string, unknown>>) => C) | undefined
  /** Proofs of possession that are remembered so that each counts once, 100,000 unless said. */
  readonly rememberedProofs?: number | undefined
  /** Seconds that a request may take with its whole answer, 5 unless said. */
  readonly timeout?: number | undefined
  /** Whether plain http is allowed beyond this machine. Whoever is on the way can then make keys. */
  readonly allowHttp?: boolean | undefined
  readonly fetch?: typeof globalThis.fetch | undefined
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined
  readonly logger?: Logger | undefined
  /** Called with each count and each measure: see the README for their names. Must not throw. */
  readonly metrics?: ((name: string, value: number, labels: Readonly<Record<string, string>>) => void) | undefined
}
