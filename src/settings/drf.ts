import { define } from './setting.js'
import { duration, flag, integer, list, oneOf } from './values.js'

/** The endpoints of Django REST Framework. */
export const drf = {
  AUTH_DRF: define({
    help: 'Whether the endpoints of Django REST Framework’s authtoken, simplejwt, djoser and knox are served: /api-token-auth/, /api/token/, /auth/, /api/auth/, /api/register/.',
    fallback: 'true',
    parse: flag
  }),
  AUTH_DRF_AUTHENTICATORS: define({
    help: 'Comma-separated credentials of those endpoints in the order of DEFAULT_AUTHENTICATION_CLASSES: `bearer` (JWT), `token`, `basic`, `session`. The first one names the challenge.',
    fallback: 'bearer,token',
    parse: list(oneOf('bearer', 'token', 'basic', 'session'))
  }),
  AUTH_DRF_ROTATE_REFRESH_TOKENS: define({
    help: 'Whether /api/token/refresh/ also answers with a new refresh token (simplejwt’s ROTATE_REFRESH_TOKENS). Its clients must then keep it.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_DRF_KNOX_TTL: define({ help: 'Life of a knox token.', fallback: '10h', parse: duration('1m', '3650d') }),
  AUTH_DRF_KNOX_LIMIT: define({
    help: 'How many knox tokens an account may have at a time.',
    fallback: '100',
    parse: integer(1, 10_000)
  })
}
