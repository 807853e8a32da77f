/** What a request with our cookie says about where it comes from. */
export interface CookieRequest {
  readonly contentType: string | undefined
  readonly fetchSite: string | undefined
  readonly origin: string | undefined
  readonly customHeader: string | undefined
}

/** The proof that a request lacks, in a word; `because` is for the log. */
export interface MissingProof {
  readonly proof: 'content_type' | 'custom_header' | 'origin'
  readonly because: string
}

/**
 * Why a request that carries a cookie must not be obeyed, or null (cross-site request forgery; RFC 10017 §6.1.3.3).
 *
 * SameSite alone leaves sibling subdomains, so four things must agree: a JSON body and a header that no form can send
 * (both force a preflight), Fetch Metadata, and the Origin. A request that tells neither of the last two is refused.
 */
export function judgeCookieRequest(request: CookieRequest, allowedOrigins: ReadonlySet<string>): MissingProof | null {
  if (request.contentType?.split(';')[0]?.trim().toLowerCase() !== 'application/json') {
    return { proof: 'content_type', because: 'content type is not application/json' }
  }
  if (request.customHeader === undefined) {
    return { proof: 'custom_header', because: 'header x-auth-request is missing' }
  }
  const originAllowed = request.origin !== undefined && allowedOrigins.has(request.origin)
  if (request.fetchSite !== undefined) {
    if (request.fetchSite === 'same-origin') return null
    if (originAllowed) return null
    return { proof: 'origin', because: `sec-fetch-site is ${request.fetchSite} and the origin is not allowed` }
  }
  return originAllowed ? null : { proof: 'origin', because: 'neither sec-fetch-site nor an allowed origin' }
}

/** What a request that a proxy asks about says of the page that it comes from. */
export interface ForwardedOrigin {
  readonly fetchSite: string | undefined
  readonly origin: string | undefined
  /** The origin of the request itself; null where it is not known. */
  readonly own: string | null
}

/**
 * The same for a request to a proxy's upstream, whose forms and bodies are its own: it comes from a page of its own origin or
 * of one that is allowed, by Fetch Metadata or by its Origin. One that tells neither is refused.
 */
export function judgeForwardedCookie(
  { fetchSite, origin, own }: ForwardedOrigin,
  allowedOrigins: ReadonlySet<string>
): MissingProof | null {
  if (fetchSite === 'same-origin') return null
  if (origin !== undefined && (origin === own || allowedOrigins.has(origin))) return null
  return { proof: 'origin', because: `sec-fetch-site is ${fetchSite ?? 'missing'} and the origin is not allowed` }
}

/** Why a text is not an origin that may be allowed, or null. There are no patterns: each origin is listed by itself. */
export function refusalOfOrigin(text: string): string | null {
  if (!URL.canParse(text)) return 'an origin such as https://app.example.com'
  const url = new URL(text)
  if (url.hostname.includes('*')) return 'one exact origin: patterns are not known, list each origin by itself'
  if (!/^https?:$/.test(url.protocol)) return 'an http or https origin'
  return url.origin === text ? null : `written as ${url.origin}: scheme, host and port alone`
}
