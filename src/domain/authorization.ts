/** What one Authorization header says: its scheme in lower case, and what follows it as it was sent. */
export interface Authorization {
  readonly scheme: string
  readonly credentials: string
  /** The header as a whole. */
  readonly text: string
}

const schemeForm = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?= |$)/

/** Without the spaces around it. No expression: one with two runs of spaces takes quadratic time over a long one. */
function trimmed(text: string): string {
  let [start, end] = [0, text.length]
  while (start < end && text[start] === ' ') start++
  while (end > start && text[end - 1] === ' ') end--
  return text.slice(start, end)
}

/**
 * The Authorization header among a request's raw ones (name, value, name, value …); null where there is none, and
 * `several` where there are more. Node keeps the first of several: a proxy in front may have looked at another one.
 */
export function readAuthorization(rawHeaders: readonly string[]): Authorization | null | 'several' {
  let text: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    if (text !== undefined) return 'several'
    text = rawHeaders[at + 1]!
  }
  if (text === undefined) return null
  const scheme = schemeForm.exec(text)?.[0] ?? ''
  return { scheme: scheme.toLowerCase(), credentials: scheme === '' ? '' : trimmed(text.slice(scheme.length)), text }
}

const token68 = /^[A-Za-z0-9\-._~+/]+=*$/

/** The token of a Bearer header, or undefined where what follows the scheme cannot be one (RFC 6750 §2.1). */
export function bearerToken(authorization: Authorization): string | undefined {
  return token68.test(authorization.credentials) ? authorization.credentials : undefined
}

/** Whether a token is in the URL, where logs and histories keep it; RFC 6750 §2.3 lets a service refuse it. */
export function hasTokenInQuery(query: unknown): boolean {
  return typeof query === 'object' && query !== null && 'access_token' in query
}
