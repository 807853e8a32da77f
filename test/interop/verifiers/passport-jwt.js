import jwksRsa from 'jwks-rsa'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { algorithm, answer, audience, issuer } from './answer.js'

const options = {
  jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
  secretOrKeyProvider: jwksRsa.passportJwtSecret({ jwksUri: `${issuer}/.well-known/jwks.json` }),
  issuer,
  audience,
  algorithms: [algorithm]
}

await answer(
  (token) =>
    new Promise((resolve, reject) => {
      const strategy = new Strategy(options, (claims, done) => done(null, claims))
      strategy.success = resolve
      strategy.error = reject
      strategy.fail = (reason) => reject(reason instanceof Error ? reason : new Error(String(reason)))
      strategy.authenticate({ headers: { authorization: `Bearer ${token}` } })
    })
)
