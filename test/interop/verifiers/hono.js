import { verifyWithJwks } from 'hono/jwt'
import { algorithm, answer, audience, discover, issuer } from './answer.js'

await answer(async (token) =>
  verifyWithJwks(token, {
    jwks_uri: (await discover()).jwks_uri,
    allowedAlgorithms: [algorithm],
    verification: { iss: issuer, aud: audience }
  })
)
