import type { Test } from 'tap'
import { type AuthClient, type AuthClientOptions, createAuthClient } from '../../packages/client/src/index.js'
import type { AuthEvent, Clock, LogEvent, TabSync } from '../../packages/client/src/types.js'
import type { BrowserWorld } from './browser-world.js'

/** A clock in the test's hand: both of its hands, and what is to happen at a time. */
class HandClock implements Clock {
  #wall: number
  #mono = 0
  #timers = new Map<object, { at: number; run: () => void }>()
  constructor(wall = Date.now()) {
    this.#wall = wall
  }
  readonly wall = () => this.#wall
  readonly mono = () => this.#mono
  readonly after = (milliseconds: number, run: () => void) => {
    const key = {}
    this.#timers.set(key, { at: this.#mono + milliseconds, run })
    return () => void this.#timers.delete(key)
  }
  /** The machine's clock is set; no time passes. */
  set(by: number): void {
    this.#wall += by
  }
  /** The machine sleeps: the monotonic clock stands still. */
  sleep(milliseconds: number): void {
    this.#wall += milliseconds
  }
  /** Time passes in one leap, and what was to happen meanwhile does. */
  pass(milliseconds: number): void {
    this.#wall += milliseconds
    this.#mono += milliseconds
    const due = [...this.#timers].filter(([, { at }]) => at <= this.#mono)
    for (const [key, { run }] of due.sort(([, a], [, b]) => a.at - b.at)) if (this.#timers.delete(key)) run()
  }
}

/** One browser: a cookie jar, a channel between its tabs, and tabs. */
export class FakeBrowser {
  readonly cookies = new Map<string, string>()
  /** All tabs are on one machine. */
  readonly startedAt = Date.now()
  readonly #listeners = new Set<(message: unknown) => void>()
  /** Everything that tabs told each other. */
  readonly messages: unknown[] = []

  /** Whether it has a refresh token; what tells that somebody signed in here once stays. */
  get hasRefreshToken(): boolean {
    return this.cookies.has('keyturn-rt')
  }

  constructor(
    readonly w: BrowserWorld,
    readonly t: Test
  ) {}

  /** fetch as a page of the front's own origin has it. */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    const headers = new Headers(request.headers)
    const { origin } = new URL(this.w.front.url)
    headers.set('origin', origin)
    headers.set('sec-fetch-site', 'same-origin')
    const carriesCookies = request.credentials !== 'omit' && new URL(request.url).origin === origin
    if (carriesCookies && this.cookies.size > 0) {
      headers.set('cookie', [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    }
    const body = request.body === null ? null : await request.arrayBuffer()
    const { method, signal, redirect } = request
    const response = await fetch(request.url, { method, headers, body, signal, redirect })
    for (const cookie of carriesCookies ? response.headers.getSetCookie() : []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(cookie)) this.cookies.delete(name!)
      else this.cookies.set(name!, value!)
    }
    return response
  }

  #channel(): TabSync {
    let own: ((message: unknown) => void) | undefined
    return {
      post: (message) => {
        this.messages.push(message)
        // As a channel does it: later, and a copy.
        for (const listener of this.#listeners) {
          if (listener !== own) setImmediate(() => this.#listeners.has(listener) && listener(structuredClone(message)))
        }
      },
      subscribe: (listener) => {
        own = listener
        this.#listeners.add(listener)
        return () => void this.#listeners.delete(listener)
      }
    }
  }

  tab(options: Partial<AuthClientOptions> = {}): Tab {
    const clock = new HandClock(this.startedAt)
    const logs: LogEvent[] = []
    const events: AuthEvent[] = []
    const client = createAuthClient({
      baseUrl: this.w.front.url,
      fetch: this.fetch,
      tabSync: this.#channel(),
      clock,
      logger: (event) => logs.push(event),
      ...options
    })
    client.on((event) => events.push(event))
    this.t.teardown(() => client.dispose())
    return { client, clock, logs, events, signOuts: () => events.filter(({ type }) => type === 'signed_out').length }
  }
}

export interface Tab {
  readonly client: AuthClient
  readonly clock: HandClock
  readonly logs: LogEvent[]
  readonly events: AuthEvent[]
  signOuts(): number
}
