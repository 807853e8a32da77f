const bearer = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

export type BearerCredential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  /** Something is there that is not a bearer token. */
  | { readonly kind: 'malformed' }
  /** A token in the URL ends up in logs and histories; RFC 6750 §2.3 lets a service refuse it. */
  | { readonly kind: 'in_query' }

/**
 * The Authorization header among a request's raw ones (name, value, name, value …). Node keeps the first of several; here
 * they are put together, which is no credential: a proxy in front may have looked at the other one.
 */
export function authorizationOf(rawHeaders: readonly string[]): string | undefined {
  let found: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    found = found === undefined ? rawHeaders[at + 1]! : `${found}, ${rawHeaders[at + 1]}`
  }
  return found
}

/** The access token of a request. Only the Authorization header counts (RFC 6750 §2.1). */
export function bearerCredential(authorization: string | undefined, query: unknown): BearerCredential {
  if (typeof query === 'object' && query !== null && 'access_token' in query) return { kind: 'in_query' }
  if (authorization === undefined) return { kind: 'none' }
  const token = bearer.exec(authorization)?.[1]
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token }
}
