import type { ForwardedRequest } from './forwarded-request.js'
import type { Principal } from './principal.js'
import { allow, type Requirement } from './requirement.js'

/** What a proxy's upstream is told of whoever asks, by the names of the headers. */
export interface Identity {
  readonly subject: string
  readonly session: string
  /** Separated by commas. */
  readonly roles: string
  /** Separated by commas. */
  readonly permissions: string
  /** What the credential is limited to, separated by spaces; empty where it is not. */
  readonly scope: string
  readonly email: string
  /** A JWT for the upstream. */
  readonly token: string
}

/** Nobody: every header, and nothing in it. */
export const nobody: Identity = {
  subject: '',
  session: '',
  roles: '',
  permissions: '',
  scope: '',
  email: '',
  token: ''
}

/**
 * The headers of an identity: always all of them. A proxy replaces only what it is given, so a header that is left out
 * would leave what the client made up (GHSA-7r4p-vjf4-gxv4).
 */
export function identityHeaders(identity: Identity): Record<`x-auth-${keyof Identity}`, string> {
  return {
    'x-auth-subject': identity.subject,
    'x-auth-session': identity.session,
    'x-auth-roles': identity.roles,
    'x-auth-permissions': identity.permissions,
    'x-auth-scope': identity.scope,
    'x-auth-email': identity.email,
    'x-auth-token': identity.token
  }
}

const printableWord = /^[\x21-\x7e]+$/
/** A comma would make two names of one. */
const nameForm = /^[\x21-\x2b\x2d-\x7e]+$/

const joined = (names: Iterable<string>, form: RegExp, separator: string) =>
  [...names]
    .filter((name) => form.test(name))
    .sort()
    .join(separator)

/**
 * Who a principal is, in headers; null where its account cannot be named in one. Names that cannot be told are left out,
 * and so is an address that is not printable ASCII: services read other bytes in different ways.
 */
export function identityOf(principal: Principal, email: string | null): Identity | null {
  const { accountId, sessionId } = principal
  if (!printableWord.test(accountId)) return null
  return {
    subject: accountId,
    session: sessionId !== null && printableWord.test(sessionId) ? sessionId : '',
    roles: joined(principal.roles, nameForm, ','),
    permissions: joined(principal.permissions, nameForm, ','),
    scope: joined(principal.scopes, printableWord, ' '),
    email: email !== null && printableWord.test(email) ? email : '',
    token: ''
  }
}

/** What a proxy asks for, as it stands in the address that the proxy is configured with. */
export interface Demand {
  readonly requirement: Requirement
  /** Whether a CORS preflight passes as nobody: browsers send it without credentials. */
  readonly preflight: boolean
  /** Who the upstream's token is for; undefined where the address does not say. */
  readonly audience: string | undefined
}

const seconds = /^\d{1,9}$/

const terms: Record<string, (names: string[]) => Requirement | undefined> = {
  role: (names) => allow.role(...names),
  scope: (names) => allow.scope(...names),
  permission: (names) => allow.permission(...names),
  acr: ([value, ...more]) => (more.length === 0 ? allow.acr(value!) : undefined),
  max_auth_age: ([value, ...more]) =>
    more.length === 0 && seconds.test(value!) ? allow.maxAuthAge(Number(value)) : undefined
}

const words: Record<string, () => Requirement> = {
  anyone: allow.allowAny,
  authenticated: allow.authenticated,
  fresh: () => allow.all(allow.authenticated(), allow.fresh())
}

/**
 * Reads a demand such as `role:editor,admin&scope:reports.read&fresh`: all terms hold; of several roles one is enough,
 * of scopes and permissions all are needed, as `allow` has it. Without one, somebody has to be there.
 *
 * It is a part of the path: proxies hand on the client's query (Caddy), and what a client writes there must ask for
 * nothing and excuse from nothing. Null for what cannot be read: a term that is passed over would let too many in.
 */
export function readDemand(text: string | undefined): Demand | null {
  const requirements: Requirement[] = []
  let preflight = false
  let audience: string | undefined
  for (const term of text === undefined ? [] : text.split('&')) {
    const [word = '', ...rest] = term.split(':')
    if (rest.length === 0) {
      if (word === 'preflight') preflight = true
      else if (Object.hasOwn(words, word)) requirements.push(words[word]!())
      else return null
      continue
    }
    const value = rest.join(':')
    if (word === 'audience') {
      if (value === '' || audience !== undefined) return null
      audience = value
      continue
    }
    const names = value.split(',')
    if (!Object.hasOwn(terms, word) || !names.every((name) => nameForm.test(name))) return null
    let requirement: Requirement | undefined
    try {
      requirement = terms[word]!(names)
    } catch {
      return null
    }
    if (requirement === undefined) return null
    requirements.push(requirement)
  }
  if (requirements.length === 0) requirements.push(allow.authenticated())
  const [only] = requirements
  return { requirement: requirements.length === 1 ? only! : allow.all(...requirements), preflight, audience }
}

/** Whether a request is a CORS preflight (Fetch §3.2.2), which never carries a credential. */
export function isPreflight(method: string, headers: Readonly<Record<string, unknown>>): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}

export interface PageRequest {
  readonly accept: string | undefined
  readonly fetchMode: string | undefined
  readonly hasAuthorization: boolean
}

/**
 * Whether a browser asks for a page, so that it can be sent to sign in: a script that asks for data would follow to a
 * page it does not want, and needs the 401.
 */
export function wantsPage(method: string, { accept = '', fetchMode, hasAuthorization }: PageRequest): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false
  if (hasAuthorization || (fetchMode !== undefined && fetchMode !== 'navigate')) return false
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    return type === 'text/html' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}

export interface LoginPage {
  readonly url: string
  /** Origins to which it may lead back. */
  readonly returnOrigins: ReadonlySet<string>
}

/**
 * Where to sign in, with why and with the way back: only to an origin that is listed, or the login page would send people
 * wherever a link says. Null where the page that was asked for is the login page itself.
 */
export function loginAddress(page: LoginPage, target: ForwardedRequest['url'], reason: string): string | null {
  const address = new URL(page.url)
  if (target !== null && target.origin === address.origin && target.pathname === address.pathname) return null
  address.searchParams.set('reason', reason)
  if (target !== null && page.returnOrigins.has(target.origin)) address.searchParams.set('returnTo', target.href)
  return address.href
}

/**
 * The status for nginx: its `auth_request` passes 401 and 403 on, and makes 500 of all else (measured with 1.22). What is
 * to be done about it is in `X-Auth-Error`.
 */
export function statusForNginx(status: number): 200 | 401 | 403 {
  return status === 200 || status === 401 ? status : 403
}
