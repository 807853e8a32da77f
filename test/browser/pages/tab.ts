import { dpop } from '../../../packages/client/src/dpop.js'
import { createAuthClient } from '../../../packages/client/src/index.js'

// A page with a client, whose options are in its address.
const text = decodeURIComponent(location.hash.slice(1))
const { ahead = 0, lazy = false, dpop: isBound = false, ...options } = JSON.parse(text || '{}')
window.ahead = ahead
window.events = []
window.auth = createAuthClient({
  baseUrl: location.origin,
  clock: { wall: () => Date.now() + window.ahead, mono: () => performance.now() },
  ...(isBound && { dpop: dpop({ now: () => Date.now() + window.ahead }) }),
  ...options
})
window.auth.on((event) => window.events.push(event))
if (!lazy) void window.auth.ready()
