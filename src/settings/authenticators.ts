import { define } from './setting.js'
import { flag, list, must, oneOf, text } from './values.js'

/** Which credentials count. */
export const authenticators = {
  AUTH_AUTHENTICATORS: define({
    help: 'Comma-separated credentials that count, in the order in which they are looked for: `session` (cookie), `token` (API token), `bearer` (access token, also by the scheme DPoP), `basic` (username and password; for scripts), and those of AUTH_PLUGINS by name.',
    fallback: 'session,token,bearer',
    parse: (value: string) => {
      const names = list(text)(value)
      if (names.length === 0) must('at least one name')
      if (new Set(names).size < names.length) must('a list without repetition')
      return names
    }
  }),
  AUTH_PLUGINS: define({
    help: 'Comma-separated JavaScript modules that add authenticators and key providers: paths, or names of installed packages. An authenticator counts once AUTH_AUTHENTICATORS names it too.',
    fallback: '',
    example: './x-api-key.js',
    parse: list(text)
  }),
  AUTH_TOKEN_ON_REGISTER: define({
    help: 'Whether every new account gets an API token.',
    fallback: 'false',
    parse: flag
  }),
  AUTH_DPOP_NONCE: define({
    help: 'Whether DPoP proofs must carry a nonce of this service: `off`, or `required`, which costs a client one more request now and then and makes proofs that were made ahead of time worthless.',
    fallback: 'off',
    parse: oneOf('off', 'required')
  })
}
