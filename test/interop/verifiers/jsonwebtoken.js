import jwt from 'jsonwebtoken'
import jwksClient from 'jwks-rsa'
import { algorithm, answer, audience, discover, issuer } from './answer.js'

let client

await answer(async (token) => {
  client ??= jwksClient({ jwksUri: (await discover()).jwks_uri })
  const keyOf = ({ kid }, done) =>
    client.getSigningKey(kid).then(
      (key) => done(null, key.getPublicKey()),
      (error) => done(error)
    )
  return await new Promise((resolve, reject) => {
    jwt.verify(token, keyOf, { issuer, audience, algorithms: [algorithm] }, (error, claims) =>
      error ? reject(error) : resolve(claims)
    )
  })
})
