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
