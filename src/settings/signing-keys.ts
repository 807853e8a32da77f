import { define } from './setting.js'
import { duration, oneOf, text } from './values.js'

/** With what access tokens are signed. */
export const signingKeys = {
  AUTH_SIGNING_ALGORITHM: define({
    help: 'How access tokens are signed: ES256, Ed25519 (`EdDSA` in the header), RS256 or PS256 (3072 bits). A change takes effect once verifiers can know the new key.',
    fallback: 'ES256',
    parse: oneOf('ES256', 'Ed25519', 'RS256', 'PS256')
  }),
  AUTH_KEY_ROTATION_INTERVAL: define({
    help: 'How long a key signs before the next one takes over by itself; `off` for rotation by command alone.',
    fallback: '90d',
    parse: (value: string) => (value === 'off' ? null : duration('1d', '3650d')(value))
  }),
  AUTH_KEY_PROVIDER: define({
    help: 'Who keeps new signing keys: `local` (sealed in Postgres), or a key provider of AUTH_PLUGINS by name (docs/keys.md).',
    fallback: 'local',
    parse: text
  }),
  AUTH_JWKS_MAX_AGE: define({
    help: 'How long verifiers may keep the key set.',
    fallback: '5m',
    parse: duration('10s', '1d')
  })
}
