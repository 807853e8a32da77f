import type { AuthState } from './types.js'

/** What somebody needs: both, where both are named; of `anyOf` one at the least. */
export interface Need {
  readonly role?: string
  readonly permission?: string
  readonly anyOf?: readonly Need[]
}

/** Whether to show something, by what the service said last. For display alone: services decide for themselves. */
export function can(state: AuthState, need: Need): boolean {
  const user = state.status === 'authenticated' || state.status === 'unreachable' ? state.user : null
  if (user === null) return false
  const { role, permission, anyOf } = need
  return (
    (role === undefined || user.roles.includes(role)) &&
    (permission === undefined || user.permissions.includes(permission)) &&
    (anyOf === undefined || anyOf.some((one) => can(state, one)))
  )
}
