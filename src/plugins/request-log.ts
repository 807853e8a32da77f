import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'

/** Ids that no other process and no other start gives: a random beginning, and a count. */
export function requestIds(): () => string {
  const beginning = randomBytes(6).toString('base64url')
  let count = 0
  return () => `${beginning}-${(count++).toString(36)}`
}

/** One line a request: the route it matched, never the URL, whose query may carry what no log may keep. */
export const requestLog = fp(
  async (app) => {
    app.addHook('onResponse', (request, reply, done) => {
      request.log[request.isRefusedEarly ? 'debug' : 'info'](
        {
          method: request.method,
          route: request.routeOptions.url ?? null,
          status: reply.statusCode,
          ms: Math.round(reply.elapsedTime * 10) / 10,
          ip: request.ip
        },
        'request'
      )
      done()
    })
  },
  { name: 'request-log', fastify: '5.x' }
)
