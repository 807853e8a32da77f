const bearer = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

export type BearerCredential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  /** Something is there that is not a bearer token. */
  | { readonly kind: 'malformed' }
  /** A token in the URL ends up in logs and histories; RFC 6750 §2.3 lets a service refuse it. */
  | { readonly kind: 'in_query' }

/** The access token of a request. Only the Authorization header counts (RFC 6750 §2.1). */
export function bearerCredential(authorization: string | undefined, query: unknown): BearerCredential {
  if (typeof query === 'object' && query !== null && 'access_token' in query) return { kind: 'in_query' }
  if (authorization === undefined) return { kind: 'none' }
  const token = bearer.exec(authorization)?.[1]
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token }
}
