import { expressjwt } from 'express-jwt'
import jwksRsa from 'jwks-rsa'
import { algorithm, answer, audience, issuer } from './answer.js'

const secret = jwksRsa.expressJwtSecret({ jwksUri: `${issuer}/.well-known/jwks.json` })
const middleware = expressjwt({ secret, issuer, audience, algorithms: [algorithm] })

await answer(
  (token) =>
    new Promise((resolve, reject) => {
      const request = { headers: { authorization: `Bearer ${token}` }, method: 'GET' }
      middleware(request, {}, (error) => (error ? reject(error) : resolve(request.auth)))
    })
)
