/** The request that a proxy asks about, as the proxy tells it. */
export interface ForwardedRequest {
  /** As it was sent; empty where the proxy does not say it, which no safe method is. */
  readonly method: string
  /** Where it went; null where the proxy does not say it, or says what cannot be read. */
  readonly url: URL | null
}

/** How a proxy tells of it: Traefik and Caddy, nginx, Envoy. */
export type ProxyDialect = 'forwarded' | 'nginx' | 'envoy'

/** What the proxy sent to us. */
export interface Inquiry {
  readonly method: string
  /** The request line's, as it came. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

const methodForm = /^[A-Za-z][A-Za-z-]{0,31}$/
const hostForm = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/
/** Traefik names the scheme of a WebSocket as it is; its origin is that of the page. */
const schemes: Record<string, string> = { http: 'http', https: 'https', ws: 'http', wss: 'https' }

/** Behind it Envoy puts the path and the query of the request. */
const envoyPath = /^[^?]*?\/envoy\/[^/?]+(\/.*)$/s

/**
 * Reads what a proxy says in its own words alone: a header that this proxy does not set may be the client's. One that
 * occurs twice is none.
 *
 * Traefik (`X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri`) and Caddy's `forward_auth` set four headers; for nginx the
 * configuration sets `X-Original-Method` and `X-Original-URL`; Envoy repeats the request itself, its path behind a prefix.
 */
export function readForwarded(dialect: ProxyDialect, { method, path, headers }: Inquiry): ForwardedRequest {
  const said = (name: string) => {
    const value = headers[name]
    return typeof value === 'string' ? value : undefined
  }
  if (dialect === 'nginx') {
    return { method: methodOf(said('x-original-method')), url: readUrl(said('x-original-url')) }
  }
  const url = (host: string | undefined, uri: string | undefined) => {
    const scheme = schemes[said('x-forwarded-proto') ?? '']
    const isWhole = scheme !== undefined && host !== undefined && hostForm.test(host) && uri?.startsWith('/')
    return isWhole ? readUrl(`${scheme}://${host}${uri}`) : null
  }
  if (dialect === 'envoy') return { method, url: url(said('host'), envoyPath.exec(path)?.[1]) }
  return {
    method: methodOf(said('x-forwarded-method')),
    url: url(said('x-forwarded-host'), said('x-forwarded-uri'))
  }
}

const methodOf = (text: string | undefined) => (text !== undefined && methodForm.test(text) ? text : '')

function readUrl(text: string | undefined): URL | null {
  if (text === undefined || !/^https?:\/\/[^/@\\]+\//.test(text) || !URL.canParse(text)) return null
  return new URL(text)
}
