import { createElement, StrictMode, useEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { createAuthClient } from '../../../packages/client/src/index.js'
import { AuthProvider, can, useAuth, useUser } from '../../../packages/client/src/react.js'

const make = () => createAuthClient({ baseUrl: location.origin })
window.renders = 0
window.events = []
window.auth = make()
window.isOneClient = make() === window.auth
window.auth.on((event) => window.events.push(event))

function Page() {
  const { status, client } = useAuth()
  const user = useUser()
  window.renders++
  useEffect(() => {
    void client.ready()
    return () => client.dispose()
  }, [client])
  const isAdmin = can(client.state, { anyOf: [{ role: 'admin' }] })
  return createElement('p', null, `${status} ${user?.username ?? 'nobody'} ${isAdmin}`)
}

const page = createElement(AuthProvider, { client: window.auth }, createElement(Page))
createRoot(document.querySelector('#root')!).render(createElement(StrictMode, null, page))
