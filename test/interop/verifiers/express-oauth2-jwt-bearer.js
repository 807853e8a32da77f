import { auth } from 'express-oauth2-jwt-bearer'
import { answer, audience, issuer } from './answer.js'

const middleware = auth({ issuerBaseURL: issuer, audience, strict: process.env.STRICT === '1' })

await answer(
  (token) =>
    new Promise((resolve, reject) => {
      const request = { headers: { authorization: `Bearer ${token}` }, query: {}, method: 'GET', is: () => false }
      middleware(request, {}, (error) => (error ? reject(error) : resolve(request.auth.payload)))
    })
)
