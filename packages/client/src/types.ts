import type { Problem, Result } from './problem.js'

export interface AuthClientOptions {
  /** Where the service is, such as https://auth.example.com: same-site with the page, for the cookie. A path may be part of it. */
  readonly baseUrl: string | URL
  /** Keeps several clients of one page apart: locks, channels and marks carry it. It is not sent. Default `web`. */
  readonly clientId?: string
  /**
   * Where the refresh token lives; the access token is in memory always.
   * `cookie` (default): HttpOnly, no script sees it. `memory`: in bodies, gone with a reload (development across sites, tests).
   * A store of your own is for native shells that have a keychain. There is no `localStorage`, on purpose.
   */
  readonly refreshTransport?: 'cookie' | 'memory' | RefreshTokenStore
  /**
   * Shares the access token, and never the refresh token, with tabs of the same origin: one refresh for all of them.
   * Default: by BroadcastChannel where the refresh token is in the cookie, else not.
   */
  readonly tabSync?: boolean | TabSync
  /** Refresh after this part of an access token's life, ±10 %, while the tab is visible. Default 0.8. */
  readonly refreshAhead?: number
  /** Every request ends within this time. Default 10,000 ms. */
  readonly requestTimeoutMs?: number
  /** Only these origins get the access token from `fetch` and `authorize`. Default: the page's own. That of `baseUrl` always does. */
  readonly resourceOrigins?: ReadonlyArray<string | URL>
  /** Binds the session to a key: `dpop()` of `@keyturn/client/dpop`. */
  readonly dpop?: Prover
  readonly fetch?: typeof globalThis.fetch
  readonly clock?: Clock
  /** What went wrong inside, for a log; what becomes of the session is told by `on`. Never a byte of a token. */
  readonly logger?: (event: LogEvent) => void
}

/** Where a native shell keeps the refresh token. A failure of `get` ends no session. */
export interface RefreshTokenStore {
  get(): Promise<string | null>
  set(token: string): Promise<void>
  clear(): Promise<void>
}

/** A way from tab to tab. What is posted is heard by all but the one that posts. */
export interface TabSync {
  post(message: unknown): void
  subscribe(listener: (message: unknown) => void): () => void
}

/** Time. `wall` may jump; `mono` may stand still while the machine sleeps: both are asked, and the later one counts. */
export interface Clock {
  /** Milliseconds since 1970. */
  wall(): number
  /** Milliseconds since anything. */
  mono(): number
  /** Runs something later, and returns what prevents it. Default: setTimeout. */
  after?(milliseconds: number, run: () => void): () => void
}

/** Makes proofs by a key (RFC 9449). `@keyturn/client/dpop` has one. */
export interface Prover {
  /** A proof for one request. Rejects where none can be made. */
  prove(request: ProofRequest): Promise<string>
  /** Takes the nonce and the time of an answer; true where it refused the proof beside a token, and not the token. */
  learn(response: Response, url: string): boolean
  /** Called once a session rests on the key: puts it where a reload finds it. Never rejects. */
  keep(): Promise<void>
}

export interface ProofRequest {
  readonly method: string
  readonly url: string
  readonly accessToken?: string | undefined
}

export type LogCode =
  | 'listener_failed'
  | 'lock_passed'
  | 'refresh_failed'
  | 'refused'
  | 'signout_unconfirmed'
  | 'store_failed'

export interface LogEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly code: LogCode
  /** The code of a problem, or the reason of an end. */
  readonly because?: string
  readonly status?: number
}

/** Who is signed in, as the service said last. For display: what somebody may do, the services themselves decide. */
export interface SessionUser {
  readonly id: string
  readonly username: string
  readonly email: string | null
  readonly emailVerified: boolean
  readonly roles: readonly string[]
  /** By the roles, and of its own. */
  readonly permissions: readonly string[]
}

/** The sign-in. It never changes, whatever is refreshed. */
export interface SessionInfo {
  readonly id: string
  /** Milliseconds since 1970, by the service's clock. */
  readonly authTime: number
  readonly amr: readonly string[]
  /** When it ends at the latest, by this machine's clock. */
  readonly expiresAt: number
}

export type SignedOutReason =
  /** By `logout()` in this tab. */
  | 'user'
  /** By `logout()` in another tab, or somebody signed in there. */
  | 'other_tab'
  /** Not used for too long, or its time is over, or the browser has no cookie any more. */
  | 'expired'
  | 'revoked'
  | 'reuse_detected'
  | 'account_disabled'
  /** The refresh token is not one of this service. */
  | 'token_invalid'
  /** The session is bound to a key that this browser has no more. */
  | 'key_lost'
  | 'never_signed_in'

export type AuthState =
  /** Before anything is known; also what a server renders. */
  | { readonly status: 'loading' }
  | { readonly status: 'anonymous'; readonly reason: SignedOutReason }
  | { readonly status: 'authenticated'; readonly user: SessionUser; readonly session: SessionInfo }
  /**
   * There is no usable access token, and the service cannot be asked for one. The session goes on: this never turns into
   * a sign-out by itself. Both are null where the page was loaded while the service was away.
   */
  | {
      readonly status: 'unreachable'
      readonly user: SessionUser | null
      readonly session: SessionInfo | null
      /** When it is tried again, by this machine's clock. */
      readonly retryAt: number
    }

export type AuthEvent =
  /** On a real change only: another user, other roles. */
  | { readonly type: 'state'; readonly state: AuthState; readonly previous: AuthState }
  | { readonly type: 'signed_in'; readonly user: SessionUser; readonly via: 'password' | 'restore' | 'other_tab' }
  | { readonly type: 'signed_out'; readonly reason: SignedOutReason }
  | { readonly type: 'refreshed'; readonly accessExpiresAt: number; readonly by: 'this_tab' | 'other_tab' }
  /** The service's clock minus this machine's, where it is more than 30 s. For display alone. */
  | { readonly type: 'clock_skew'; readonly skewMs: number }
  /** Signed out here, and the service does not know yet. It is told again by itself; `retry` does it now. */
  | { readonly type: 'signout_unconfirmed'; readonly retry: () => Promise<boolean> }

export interface Credentials {
  readonly username?: string
  readonly email?: string
  readonly password: string
  readonly signal?: AbortSignal
}

export interface TokenRequest {
  /** How long the token must be good at least. */
  readonly minValidityMs?: number
  /** Also where there is a good one. */
  readonly forceRefresh?: boolean
  readonly signal?: AbortSignal
}

export interface AuthClient {
  /** Where the service is, without a slash at its end. */
  readonly baseUrl: string
  /** Restores the session. Idempotent: every call returns the same promise. Never rejects, and never waits for ever. */
  ready(): Promise<AuthState>
  /** The same object until something really changes. */
  readonly state: AuthState
  /** For useSyncExternalStore. */
  subscribe(listener: () => void): () => void
  /** Called after the state has changed, outside of any lock. What a listener throws or returns is nobody's business. */
  on(listener: (event: AuthEvent) => void): () => void

  login(credentials: Credentials): Promise<Result<SessionUser>>
  /** Signed out at once, whatever the network does; the service is told until it confirms, also after a reload. */
  logout(options?: { readonly everywhere?: boolean }): Promise<{ readonly serverConfirmed: boolean }>

  /** Null where nobody is signed in. Rejects with AuthUnreachableError where there is a session and no usable token. */
  getAccessToken(options?: TokenRequest): Promise<string | null>
  /** fetch with the access token for `resourceOrigins`; on a 401 for the token it refreshes once and repeats once. */
  readonly fetch: typeof globalThis.fetch
  /** The same for other HTTP clients: a request with the access token, where its origin may have it. */
  authorize(request: Request): Promise<Request>
  /** What to send again after an answer, or null. A request whose body was sent cannot be: give a clone. */
  shouldRetry(request: Request, response: Response): Promise<Request | null>

  /** Ends timers, listeners and channels, and no session. `ready()` begins again. */
  dispose(): void
}

/** There is a session, and no usable access token: the service could not be asked. */
export class AuthUnreachableError extends Error {
  override readonly name = 'AuthUnreachableError'
  readonly problem: Problem
  /** When it is tried again, by this machine's clock. */
  readonly retryAt: number
  constructor(problem: Problem, retryAt: number) {
    super(problem.code)
    this.problem = problem
    this.retryAt = retryAt
  }
}
