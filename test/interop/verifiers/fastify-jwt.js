import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import buildGetJwks from 'get-jwks'
import { answer, audience, issuer } from './answer.js'

const getJwks = buildGetJwks({ issuersWhitelist: [issuer], providerDiscovery: true })
const app = Fastify()
await app.register(jwt, {
  decode: { complete: true },
  // The issuer by configuration: the token's own `iss` is whatever its sender likes.
  secret: (_request, { header: { kid, alg } }) => getJwks.getPublicKey({ kid, alg, domain: issuer }),
  verify: { allowedIss: issuer, allowedAud: audience }
})
app.get('/', async (request) => await request.jwtVerify())

await answer(async (token) => {
  const response = await app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json().payload ?? response.json()
})
