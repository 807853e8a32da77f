import { allow, createVerifier } from '@keyturn/verifier'
import settings from './settings.js'

// A service that runs on any platform that has Request and Response: /<verifier>, and /<verifier>/editors.
const verifiers = Object.fromEntries(
  Object.entries(settings.verifiers).map(([name, options]) => [name, createVerifier(options)])
)

export default {
  async fetch(request) {
    const { pathname } = new URL(request.url)
    const [, name, demand] = pathname.split('/')
    const verifier = verifiers[name]
    if (verifier === undefined) return new Response(null, { status: 404 })
    try {
      const need = demand === 'editors' ? allow.role('editor') : demand === 'fresh' ? allow.fresh() : undefined
      const facts = { method: request.method, url: settings.origin + pathname }
      const principal = await verifier.verifyHeaders(request.headers, need, facts)
      return Response.json({ sub: principal.accountId, health: verifier.health() })
    } catch (error) {
      return error.toResponse()
    }
  }
}
