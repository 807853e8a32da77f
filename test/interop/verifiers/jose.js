import { createRemoteJWKSet, jwtVerify } from 'jose'
import { answer, audience, discover, issuer } from './answer.js'

let keys

await answer(async (token) => {
  keys ??= createRemoteJWKSet(new URL((await discover()).jwks_uri))
  return (await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })).payload
})
