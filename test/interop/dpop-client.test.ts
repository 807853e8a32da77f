import { readFileSync } from 'node:fs'
import * as client from 'dpop'
import t from 'tap'
import { goodPassword, issuer, world } from '../support/world.js'

/** A client library of others makes the keys and the proofs: nothing here is the code under test. */

for (const algorithm of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
  t.test(
    `the library dpop signs in, calls and refreshes with ${algorithm}, and takes nonces as they come`,
    async (t) => {
      // The library has no clock but the real one.
      const w = await world(t, (options) => ({ ...options, clock: () => new Date(), dpop: { nonce: 'required' } }))
      const username = await w.account()
      const keys = await client.generateKeyPair(algorithm)
      let nonce: string | undefined
      let sentBack = 0

      /** As a client does: with the nonce that it has, and once more where it is told to take another. */
      async function call(method: 'GET' | 'POST', path: string, body?: object, accessToken?: string) {
        const send = async () => {
          const dpop = await client.generateProof(keys, issuer + path, method, nonce, accessToken)
          const authorization = accessToken === undefined ? {} : { authorization: `DPoP ${accessToken}` }
          const payload = body === undefined ? {} : { payload: body }
          const response = await w.app.inject({ method, url: path, headers: { dpop, ...authorization }, ...payload })
          nonce = (response.headers['dpop-nonce'] as string | undefined) ?? nonce
          return response
        }
        const first = await send()
        if (first.json().code !== 'dpop_nonce_required') return first
        sentBack++
        return await send()
      }

      const login = await call('POST', '/v1/login', { username, password: goodPassword })
      t.match(login.json(), { token_type: 'DPoP' })
      t.equal(sentBack, 1)
      const { access_token, refresh_token } = login.json()
      const me = await call('GET', '/v1/me', undefined, access_token)
      t.match(me.json(), { authenticator: 'bearer' })
      const refreshed = await call('POST', '/v1/refresh', { refresh_token })
      t.match(refreshed.json(), { token_type: 'DPoP' })
      t.equal(sentBack <= 2, true, 'the nonce of the first answer goes on for the next')
      const { jkt } = JSON.parse(atob(refreshed.json().access_token.split('.')[1])).cnf
      t.equal(jkt, await client.calculateThumbprint(keys.publicKey))

      const stranger = await client.generateKeyPair(algorithm)
      const dpop = await client.generateProof(stranger, `${issuer}/v1/refresh`, 'POST', nonce)
      const stolen = await w.post('/v1/refresh', { refresh_token: refreshed.json().refresh_token }, { dpop })
      t.match(stolen.json(), { code: 'dpop_key_required' })
    }
  )
}

const [, documented = ''] = /```js\n([\s\S]*?)```/.exec(
  readFileSync(new URL('../../docs/dpop.md', import.meta.url), 'utf8')
)!
type Client = (library: typeof client, fetch: (url: string, init: RequestInit) => Promise<Response>) => Promise<void>
const AsyncFunction = (async () => {}).constructor as new (...text: string[]) => Client

for (const nonce of ['off', 'required'] as const) {
  t.test(`the client of docs/dpop.md works word for word, with nonces ${nonce}`, async (t) => {
    const auth = 'https://auth.example.com'
    const w = await world(t, (options) => ({ ...options, issuer: auth, clock: () => new Date(), dpop: { nonce } }))
    await w.account('ada')
    const answers: string[] = []
    const run = new AsyncFunction(
      'library',
      'fetch',
      documented.replace(/^import (.*) from 'dpop'$/m, 'const $1 = library')
    )
    await run(client, async (url, { method, headers, body }) => {
      const response = await w.app.inject({
        method: method as 'GET',
        url: url.slice(auth.length),
        headers: headers as Record<string, string>,
        ...(body == null ? {} : { payload: String(body) })
      })
      answers.push(`${method} ${url.slice(auth.length)} ${response.statusCode}`)
      return new Response(response.body, {
        status: response.statusCode,
        headers: response.headers as Record<string, string>
      })
    })
    const once = ['POST /v1/login 200', 'GET /v1/me 200', 'POST /v1/refresh 200']
    t.same(answers, nonce === 'off' ? once : ['POST /v1/login 400', ...once])
  })
}
