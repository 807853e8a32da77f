import { define, optional } from './setting.js'
import { duration, flag, list, origin, pageUrl, text } from './values.js'

/** What proxies are told, and where they send people to sign in. */
export const forwardAuth = {
  AUTH_FORWARD_AUTH_AUDIENCE: define({
    help: 'Comma-separated `aud` of the short-lived JWT that /v1/forward-auth gives a proxy’s upstream in X-Auth-Token: the first one, or the one that the proxy’s configuration names (docs/proxies.md). Without it there is no such token.',
    fallback: '',
    example: 'orders',
    parse: list(text)
  }),
  AUTH_FORWARD_AUTH_TOKEN_TTL: define({
    help: 'Life of that token.',
    fallback: '60s',
    parse: duration('5s', '10m')
  }),
  AUTH_FORWARD_AUTH_EMAIL: define({
    help: 'Whether /v1/forward-auth tells a proxy’s upstream the account’s email, where it is verified: one read of the database per request.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_LOGIN_URL: optional({
    help: 'Page of yours where people sign in: /v1/forward-auth sends browsers there that ask for a page. Without it they get a 401.',
    example: 'https://app.example.com/login',
    parse: pageUrl
  }),
  AUTH_LOGIN_RETURN_ORIGINS: define({
    help: 'Comma-separated origins to which that page may lead back: of others it is told no `returnTo`.',
    fallback: '',
    example: 'https://app.example.com',
    parse: list(origin)
  })
}
