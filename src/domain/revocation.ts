import type { Principal } from './principal.js'

/**
 * `session`, `token` (`jti` of an access token) and `api_token` end one thing for good. `account`, `role` and `all` end
 * what was issued before them. `key` ends whatever a signing key has signed or will: it was compromised.
 */
export const revocationKinds = ['session', 'account', 'role', 'token', 'api_token', 'all', 'key'] as const
export type RevocationKind = (typeof revocationKinds)[number]

/** The subject of `all`. */
export const everything = '*'

/** An entry that ends what was issued before it. */
export interface Revocation {
  /** In the order of commits; what carries this or a later number was issued with this in mind. */
  readonly id: number
  readonly kind: RevocationKind
  /** The id of the session, account, token or key, the name of the role, or `everything`. */
  readonly subject: string
  readonly because: string
  /** When the last thing that it ends has expired by itself. */
  readonly expiresAt: Date
}

/** What of a principal says whether its credential was ended. */
export type Revocable = Pick<Principal, 'accountId' | 'sessionId' | 'tokenId' | 'roles' | 'revision'>

/**
 * The revocations that still matter, for a judgement without a query.
 *
 * A session and an API token that were ended stay so. An account's, a role's and everybody's entry end what was issued before them,
 * and that is told by numbers alone: an access token carries the last id that its issuer had read (`rev`), in the very
 * statement in which it read the account. No clock takes part, so clocks that disagree neither sign anybody out nor let
 * an old token live.
 */
export class RevocationSet {
  readonly #byKind: Record<RevocationKind, Map<string, Revocation>> = {
    session: new Map(),
    account: new Map(),
    role: new Map(),
    token: new Map(),
    api_token: new Map(),
    all: new Map(),
    key: new Map()
  }
  #cursor = 0

  /** The last id that was added. */
  get cursor(): number {
    return this.#cursor
  }

  get size(): number {
    return Object.values(this.#byKind).reduce((sum, entries) => sum + entries.size, 0)
  }

  add(entry: Revocation): void {
    this.#cursor = Math.max(this.#cursor, entry.id)
    const entries = this.#byKind[entry.kind]
    const known = entries.get(entry.subject)
    if (known === undefined) {
      entries.set(entry.subject, entry)
      return
    }
    // The later entry covers the earlier one; whichever lives longer decides how long it is remembered.
    const expiresAt = known.expiresAt > entry.expiresAt ? known.expiresAt : entry.expiresAt
    entries.set(entry.subject, { ...(known.id < entry.id ? entry : known), expiresAt })
  }

  /** Forgets what has expired by itself. */
  prune(now: Date): void {
    for (const entries of Object.values(this.#byKind)) {
      for (const [subject, { expiresAt }] of entries) if (expiresAt <= now) entries.delete(subject)
    }
  }

  /** Whether a signing key was revoked: whatever it has signed is over, and whatever it will sign. */
  endsKey(kid: string): boolean {
    return this.#byKind.key.size > 0 && this.#byKind.key.has(kid)
  }

  /** What ended a principal's credential, or undefined. */
  find(who: Revocable): Revocation | undefined {
    const { session, account, role, token, api_token: apiToken, all } = this.#byKind
    const ended =
      (who.sessionId === null ? undefined : session.get(who.sessionId)) ??
      (who.tokenId === null || (token.size === 0 && apiToken.size === 0)
        ? undefined
        : (token.get(who.tokenId) ?? apiToken.get(who.tokenId)))
    if (ended !== undefined) return ended
    const changed = account.get(who.accountId)
    if (changed !== undefined && who.revision < changed.id) return changed
    const anew = all.get(everything)
    if (anew !== undefined && who.revision < anew.id) return anew
    if (role.size === 0) return undefined
    for (const name of who.roles) {
      const meant = role.get(name)
      if (meant !== undefined && who.revision < meant.id) return meant
    }
    return undefined
  }
}
