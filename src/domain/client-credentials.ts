import type { Authorization } from './authorization.js'
import { basicCredentials } from './basic-credentials.js'

/** How a client says who it is (RFC 6749 §2.3, RFC 7521 §4.2). */
export type ClientCredentials =
  | { readonly method: 'none'; readonly clientId: string }
  | {
      readonly method: 'client_secret_basic' | 'client_secret_post'
      readonly clientId: string
      readonly secret: string
    }
  | {
      readonly method: 'private_key_jwt'
      /** Undefined where only the assertion says it. */
      readonly clientId: string | undefined
      readonly assertion: string
    }

/** The parameters of a form that concern the client, each there once or not at all. */
export interface ClientParameters {
  readonly client_id?: string | undefined
  readonly client_secret?: string | undefined
  readonly client_assertion?: string | undefined
  readonly client_assertion_type?: string | undefined
}

export type ClientReading =
  | { readonly kind: 'credentials'; readonly credentials: ClientCredentials }
  | { readonly kind: 'nothing' }
  /** Two methods at once, or half of one: the request cannot be read. */
  | { readonly kind: 'malformed'; readonly detail: string }
  /** An Authorization header that no client could have sent. */
  | { readonly kind: 'wrong' }

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** A text that was encoded as a form's value (RFC 6749 Appendix B); undefined where it cannot have been. */
function decodeFormValue(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

const malformed = (detail: string): ClientReading => ({ kind: 'malformed', detail })

/**
 * Reads who a client says it is. More than one method in one request is refused: whoever stands in front may have looked at
 * the other one (RFC 6749 §2.3).
 */
export function readClientCredentials(
  authorization: Authorization | null,
  parameters: ClientParameters
): ClientReading {
  const { client_id: clientId, client_secret: secret, client_assertion: assertion } = parameters
  const hasAssertion = assertion !== undefined || parameters.client_assertion_type !== undefined
  const methods = [authorization !== null, secret !== undefined, hasAssertion].filter(Boolean)
  if (methods.length > 1) return malformed('Authenticate the client in one way: the request does in two.')

  if (authorization !== null) {
    const basic = authorization.scheme === 'basic' ? basicCredentials(authorization) : undefined
    const [id, password] = [basic?.name, basic?.password].map((text) =>
      text === undefined ? undefined : decodeFormValue(text)
    )
    if (id === undefined || password === undefined) return { kind: 'wrong' }
    if (clientId !== undefined && clientId !== id)
      return malformed('client_id: The Authorization header names another.')
    return { kind: 'credentials', credentials: { method: 'client_secret_basic', clientId: id, secret: password } }
  }
  if (hasAssertion) {
    if (assertion === undefined) return malformed('client_assertion: This parameter is required.')
    if (parameters.client_assertion_type !== assertionType)
      return malformed(`client_assertion_type: Send ${assertionType}.`)
    return { kind: 'credentials', credentials: { method: 'private_key_jwt', clientId, assertion } }
  }
  if (clientId === undefined) {
    return secret === undefined ? { kind: 'nothing' } : malformed('client_id: This parameter is required.')
  }
  if (secret === undefined) return { kind: 'credentials', credentials: { method: 'none', clientId } }
  return { kind: 'credentials', credentials: { method: 'client_secret_post', clientId, secret } }
}
