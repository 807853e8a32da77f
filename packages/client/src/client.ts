import { createCarrier } from './carrier.js'
import { timing } from './clock.js'
import type { Context } from './context.js'
import { createKeeper } from './keeper.js'
import { createLock } from './lock.js'
import { type PageEvent, watchPage } from './page.js'
import { createResources } from './resources.js'
import { createSignIn } from './sign-in.js'
import { createSignOutMark } from './sign-out-mark.js'
import { createStore } from './store.js'
import { createTabs, type Tabs } from './tabs.js'
import { createTransport } from './transport.js'
import type { AuthClient, AuthClientOptions, AuthState } from './types.js'

/** How long a refresh waits for that of another tab, in milliseconds. */
const lockPatience = 3_000

/** A difference of clocks below this is none, in milliseconds. */
const noticeableSkew = 30_000

/** The address without its last slash; throws where it cannot be the service's. */
function readBaseUrl(baseUrl: string | URL): string {
  const { href } = new URL(baseUrl, globalThis.location?.href)
  if (!/^https?:[^@?#]+$/.test(href)) throw new TypeError('baseUrl: give an address such as https://auth.example.com')
  return href.replace(/\/+$/, '')
}

function build(
  options: AuthClientOptions,
  baseUrl: string,
  name: string,
  onUse: (isUsed: boolean) => void
): AuthClient {
  const { refreshTransport = 'cookie', requestTimeoutMs = 10_000, refreshAhead = 0.8 } = options
  if (!(requestTimeoutMs > 0 && refreshAhead > 0 && refreshAhead <= 1))
    throw new TypeError('requestTimeoutMs, refreshAhead')
  const clock = timing(options.clock)
  const fetch = options.fetch ?? ((...request) => globalThis.fetch(...request))
  const origins = new Set(
    [baseUrl, ...(options.resourceOrigins ?? [globalThis.location?.href ?? baseUrl])].map((url) => new URL(url).origin)
  )
  // What every address without an origin says.
  origins.delete('null')
  const log: Context['log'] = (level, code, details) => {
    try {
      options.logger?.({ level, code, ...details })
    } catch {
      // What a log does is nobody's business here.
    }
  }
  const store = createStore(log)
  let toldSkew = 0
  const onSkew = (skewMs: number) => {
    if (Math.abs(skewMs - toldSkew) < noticeableSkew) return
    toldSkew = skewMs
    store.emit({ type: 'clock_skew', skewMs })
  }
  const markKey = `${name}:signing-out`
  const context: Context = {
    clock,
    store,
    log,
    refreshAhead,
    prover: options.dpop,
    carrier: createCarrier(refreshTransport, log),
    mark: createSignOutMark(markKey, refreshTransport !== 'memory'),
    transport: createTransport({ baseUrl, fetch, clock, timeout: requestTimeoutMs, prover: options.dpop, onSkew }),
    exclusively: createLock(name, clock, lockPatience, () => log('warn', 'lock_passed'))
  }
  const keeper = createKeeper(context, () => tabs)
  const tabs: Tabs = createTabs(name, options.tabSync ?? refreshTransport === 'cookie', markKey, keeper.hear)
  const signIn = createSignIn(context, keeper)

  let readiness: Promise<AuthState> | undefined
  let unwatch: (() => void) | undefined

  function onPage(event: PageEvent): void {
    if (event === 'leaving') {
      tabs.close()
      keeper.rest(true)
      return
    }
    if (event === 'restored') {
      tabs.open()
      keeper.rest(false)
    }
    if (keeper.held === undefined && context.mark.get()) {
      void signIn.confirmLater()
      return
    }
    // In the back/forward cache it heard nothing: somebody may have signed out, or somebody else in.
    const isStale = event === 'restored' || (event === 'online' && store.state.status === 'unreachable')
    if (store.state.status !== 'loading') keeper.wake(isStale && !keeper.mustWait())
  }

  function attach(): void {
    if (unwatch) return
    unwatch = watchPage(onPage)
    onUse(true)
    tabs.open()
    keeper.rest(false)
  }

  async function boot(): Promise<AuthState> {
    const signOut = context.mark.get()
    // Somebody was faster, and signed in or out.
    if (store.state.status !== 'loading') return store.state
    if (signOut) {
      keeper.disown(signOut.sessionId)
      keeper.end('user')
      void signIn.confirmLater()
    } else await keeper.refresh()
    store.flush()
    return store.state
  }

  const ready = () => {
    attach()
    readiness ??= boot()
    return readiness
  }
  const resources = createResources(context, keeper, origins, fetch, ready)

  return {
    baseUrl,
    ...resources,
    ready,
    get state() {
      return store.state
    },
    subscribe: store.subscribe,
    on: store.on,
    async login(credentials) {
      attach()
      return await signIn.login(credentials)
    },
    async logout({ everywhere = false } = {}) {
      attach()
      return { serverConfirmed: await signIn.logout(everywhere) }
    },
    dispose() {
      unwatch?.()
      unwatch = undefined
      tabs.close()
      keeper.rest(true)
      signIn.rest()
      onUse(false)
    }
  }
}

const registryKey = Symbol.for('@keyturn/client')
type Registry = Map<string, AuthClient>

/**
 * Makes a client, or returns the one that the page has for this service and `clientId`: modules that are loaded twice, and
 * frameworks that mount twice, share one session. The options of the first call count.
 * Outside of a page each call makes a new one. Throws a TypeError where an
 * option cannot be right.
 */
export function createAuthClient(options: AuthClientOptions): AuthClient {
  const baseUrl = readBaseUrl(options.baseUrl)
  const name = `keyturn:${baseUrl}:${options.clientId ?? 'web'}`
  if (typeof document === 'undefined') return build(options, baseUrl, name, () => {})
  const place = globalThis as { [registryKey]?: Registry }
  place[registryKey] ??= new Map()
  const registry = place[registryKey]
  const known = registry.get(name)
  if (known) return known
  const client = build(options, baseUrl, name, (isUsed) => {
    if (isUsed) registry.set(name, client)
    else if (registry.get(name) === client) registry.delete(name)
  })
  registry.set(name, client)
  return client
}
