import { define, optional } from './setting.js'
import { duration, flag, integer } from './values.js'

/** The database, and what those see who run the service. */
export const operation = {
  AUTH_DATABASE_POOL_SIZE: define({
    help: 'Connections to Postgres, besides the one that listens for changes.',
    fallback: '10',
    parse: integer(1, 500)
  }),
  AUTH_DATABASE_TIMEOUT: define({
    help: 'Milliseconds that a connection, a statement and a lock may take.',
    fallback: '1000',
    parse: integer(50, 60_000)
  }),
  AUTH_MIGRATE_ON_START: optional({
    help: 'Whether `serve` applies migrations. Otherwise run `keyturn migrate up` first.',
    fallbackNote: 'true, in production false',
    parse: flag
  }),
  AUTH_BROOM_INTERVAL: define({
    help: 'How often what is over is removed, by one replica at a time: sessions, API tokens and invitations a day after their end. `off`: only by `keyturn sweep`.',
    fallback: '1m',
    parse: (value: string) => (value === 'off' ? null : duration('1s', '1d')(value))
  }),
  AUTH_AUDIT_RETENTION: define({
    help: 'For how long audit events are kept; the broom removes what is older. `off`: none is written.',
    fallback: '90d',
    parse: (value: string) => (value === 'off' ? null : duration('1d', '3650d')(value))
  }),
  AUTH_AUDIT_CHAIN: define({
    help: 'Whether each audit event carries an HMAC of itself and of the one before, so that `keyturn audit verify` finds what was changed or removed in the database.',
    fallback: 'off',
    parse: flag
  }),
  AUTH_METRICS_PORT: optional({
    help: 'Port on which /metrics is served to Prometheus, on HOST. Without it there are none.',
    example: '9464',
    parse: integer(1, 65_535)
  }),
  AUTH_DOCS: define({ help: 'Whether /docs shows the interface.', fallback: 'true', parse: flag })
}
