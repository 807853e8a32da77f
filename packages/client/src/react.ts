import {
  createContext,
  createElement,
  type FunctionComponent,
  type ReactNode,
  useContext,
  useMemo,
  useSyncExternalStore
} from 'react'
import type { AuthClient, AuthState, SessionUser } from './types.js'

export { can, type Need } from './can.js'

const AuthContext = createContext<AuthClient | null>(null)

/** Gives a client to `useAuth` and `useUser` below it. It starts and ends nothing: the page calls `ready()` once, where it likes. */
export const AuthProvider: FunctionComponent<{ client: AuthClient; children?: ReactNode }> = ({ client, children }) =>
  createElement(AuthContext.Provider, { value: client }, children)

/** The client of the page. Throws where there is no AuthProvider. */
export function useAuthClient(): AuthClient {
  const client = useContext(AuthContext)
  if (client === null) throw new Error('useAuth: put <AuthProvider client={auth}> around the component')
  return client
}

const loading: AuthState = Object.freeze({ status: 'loading' })
/** What a server renders, and what the first pass in the browser must match. */
const atServer = () => loading

function useAuthState(client: AuthClient): AuthState {
  return useSyncExternalStore(client.subscribe, () => client.state, atServer)
}

/** The state, with the client. The same object until something really changes: a refresh renders nothing anew. */
export function useAuth(): AuthState & { readonly client: AuthClient } {
  const client = useAuthClient()
  const state = useAuthState(client)
  return useMemo(() => ({ ...state, client }), [state, client])
}

/** Who is signed in, also while the service is away; null where nobody is known. */
export function useUser(): SessionUser | null {
  const state = useAuthState(useAuthClient())
  return state.status === 'authenticated' || state.status === 'unreachable' ? state.user : null
}
