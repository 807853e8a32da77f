/** Where a session's refresh token travels: in JSON bodies, or in a cookie that no script can read. */
export type RefreshTransport = 'body' | 'cookie'

/** Milliseconds. */
export interface Lifetimes {
  readonly access: number
  /** A session ends when it was not refreshed for this long. */
  readonly refreshIdle: number
  /** A session ends this long after its sign-in, whatever happens in between. */
  readonly session: number
}

export function later(now: Date, milliseconds: number): Date {
  return new Date(now.getTime() + milliseconds)
}

export function earlier(one: Date, other: Date): Date {
  return one < other ? one : other
}

/** Whole seconds from now to then, never negative. */
export function secondsUntil(then: Date, now: Date): number {
  return Math.max(0, Math.floor((then.getTime() - now.getTime()) / 1000))
}
