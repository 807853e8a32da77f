import { readUser } from './answers.js'
import { failure, isObject, type LocalCode, localProblem, problemOf, type Result, readRetryAfter } from './problem.js'
import { type AuthClient, AuthUnreachableError, type SessionUser } from './types.js'

export interface Registration {
  readonly username: string
  readonly password: string
  readonly email?: string
  readonly invitation?: string
}

export interface Device {
  readonly id: string
  readonly userAgent: string | null
  readonly address: string | null
  readonly createdAt: string
  readonly lastUsedAt: string
  readonly expiresAt: string
  readonly current: boolean
}

export interface Account {
  /** Makes an account. It signs nobody in. */
  register(input: Registration): Promise<Result<SessionUser>>
  /** Signs in again as the one who is signed in, where a service wants a newer sign-in. It is a new session. */
  reauthenticate(input: { readonly password: string }): Promise<Result<SessionUser>>
  /** The account as it is now; what `state` has is as of the last refresh. */
  profile(): Promise<Result<SessionUser>>
  /** The devices that are signed in. */
  sessions(): Promise<Result<readonly Device[]>>
  revokeSession(id: string): Promise<Result<void>>
  /** Ends all other sessions. */
  changePassword(input: { readonly current: string; readonly next: string }): Promise<Result<void>>
}

function readDevices(data: unknown): readonly Device[] | undefined {
  if (!isObject(data) || !Array.isArray(data.sessions)) return undefined
  return data.sessions.filter(isObject).map((one) => ({
    id: String(one.id),
    userAgent: one.user_agent as string | null,
    address: one.address as string | null,
    createdAt: String(one.created_at),
    lastUsedAt: String(one.last_used_at),
    expiresAt: String(one.expires_at),
    current: one.current === true
  }))
}

const userOf = (data: unknown) => (isObject(data) ? readUser(data.user) : undefined)

/** What somebody does about their own account, as far as it is no matter of signing in and out. */
export function accountOf(auth: AuthClient): Account {
  async function ask<T>(
    method: string,
    path: string,
    body: object | undefined,
    read: (data: unknown) => T | undefined
  ): Promise<Result<T>> {
    let response: Response
    try {
      response = await auth.fetch(auth.baseUrl + path, {
        method,
        // A cookie beside the token would be a second credential.
        credentials: 'omit',
        cache: 'no-store',
        redirect: 'manual',
        ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
      })
    } catch (error) {
      const code: LocalCode = 'network_error'
      return failure(error instanceof AuthUnreachableError ? error.problem : code)
    }
    const { status, ok, headers } = response
    const data: unknown = status === 204 ? undefined : await response.json().catch(() => undefined)
    const value = ok ? read(data) : undefined
    if (ok && (status === 204 || value !== undefined)) return { ok, data: value as T }
    const problem = ok ? localProblem('bad_response', status) : problemOf(status, data, readRetryAfter(headers))
    return failure(problem.code === 'authentication_required' ? 'not_signed_in' : problem)
  }

  const nothing = () => undefined

  return {
    register: (input) => ask('POST', '/v1/register', input, userOf),
    async reauthenticate({ password }) {
      await auth.ready()
      const { state } = auth
      const user = 'user' in state ? state.user : null
      return user ? await auth.login({ username: user.username, password }) : failure('not_signed_in')
    },
    profile: () => ask('GET', '/v1/me/profile', undefined, userOf),
    sessions: () => ask('GET', '/v1/sessions', undefined, readDevices),
    revokeSession: (id) => ask<void>('DELETE', `/v1/sessions/${encodeURIComponent(id)}`, undefined, nothing),
    changePassword: ({ current, next }) =>
      ask<void>('POST', '/v1/me/password', { current_password: current, new_password: next }, nothing)
  }
}
