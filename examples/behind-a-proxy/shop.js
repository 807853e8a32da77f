// A shop that knows nothing of passwords and sessions: the proxy in front of it lets people in, and says who they are.
//
//   PORT=9000 ISSUER=http://localhost:8080 KEYTURN=http://127.0.0.1:3000 node shop.js
import http from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { PORT = '9000', ISSUER = 'http://localhost:8080', KEYTURN = 'http://127.0.0.1:3000' } = process.env
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', KEYTURN))

/**
 * Who asks, by the token alone: whoever reaches this port past the proxy can write any header, and cannot sign. Its type
 * keeps access tokens and tokens for others out.
 */
async function whoIs(headers) {
  const token = headers['x-auth-token']
  if (!token) return null
  const { payload } = await jwtVerify(token, keys, { issuer: ISSUER, audience: 'shop', typ: 'upstream+jwt' })
  return payload
}

const loginPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sign in</title>
<form><label>Name <input name="username" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button> <output></output></form>
<script>
document.forms[0].onsubmit = async (event) => {
  event.preventDefault()
  const form = event.target
  const response = await fetch('/v1/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-auth-request': '1' },
    body: JSON.stringify({
      username: form.username.value,
      password: form.password.value,
      refresh_transport: 'cookie',
      session: true
    })
  })
  if (!response.ok) {
    form.querySelector('output').value = (await response.json()).title
    return
  }
  // Back to where they came from, and nowhere else whatever the link says.
  const back = new URL(new URLSearchParams(location.search).get('returnTo') ?? '/', location.origin)
  location.href = back.origin === location.origin ? back.href : '/'
}
</script></html>
`

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost')
  if (pathname === '/login') return response.setHeader('content-type', 'text/html; charset=utf-8').end(loginPage)
  try {
    const told = Object.entries(request.headers).filter(([name]) => name.startsWith('x-auth-'))
    const answer = {
      method: request.method,
      path: pathname,
      headers: Object.fromEntries(told),
      who: await whoIs(request.headers)
    }
    response.setHeader('content-type', 'application/json').end(`${JSON.stringify(answer, null, 2)}\n`)
  } catch (error) {
    console.error(`a token that is none for this shop: ${error.code ?? error.message}`)
    response.writeHead(401).end()
  }
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`shop: http://127.0.0.1:${PORT}`))
