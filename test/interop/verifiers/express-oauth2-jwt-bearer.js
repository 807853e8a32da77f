import { auth } from 'express-oauth2-jwt-bearer'
import { answer, audience, issuer } from './answer.js'

const middleware = auth({ issuerBaseURL: issuer, audience, strict: process.env.STRICT === '1' })

await answer(
  (token) =>
    new Promise((resolve, reject) => {
      const headers = { host: 'api.test', authorization: `Bearer ${token}` }
      const get = (name) => headers[name.toLowerCase()]
      const request = { headers, get, query: {}, method: 'GET', protocol: 'https', originalUrl: '/', is: () => false }
      middleware(request, {}, (error) => (error ? reject(error) : resolve(request.auth.payload)))
    })
)
