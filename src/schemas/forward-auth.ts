import { Type } from 'typebox'
import { closed } from './common.js'

export const DemandParams = closed({
  demand: Type.String({
    minLength: 1,
    maxLength: 200,
    description:
      'What is asked for, joined by `&`: `role:a,b` (one of them), `scope:a,b` and `permission:a,b` (all of them), ' +
      '`acr:aal2`, `max_auth_age:300`, `fresh`, `authenticated`, `anyone`; `preflight` lets CORS preflights through as ' +
      'nobody, and `audience:name` says who the token is for.',
    examples: ['role:editor&fresh']
  })
})

const text = Type.String()
const always = 'Always sent, and empty where there is nothing to tell.'

const identity = Object.fromEntries(
  ['subject', 'session', 'roles', 'permissions', 'scope', 'email', 'token'].map((name) => [
    `X-Auth-${name[0]!.toUpperCase()}${name.slice(1)}`,
    { ...text, description: always }
  ])
)

const answer = (description: string, headers: Record<string, object> = {}) =>
  Type.Null({ description, headers: { ...identity, ...headers } })

const error = { 'X-Auth-Error': { ...text, description: 'The code of the problem.' } }

const refusals = {
  401: answer('Nobody, or no credential that is good. `WWW-Authenticate` says what is.', error),
  403: answer('Not allowed: `X-Auth-Error` says why.', error)
}

/** What nginx can pass on: all else would be its 500. */
export const nginxAnswers = { 200: answer('The request may pass.'), ...refusals }

export const proxyAnswers = {
  200: answer('The request may pass.'),
  302: answer('A page was asked for, and `AUTH_LOGIN_URL` is where to sign in.', { ...error, Location: text }),
  400: answer('The credential cannot be read.', error),
  ...refusals,
  429: answer('Too many passwords.', error),
  503: answer('The service cannot tell at this moment.', error)
}
