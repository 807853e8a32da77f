import type { Principal } from './principal.js'

export type RevocationKind = 'session' | 'account' | 'role' | 'api_token'

/** An entry that ends what was issued before it. */
export interface Revocation {
  /** In the order of commits; what carries this or a later number was issued with this in mind. */
  readonly id: number
  readonly kind: RevocationKind
  /** The id of the session, account or API token, or the name of the role. */
  readonly subject: string
  readonly because: string
  /** When the last thing that it ends has expired by itself. */
  readonly expiresAt: Date
}

/**
 * The revocations that still matter, for a judgement without a query.
 *
 * A session and an API token that were ended stay so. An account's and a role's entry end what was issued before them,
 * and that is told by numbers alone: an access token carries the last id that its issuer had read (`rev`), in the very
 * statement in which it read the account. No clock takes part, so clocks that disagree neither sign anybody out nor let
 * an old token live.
 */
export class RevocationSet {
  readonly #byKind: Record<RevocationKind, Map<string, Revocation>> = {
    session: new Map(),
    account: new Map(),
    role: new Map(),
    api_token: new Map()
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

  /** What ended a principal's credential, or undefined. */
  find(who: Pick<Principal, 'accountId' | 'sessionId' | 'tokenId' | 'roles' | 'revision'>): Revocation | undefined {
    const { session, account, role, api_token: apiToken } = this.#byKind
    const ended =
      (who.sessionId === null ? undefined : session.get(who.sessionId)) ??
      (who.tokenId === null ? undefined : apiToken.get(who.tokenId))
    if (ended !== undefined) return ended
    const changed = account.get(who.accountId)
    if (changed !== undefined && who.revision < changed.id) return changed
    if (role.size === 0) return undefined
    for (const name of who.roles) {
      const meant = role.get(name)
      if (meant !== undefined && who.revision < meant.id) return meant
    }
    return undefined
  }
}
