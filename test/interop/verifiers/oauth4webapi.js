import * as oauth from 'oauth4webapi'
import { answer, audience, issuer } from './answer.js'

const insecure = { [oauth.allowInsecureRequests]: true }
let server

await answer(async (token) => {
  if (server === undefined) {
    const found = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure })
    server = await oauth.processDiscoveryResponse(new URL(issuer), found)
  }
  const request = new Request(`${issuer}/v1/me`, { headers: { authorization: `Bearer ${token}` } })
  return await oauth.validateJwtAccessToken(server, request, audience, insecure)
})
