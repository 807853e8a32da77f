import fp from 'fastify-plugin'
import { duplicateMember } from '../domain/json-members.js'
import { Refusal } from '../domain/refusal.js'

/** Reads JSON bodies strictly: `__proto__` and a member that occurs twice are errors, and nothing but JSON is read. */
export const jsonBody = fp(
  async (app) => {
    const parse = app.getDefaultJsonParser('error', 'error')
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
      if (body === '') {
        done(null, undefined)
        return
      }
      parse(request, body as string, (error, value) => {
        const twice = error ? undefined : duplicateMember(body as string)
        if (twice !== undefined) {
          const detail = 'This member occurs twice. Send it once.'
          done(new Refusal('validation_failed', { errors: [{ pointer: `/${twice}`, code: 'duplicate', detail }] }))
        } else done(error, value)
      })
    })
  },
  { name: 'json-body', fastify: '5.x' }
)
