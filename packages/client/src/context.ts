import type { Carrier } from './carrier.js'
import type { Timing } from './clock.js'
import type { Lock } from './lock.js'
import type { SignOutMark } from './sign-out-mark.js'
import type { Store } from './store.js'
import type { Transport } from './transport.js'
import type { LogCode, LogEvent, Prover } from './types.js'

/** What the parts of a client are given. */
export interface Context {
  readonly clock: Timing
  readonly store: Store
  readonly transport: Transport
  readonly carrier: Carrier
  readonly mark: SignOutMark
  readonly exclusively: Lock
  readonly prover: Prover | undefined
  readonly refreshAhead: number
  log(level: LogEvent['level'], code: LogCode, details?: Pick<LogEvent, 'because' | 'status'>): void
}
