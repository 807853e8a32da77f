/** A sign-out that the service has not confirmed. It names a session, and is of no use to anybody. */
export interface SignOut {
  readonly sessionId: string
  readonly everywhere: boolean
}

export interface SignOutMark {
  get(): SignOut | undefined
  set(signOut: SignOut): void
  clear(): void
}

/** Reads what `set` writes: `1` for all sessions of the account or `0`, and the id of the session. */
export const parseSignOut = (text: string | null | undefined): SignOut | undefined =>
  text ? { everywhere: text.startsWith('1'), sessionId: text.slice(1) } : undefined

/** Remembers a sign-out over reloads and for all tabs; where there is no storage, as long as this page lives. */
export function createSignOutMark(key: string, durable: boolean): SignOutMark {
  let own: SignOut | undefined
  const stored = <T>(use: (storage: Storage) => T): T | undefined => {
    try {
      return durable ? use(localStorage) : undefined
    } catch {
      // None here, or full, or forbidden.
      return undefined
    }
  }
  return {
    get: () => own ?? parseSignOut(stored((storage) => storage.getItem(key))),
    set(signOut) {
      const isStored = stored((storage) => {
        storage.setItem(key, `${signOut.everywhere ? 1 : 0}${signOut.sessionId}`)
        return true
      })
      // Beside the storage it would outlive what another tab removes there.
      own = isStored ? undefined : signOut
    },
    clear() {
      own = undefined
      stored((storage) => storage.removeItem(key))
    }
  }
}
