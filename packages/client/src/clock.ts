import type { Clock } from './types.js'

/** setTimeout takes no more. */
const longest = 2 ** 31 - 1

export type Timing = Required<Clock>

export function timing(clock: Clock = { wall: () => Date.now(), mono: () => performance.now() }): Timing {
  return {
    wall: () => clock.wall(),
    mono: () => clock.mono(),
    after(milliseconds, run) {
      if (clock.after) return clock.after(milliseconds, run)
      const timer = setTimeout(run, Math.min(Math.max(milliseconds, 0), longest))
      return () => clearTimeout(timer)
    }
  }
}

/** A moment by both clocks. */
export interface Moment {
  readonly wall: number
  readonly mono: number
}

export const momentOf = (clock: Clock): Moment => ({ wall: clock.wall(), mono: clock.mono() })

/**
 * Milliseconds since a moment, by the clock that went further. The monotonic one stands still while most machines sleep;
 * the wall clock can be put back. A token that is taken for older than it is costs a refresh, and nothing else.
 */
export const elapsed = (since: Moment, clock: Clock): number =>
  Math.max(clock.mono() - since.mono, clock.wall() - since.wall)

/**
 * How long to wait after so many failures in a row, in milliseconds: 1 s, doubled up to a minute, less up to a half by
 * chance. What the service asks for counts, up to five minutes: a wrong header must not keep a page away for a day.
 */
export function backoff(failures: number, retryAfter: number | undefined, random: number): number {
  if (retryAfter !== undefined) return Math.min(retryAfter * 1000, 300_000) + random * 1000
  return Math.min(1000 * 2 ** (failures - 1), 60_000) * (1 - random / 2)
}
