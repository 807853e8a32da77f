import { once } from 'node:events'
import http, { type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { AuthError, createVerifier, type Verifier, type VerifierOptions } from '../../packages/verifier/src/index.js'
import { issuer, type World } from './world.js'

/** Requests into a service without a socket, for all but streams. */
export function fetchFrom(app: FastifyInstance): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input))
    const response = await app.inject({
      method: (init?.method ?? 'GET') as 'GET',
      url: url.pathname + url.search,
      headers: {
        ...(init?.headers as Record<string, string>),
        ...(init?.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' })
      },
      ...(init?.body === undefined ? {} : { payload: String(init.body) })
    })
    const { statusCode: status } = response
    const headers = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)])
    return new Response(status === 304 ? null : response.body, { status, headers })
  }
}

/** A verifier of a world's service, by the world's clock; closed with the test. */
export function verifierOf(
  t: Pick<Test, 'teardown'>,
  w: Pick<World, 'app' | 'now'>,
  change: Partial<VerifierOptions> = {}
): Verifier {
  const verifier = createVerifier({
    issuer,
    audience: 'api',
    revocation: 'none',
    fetch: fetchFrom(w.app),
    now: () => w.now().getTime(),
    ...change
  })
  t.teardown(() => verifier.close())
  return verifier
}

/** The error of a verification that is refused, or of any other promise that rejects. */
export async function errorOf(work: Promise<unknown>): Promise<AuthError> {
  try {
    await work
  } catch (error) {
    if (error instanceof AuthError) return error
    throw error
  }
  throw new Error('it was not refused')
}

/** Why a token is refused; `good` where it is not. */
export async function verdictOf(verifier: Verifier, token: string): Promise<string> {
  const result = await verifier.tryVerify(token)
  return result.ok ? 'good' : result.error.code
}

/** A server that answers as it is told, as an issuer in the wrong hands would. */
export async function serverOf(t: Test, listener: RequestListener): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = []
  const server = http.createServer((request, response) => {
    requests.push(request.url ?? '')
    listener(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}
