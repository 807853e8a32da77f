import { define } from './setting.js'
import { must, oneOf, units } from './values.js'

const onOrOff = (text: string) => oneOf('on', 'off')(text) === 'on'

/** Where limits are counted. */
function rateLimitStore(text: string): 'postgres' | 'memory' | URL {
  if (text === 'postgres' || text === 'memory') return text
  return /^rediss?:\/\//.test(text) && URL.canParse(text)
    ? new URL(text)
    : must('postgres, memory, or an address such as redis://:password@host:6379/0')
}

/** A rate such as 20/m; null for `off`. */
function rate(text: string): { max: number; window: number } | null {
  if (text === 'off') return null
  const match = /^(\d{1,6})\/(s|m|h|d)$/.exec(text)
  const max = Number(match?.[1] ?? 0)
  return max >= 1
    ? { max, window: units[match![2]!]! * 1000 }
    : must('a rate such as 5/s, 20/m, 100/h or 1000/d, or off')
}

/** How much one address may ask. */
export const rateLimits = {
  AUTH_RATE_LIMIT: define({
    help: 'Whether anything is limited at all. `off` is for load tests, and stops a start in production.',
    fallback: 'on',
    parse: onOrOff
  }),
  AUTH_RATE_LIMIT_STORE: define({
    help: 'Where replicas count together: in `postgres`, in a Redis or Valkey (`redis://…`, `rediss://…`), or each by itself (`memory`). Each answers from its memory and tells the others within 50 ms; where it cannot, it goes on by itself.',
    fallback: 'postgres',
    secret: true,
    parse: rateLimitStore
  }),
  AUTH_RATE_LIMIT_SIGN_IN: define({
    help: 'Attempts to sign in with a password from one address, as N/s, N/m, N/h or N/d; `off` for no limit. Behind a proxy set AUTH_TRUSTED_PROXIES, or all clients share one address.',
    fallback: '100/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_STUFFING: define({
    help: 'Attempts to sign in with a password from an address range (IPv4 /24, IPv6 /48) that is seen to try the passwords of many accounts, for an hour; `off` to tell of it alone (docs/limits.md). Devices in which somebody has signed in before are not held.',
    fallback: '10/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_REGISTER: define({
    help: 'Registrations from one address, as N/s, N/m, N/h or N/d; `off` for no limit.',
    fallback: '100/h',
    parse: rate
  }),
  AUTH_RATE_LIMIT_REFRESH: define({
    help: 'Refreshes from one address, which may be a whole office. A client that is over it waits, and stays signed in.',
    fallback: '6000/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_LOGOUT: define({
    help: 'Sign-outs from one address; counted apart from all else, so that whoever wants to leave can.',
    fallback: '6000/m',
    parse: rate
  }),
  AUTH_RATE_LIMIT_CLIENT_FAILURES: define({
    help: 'Wrong secrets and assertions of OAuth clients from one address. Those that were right are not counted.',
    fallback: '60/m',
    parse: rate
  })
}
