import { JwtVerifier } from 'aws-jwt-verify'
import { answer, audience, discover, issuer } from './answer.js'

let verifier

await answer(async (token) => {
  verifier ??= JwtVerifier.create({ issuer, audience, jwksUri: (await discover()).jwks_uri })
  return await verifier.verify(token)
})
