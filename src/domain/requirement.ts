import { isClientToken, type Principal } from './principal.js'

/** What a check and an owner rule are told besides the principal. */
export interface RequestContext {
  readonly method: string
  readonly params?: unknown
  /** Whatever the caller judges about: a row that it has read, say. */
  readonly resource?: unknown
}

/**
 * What a route demands of a principal (Django REST Framework's permission class), as data: it composes, it can be
 * printed into openapi.yaml, and it is judged without a request. Make it with `allow`.
 */
export type Requirement =
  | { readonly anyone: true }
  | { readonly authenticated: true }
  | { readonly read_only: true }
  | { readonly scope: string }
  | { readonly role: string }
  | { readonly permission: string }
  | { readonly acr: string }
  /** Seconds since the sign-in (RFC 9470). */
  | { readonly max_auth_age: number }
  /** The session or API token is looked up now, in the database, not in any cache. */
  | { readonly fresh: true }
  | { readonly owner: string; readonly pick: (context: RequestContext) => string | undefined }
  | { readonly check: string; readonly run: Check }
  | { readonly all: readonly Requirement[] }
  | { readonly any: readonly Requirement[] }
  | { readonly not: Requirement }

export type Check = (principal: Principal, context: RequestContext) => boolean | Promise<boolean>

const each = (make: (name: string) => Requirement, names: readonly string[], join: 'all' | 'any'): Requirement => {
  const parts = names.map(make)
  if (parts.length === 0) throw new Error('a requirement without a name would let everybody in: name one')
  if (parts.length === 1) return parts[0]!
  return join === 'all' ? { all: parts } : { any: parts }
}

/** What a challenge can name (RFC 6749 §3.3): a character that needs escaping would end its quotes. */
const nameable = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/

function named(name: string): string {
  if (nameable.test(name)) return name
  throw new Error('a scope and an acr have 1 to 64 printable characters without spaces, quotes and backslashes')
}

const role = (...names: string[]) => each((name) => ({ role: name }), names, 'any')
const some = (parts: readonly Requirement[]): readonly Requirement[] => {
  if (parts.length === 0) throw new Error('all() and any() need at least one requirement')
  return parts
}

/** The requirements, by the names that Django REST Framework's users look for. */
export const allow = {
  /** Everybody, also without credentials (`AllowAny`). */
  allowAny: (): Requirement => ({ anyone: true }),
  /** Somebody, whoever it is (`IsAuthenticated`). */
  authenticated: (): Requirement => ({ authenticated: true }),
  /** The role `admin` (`IsAdminUser`). */
  admin: (): Requirement => role('admin'),
  /** Everybody to read, and whom `other` lets in to write (`IsAuthenticatedOrReadOnly`). */
  readOnlyOr: (other: Requirement): Requirement => ({ any: [{ read_only: true }, other] }),
  /** Every one of these scopes (RFC 6750 §3). */
  scope: (...names: string[]): Requirement => each((name) => ({ scope: named(name) }), names, 'all'),
  /** At least one of these roles. */
  role,
  /** Every one of these permissions (`has_perms`). */
  permission: (...names: string[]): Requirement => each((name) => ({ permission: name }), names, 'all'),
  /** The account that `pick` finds in the request (`obj.owner == request.user`). */
  owner: (pick: (context: RequestContext) => string | undefined, name = 'resource'): Requirement => ({
    owner: name,
    pick
  }),
  /** A sign-in of at least this class (RFC 9470). */
  acr: (value: string): Requirement => ({ acr: named(value) }),
  /** A sign-in at most so many seconds ago (RFC 9470). */
  maxAuthAge: (seconds: number): Requirement => ({ max_auth_age: seconds }),
  /** A credential that is alive at this moment, asked of the database. */
  fresh: (): Requirement => ({ fresh: true }),
  /** Not by a token that a service got for itself: what it may do with other credentials, it must not do to its account. */
  notByClientToken: (): Requirement => ({ check: 'not_by_client_token', run: (who) => !isClientToken(who) }),
  /** What a function says, under a name for the documentation (a permission class of one's own). */
  check: (name: string, run: Check): Requirement => ({ check: name, run }),
  all: (...parts: Requirement[]): Requirement => ({ all: some(parts) }),
  any: (...parts: Requirement[]): Requirement => ({ any: some(parts) }),
  not: (part: Requirement): Requirement => ({ not: part })
} as const

export interface Facts {
  readonly principal: Principal | null
  readonly context: RequestContext
  readonly now: Date
  /** Whether the credential was found alive in the database; left out where no part of the requirement asks. */
  readonly fresh?: boolean
  /** What the checks said, by their node. */
  readonly checks?: ReadonlyMap<Requirement, boolean>
}

export type Verdict =
  | { readonly ok: true }
  /** 401: nobody is there, and somebody could be let in. */
  | { readonly ok: false; readonly because: 'anonymous' }
  /** 401: the credential is over. */
  | { readonly ok: false; readonly because: 'not_fresh' }
  /** 403 insufficient_scope (RFC 6750 §3.1). */
  | { readonly ok: false; readonly because: 'scope'; readonly scope: string }
  /** 401 insufficient_user_authentication (RFC 9470 §3). */
  | { readonly ok: false; readonly because: 'step_up'; readonly acrValues?: string; readonly maxAge?: number }
  /** 403. */
  | { readonly ok: false; readonly because: 'denied' }

/**
 * How far a node lets a request in. `open`: whoever it is, and nobody too; `limited`: also a credential that is limited
 * to scopes, because one of them was asked for here; `yes`: whoever is there with all that their account may do.
 */
type Degree = 'no' | 'yes' | 'limited' | 'open'

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Classes of a sign-in in their order: each contains those before it. */
const acrOrder = ['aal0', 'aal1', 'aal2', 'aal3']

function reaches(acr: string | null, wanted: string): boolean {
  if (acr === wanted) return true
  const [has, wants] = [acrOrder.indexOf(acr ?? ''), acrOrder.indexOf(wanted)]
  return wants >= 0 && has >= wants
}

/** What a judgement takes for granted, to find out what alone is lacking. */
interface Granted {
  readonly scopes?: boolean
  readonly stepUp?: boolean
  readonly fresh?: boolean
}

function of(truth: boolean): Degree {
  return truth ? 'yes' : 'no'
}

function degree(need: Requirement, facts: Facts, granted: Granted): Degree {
  const { principal, context } = facts
  if ('anyone' in need) return 'open'
  if ('read_only' in need) return safeMethods.has(context.method) ? 'open' : 'no'
  if ('all' in need) {
    const degrees = need.all.map((part) => degree(part, facts, granted))
    if (degrees.length === 0) return 'no'
    // A part that is open asks for no scope, so it lends nothing to the others.
    for (const one of ['no', 'limited', 'yes'] as const) if (degrees.includes(one)) return one
    return 'open'
  }
  if ('any' in need) {
    const degrees = need.any.map((part) => degree(part, facts, granted))
    for (const one of ['open', 'limited', 'yes'] as const) if (degrees.includes(one)) return one
    return 'no'
  }
  if ('not' in need) {
    // What is taken for granted inside a negation would take away instead of give.
    return of(degree(need.not, facts, {}) === 'no')
  }
  if (principal === null) return 'no'
  if ('authenticated' in need) return 'yes'
  if ('scope' in need) return granted.scopes || principal.scopes.has(need.scope) ? 'limited' : 'no'
  if ('role' in need) return of(principal.roles.has(need.role))
  if ('permission' in need) return of(principal.permissions.has(need.permission))
  if ('acr' in need) return of(granted.stepUp || reaches(principal.acr, need.acr))
  if ('max_auth_age' in need) {
    const at = principal.authenticatedAt
    return of(granted.stepUp || (at !== null && (facts.now.getTime() - at.getTime()) / 1000 <= need.max_auth_age))
  }
  if ('fresh' in need) return of(granted.fresh || facts.fresh === true)
  if ('owner' in need) {
    const owner = need.pick(context)
    return of(owner !== undefined && owner === principal.accountId)
  }
  return of(facts.checks?.get(need) === true)
}

/**
 * Whether a degree is enough for the credential that came: one that is limited to scopes needs one to be asked for, and
 * nobody gets in but where it is open, whatever a negation says.
 */
function suffices(reached: Degree, principal: Principal | null): boolean {
  return reached === 'open' || reached === 'limited' || (reached === 'yes' && principal?.scopes.size === 0)
}

/** Every leaf of a requirement; those of negations, which to meet would not help, where they are wanted. */
function* leaves(need: Requirement, withNegated: boolean): Generator<Requirement> {
  if ('all' in need) for (const part of need.all) yield* leaves(part, withNegated)
  else if ('any' in need) for (const part of need.any) yield* leaves(part, withNegated)
  else if (!('not' in need)) yield need
  else if (withNegated) yield* leaves(need.not, withNegated)
}

/**
 * Judges a request. Where it is refused, the verdict says what would help: a credential that is alive, a newer or a
 * stronger sign-in, the scopes that are lacking, or nothing. Of several things that are lacking it names the first.
 */
export function judge(need: Requirement, facts: Facts): Verdict {
  const { principal } = facts
  const passes = (granted: Granted) => suffices(degree(need, facts, granted), principal)
  if (passes({})) return { ok: true }
  if (principal === null) return { ok: false, because: 'anonymous' }
  if (!passes({ fresh: true, stepUp: true, scopes: true })) return { ok: false, because: 'denied' }
  if (!passes({ stepUp: true, scopes: true })) return { ok: false, because: 'not_fresh' }
  if (!passes({ scopes: true })) return { ok: false, because: 'step_up', ...challenged(need, facts) }
  const lacking = new Set<string>()
  for (const leaf of leaves(need, false)) {
    if ('scope' in leaf && !principal.scopes.has(leaf.scope)) lacking.add(leaf.scope)
  }
  return { ok: false, because: 'scope', scope: [...lacking].join(' ') }
}

/** What a client has to ask for at the next sign-in (RFC 9470 §3): the parts that fail now. */
function challenged(need: Requirement, facts: Facts): { acrValues?: string; maxAge?: number } {
  const acrs: string[] = []
  let maxAge: number | undefined
  for (const leaf of leaves(need, false)) {
    if (degree(leaf, facts, {}) !== 'no') continue
    if ('acr' in leaf) acrs.push(leaf.acr)
    if ('max_auth_age' in leaf) maxAge = Math.min(maxAge ?? leaf.max_auth_age, leaf.max_auth_age)
  }
  return {
    ...(acrs.length === 0 ? {} : { acrValues: acrs.join(' ') }),
    ...(maxAge === undefined ? {} : { maxAge })
  }
}

/** What has to be found out before a requirement can be judged. */
export interface Inquiry {
  readonly fresh: boolean
  readonly checks: ReadonlyArray<Extract<Requirement, { readonly check: string }>>
}

export function inquiryOf(need: Requirement): Inquiry {
  const all = [...leaves(need, true)]
  return { fresh: all.some((leaf) => 'fresh' in leaf), checks: all.filter((leaf) => 'check' in leaf) }
}

/** Whether somebody may come in without credentials at all, for any method. */
export function isOpen(need: Requirement): boolean {
  if ('anyone' in need) return true
  if ('any' in need) return need.any.some(isOpen)
  if ('all' in need) return need.all.length > 0 && need.all.every(isOpen)
  return false
}

/** The requirement as JSON: functions by their names alone. */
export function describeRequirement(need: Requirement): Record<string, unknown> {
  if ('all' in need) return { all: need.all.map(describeRequirement) }
  if ('any' in need) return { any: need.any.map(describeRequirement) }
  if ('not' in need) return { not: describeRequirement(need.not) }
  if ('owner' in need) return { owner: need.owner }
  if ('check' in need) return { check: need.check }
  return { ...need }
}
