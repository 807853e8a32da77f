import { Type } from 'typebox'
import type { RefusalCode } from '../domain/refusal.js'
import { closed } from './common.js'

export interface ProblemEntry {
  readonly status: number
  readonly title: string
  /** For the developer who meets it: what it means. */
  readonly meaning: string
  /** What to do about it. */
  readonly remedy: string
}

/** The wire form of every refusal, and the page that explains it. A code without an entry does not compile. */
export const catalogue: Record<RefusalCode, ProblemEntry> = {
  account_disabled: {
    status: 401,
    title: 'This account is disabled',
    meaning: 'An administrator disabled the account after this session began. All its sessions are over.',
    remedy: 'Treat the user as signed out. An administrator can enable the account again; then they sign in anew.'
  },
  authentication_required: {
    status: 401,
    title: 'Authentication is required',
    meaning: 'The request carried no credentials.',
    remedy:
      'Send "Authorization: Bearer <access_token>" or "Authorization: Token <key>"; WWW-Authenticate names what counts here.'
  },
  client_has_keys: {
    status: 409,
    title: 'This client proves itself by its keys',
    meaning: 'A secret beside them would be a second, weaker way in.',
    remedy: 'Replace the keys: "jwks" of PATCH /v1/admin/clients/{id}. Or register another client without keys.'
  },
  csrf_failed: {
    status: 403,
    title: 'This request could have come from another site',
    meaning:
      'A request with a credential that browsers send by themselves must prove that a page of yours sent it: with the refresh ' +
      'cookie, with the session cookie wherever something is changed, and with Basic there if a browser sent it. ' +
      'A request with a cookie that says neither Origin nor Sec-Fetch-Site is refused.',
    remedy:
      'Send "Content-Type: application/json" and "X-Auth-Request: 1", from the same origin or from one listed in ' +
      'AUTH_ALLOWED_ORIGINS; "detail" says which of them is missing. Clients that are no browsers use a token, not a cookie.'
  },
  dpop_key_required: {
    status: 401,
    title: 'This session is bound to a key',
    meaning:
      'The refresh token is good, but came without a DPoP proof, or with one by another key. Nothing was changed.',
    remedy:
      'Send the header DPoP with a proof by the key that the session began with. If the key is lost, let the user sign in again.'
  },
  dpop_nonce_required: {
    status: 400,
    title: 'The DPoP proof needs a nonce',
    meaning: 'Proofs must carry a nonce of this service (AUTH_DPOP_NONCE); this one has none, or one of a while ago.',
    remedy: 'Make the proof anew with the value of the header DPoP-Nonce as its nonce, and repeat the request.'
  },
  dpop_proof_invalid: {
    status: 400,
    title: 'The DPoP proof is not valid',
    meaning: 'The header DPoP is not a proof for this request (RFC 9449 §4.3), or was used before.',
    remedy: 'Make a proof for each request, also for one that is sent again; "detail" says what is wrong with this one.'
  },
  email_taken: {
    status: 409,
    title: 'This email address is taken',
    meaning: 'Another account has this address.',
    remedy: 'Ask for another one, or let the user sign in.'
  },
  insufficient_scope: {
    status: 403,
    title: 'The credential is limited to other scopes',
    meaning: 'The token may do only what its scopes name, and this operation asks for another one.',
    remedy: 'Use a token with the scope that WWW-Authenticate names.'
  },
  internal_error: {
    status: 500,
    title: 'Something broke on our side',
    meaning: 'A defect. It is in the log under the request id of the response header x-request-id.',
    remedy: 'Look into the log of the service.'
  },
  invalid_client: {
    status: 401,
    title: 'The client did not prove who it is',
    meaning:
      'The request names no client, one that is not registered or is disabled, or its secret or assertion is wrong, ' +
      'expired or was used before. Which of them is not told, on purpose.',
    remedy:
      'Check the id and the secret, or the claims, the key and the clock of the assertion. "npx keyturn client list" lists the clients.'
  },
  invalid_credentials: {
    status: 401,
    title: 'The username, email or password is wrong',
    meaning: 'No account has these credentials, or it is disabled. Which of them is not told, on purpose.',
    remedy: 'Ask the user again.'
  },
  invalid_grant: {
    status: 400,
    title: 'The refresh token is not good any more',
    meaning: 'It is not one of this client, its session is over, or it was used before.',
    remedy: 'Treat the user as signed out, and let them sign in again.'
  },
  invalid_scope: {
    status: 400,
    title: 'A scope was not granted',
    meaning: 'A request may ask for some of the scopes that were granted, and for no others.',
    remedy: 'Leave out "scope" for all of them. An administrator can give a client more.'
  },
  invitation_invalid: {
    status: 403,
    title: 'This invitation is not valid',
    meaning: 'It was used, has expired or never existed.',
    remedy: 'Ask an administrator for a new one; for the first administrator run "npx keyturn admin link".'
  },
  last_administrator: {
    status: 409,
    title: 'The last administrator must stay',
    meaning: 'Without this account nobody could administer the service.',
    remedy: 'Give the role "admin" to another account first.'
  },
  limit_reached: {
    status: 409,
    title: 'There are too many of these already',
    meaning: 'An account may have 100 API tokens that are alive.',
    remedy: 'Remove some that are not used any more: GET /v1/tokens tells when each was used last.'
  },
  media_type_unsupported: {
    status: 415,
    title: 'This content type is not supported',
    meaning: 'Bodies are read as JSON only.',
    remedy: 'Send "Content-Type: application/json".'
  },
  method_not_allowed: {
    status: 405,
    title: 'This method is not allowed here',
    meaning: 'The resource exists, but not for this method. The Allow header lists those that it has.',
    remedy: 'Use one of the methods in the Allow header.'
  },
  not_found: {
    status: 404,
    title: 'There is nothing here',
    meaning: 'No such route, or nothing with this id that you may see.',
    remedy: 'Check the path and the id against /openapi.json.'
  },
  not_supported: {
    status: 501,
    title: 'This is not supported',
    meaning: 'The request is right, but asks for something that this service does not do: a status list of the past.',
    remedy: 'Ask without the parameter "time" for the list of now.'
  },
  overloaded: {
    status: 503,
    title: 'There is too much to do at this moment',
    meaning:
      'More passwords wait to be hashed than can be in time, or more requests are under way than can be answered soon: ' +
      'sign-ins and registrations are refused first, then changes, then the rest. Nothing was changed.',
    remedy: 'Try again after the seconds in Retry-After. If it lasts, add cores or replicas.'
  },
  password_incorrect: {
    status: 403,
    title: 'The current password is wrong',
    meaning: 'This change asks for the password that the account has now.',
    remedy: 'Ask the user again. The session goes on.'
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    meaning: 'A body may have 16 KiB.',
    remedy: 'Send less.'
  },
  permission_denied: {
    status: 403,
    title: 'You may not do this',
    meaning: 'The credentials are good, but lack what this operation requires.',
    remedy: 'Sign in as somebody who may. A role that was just given is in the next access token: refresh first.'
  },
  rate_limited: {
    status: 429,
    title: 'Too many attempts',
    meaning:
      'This address has tried too often. `RateLimit-Policy` names the limit; the settings AUTH_RATE_LIMIT_* say how often is too often.',
    remedy: 'Try again after the seconds in Retry-After.'
  },
  reauthentication_required: {
    status: 401,
    title: 'A newer or stronger sign-in is required',
    meaning: 'The credential is good, but its sign-in is too long ago or too weak for this operation (RFC 9470).',
    remedy: 'Let the user sign in again as WWW-Authenticate says (acr_values, max_age), and repeat the request.'
  },
  refresh_reused: {
    status: 401,
    title: 'This refresh token was used before',
    meaning: 'A token that was rotated long ago came back: somebody has a copy. The session was ended for everybody.',
    remedy: 'Treat the user as signed out, and let them sign in again. Keep only the newest refresh token.'
  },
  request_malformed: {
    status: 400,
    title: 'The request could not be read',
    meaning: 'Its URL, its headers or its JSON are not well-formed, or a member name occurs twice.',
    remedy: 'Check how the client writes requests; "detail" says which part it is.'
  },
  role_protected: {
    status: 409,
    title: 'The role "admin" must stay',
    meaning: 'Without it nobody could administer the service.',
    remedy: 'Take the role from the accounts that should not have it.'
  },
  service_unavailable: {
    status: 503,
    title: 'The service cannot answer at this moment',
    meaning: 'The database does not answer, or this replica is stopping. This says nothing about the session.',
    remedy: 'Keep the session and try again after the seconds in Retry-After. Operators: see /readyz.'
  },
  session_expired: {
    status: 401,
    title: 'The session has expired',
    meaning: 'It was not used for too long, or reached its absolute end.',
    remedy: 'Let the user sign in again.'
  },
  session_revoked: {
    status: 401,
    title: 'The session is over',
    meaning: 'It was ended: by a logout, by its owner from another device, by an administrator or by a new password.',
    remedy: 'Let the user sign in again.'
  },
  sign_in_delayed: {
    status: 429,
    title: 'Too many wrong passwords in a row',
    meaning:
      'Passwords for this name were wrong so often that none is looked at for a while, not even the right one: 30 seconds at ' +
      'first, twice as long each time, an hour at most. It is the same whether or not there is such an account.',
    remedy: 'Try again after the seconds in Retry-After.'
  },
  sign_in_locked: {
    status: 403,
    title: 'Too many wrong passwords',
    meaning:
      'So many passwords in a row were wrong for this name (AUTH_GUESSES_MAX) that none is looked at any more. It is the same ' +
      'whether or not there is such an account.',
    remedy:
      'An administrator lets the account in again: "npx keyturn user unlock", or POST /v1/admin/users/{id}/unlock. A browser in ' +
      'which its owner has signed in before is not locked by what others tried.'
  },
  sign_up_closed: {
    status: 403,
    title: 'Sign-up is not open',
    meaning: 'AUTH_SIGN_UP is "closed" or "invitation".',
    remedy: 'Send the text of an invitation as "invitation", or ask an administrator for an account.'
  },
  token_expired: {
    status: 401,
    title: 'The access token has expired',
    meaning: 'It was good until it expired.',
    remedy: 'Refresh once, and repeat the request.'
  },
  token_invalid: {
    status: 401,
    title: 'The token is not valid',
    meaning: 'It is not a token of this service, was changed on its way, or is of another kind.',
    remedy:
      'Refresh once; if that is refused as well, let the user sign in. "npx keyturn token inspect" explains a token.'
  },
  token_revoked: {
    status: 401,
    title: 'The token is over',
    meaning: 'Its session was ended, its account was disabled, or its roles or permissions have changed since.',
    remedy: 'Refresh once: the next token says what holds now. If that is refused as well, let the user sign in.'
  },
  unauthorized_client: {
    status: 400,
    title: 'This client may not use this grant',
    meaning: 'Only clients that are registered can get tokens for themselves.',
    remedy: 'Register one with "npx keyturn client create <name>", and authenticate as it.'
  },
  unsupported_grant_type: {
    status: 400,
    title: 'This grant is not supported',
    meaning: 'The token endpoint knows refresh_token and client_credentials. People sign in with POST /v1/login.',
    remedy: 'Use one of the two.'
  },
  username_taken: {
    status: 409,
    title: 'This username is taken',
    meaning: 'Another account has this name, or one that looks the same.',
    remedy: 'Ask for another one.'
  },
  validation_failed: {
    status: 400,
    title: 'The request is not valid',
    meaning: 'One or more members are missing, unknown, or not what they must be. "errors" points at each.',
    remedy: 'Mend each member that "errors" points at (JSON Pointer, RFC 6901).'
  }
}

/** A problem's entry by whatever code somebody asks for; undefined where there is none. */
export function explanationOf(code: string): (ProblemEntry & { readonly code: string }) | undefined {
  return Object.hasOwn(catalogue, code) ? { code, ...catalogue[code as RefusalCode] } : undefined
}

export const ProblemParams = closed({ code: Type.String({ maxLength: 64, description: 'A problem code.' }) })

export const ProblemExplanation = closed(
  {
    code: Type.String(),
    status: Type.Integer(),
    title: Type.String(),
    meaning: Type.String({ description: 'What it means, for a developer.' }),
    remedy: Type.String({ description: 'What to do about it.' })
  },
  { title: 'ProblemExplanation' }
)
