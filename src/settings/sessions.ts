import { define } from './setting.js'
import { duration, integer, oneOf } from './values.js'

/** How long a sign-in lives, and how soon its end is known. */
export const sessions = {
  AUTH_ACCESS_TTL: define({
    help: 'Life of an access token, shortened by a random 0 to 5 %.',
    fallback: '10m',
    parse: duration('30s', '1h')
  }),
  AUTH_REFRESH_IDLE_TTL: define({
    help: 'A session ends when it was not refreshed for this long.',
    fallback: '14d',
    parse: duration('1m', '365d')
  }),
  AUTH_SESSION_TTL: define({
    help: 'A session ends this long after its sign-in, whatever happens in between.',
    fallback: '30d',
    parse: duration('1m', '3650d')
  }),
  AUTH_REFRESH_REPLAY_WINDOW: define({
    help: 'For so long a refresh token that was just used gets the very same successor again: tabs race, answers get lost. Time in which the service cannot read its database does not count.',
    fallback: '30s',
    parse: duration('0s', '10m')
  }),
  AUTH_REFRESH_LOST_RESPONSE: define({
    help: '`recover`: in a cookie or bound to a key (DPoP), a refresh token whose successor was never used is honoured however late. `strict`: only within the replay window.',
    fallback: 'recover',
    parse: oneOf('recover', 'strict')
  }),
  AUTH_SESSIONS_PER_ACCOUNT: define({
    help: 'How many sessions an account may have at a time: the next sign-in ends the oldest. 1 for one device; `off` for no limit.',
    fallback: 'off',
    parse: (value: string) => (value === 'off' ? null : integer(1, 1_000)(value))
  }),
  AUTH_REVOCATION_MAX_STALENESS: define({
    help: 'A replica that has read no revocations for this long is not ready: /readyz, and AUTH_REVOCATION_STALE.',
    fallback: '10s',
    parse: duration('2s', '1h')
  }),
  AUTH_REVOCATION_STALE: define({
    help: 'What access tokens get from such a replica: `deny`, a 503 with Retry-After; `allow`, what it last knew.',
    fallback: 'deny',
    parse: oneOf('deny', 'allow')
  })
}
