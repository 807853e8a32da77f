import Fastify from 'fastify'
import fastifyJwtJwks from 'fastify-jwt-jwks'
import { answer, audience, issuer } from './answer.js'

const app = Fastify()
await app.register(fastifyJwtJwks, { jwksUrl: `${issuer}/.well-known/jwks.json`, issuer, audience })
app.get('/', { preValidation: app.authenticate }, async (request) => request.user)

await answer(async (token) => {
  const response = await app.inject({ url: '/', headers: { authorization: `Bearer ${token}` } })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json()
})
