import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { answer, audience, discover, issuer } from './answer.js'

let verifier

/** Its own takes https alone, which an issuer of tests does not have. */
const fetcher = { fetch: async (address) => (await fetch(address)).arrayBuffer() }

await answer(async (token) => {
  verifier ??= JwtVerifier.create(
    { issuer, audience, jwksUri: (await discover()).jwks_uri },
    { jwksCache: new SimpleJwksCache({ fetcher }) }
  )
  return await verifier.verify(token)
})
