import { claimsOf } from './answers.js'
import type { Context } from './context.js'
import type { Keeper } from './keeper.js'
import { isObject } from './problem.js'
import type { Credential } from './transport.js'
import type { AuthClient, TokenRequest } from './types.js'

/** How long refusals are not answered with a refresh after one that did not help, in milliseconds. */
const futileFor = 30_000

/** Whether a body can be sent twice: a stream is gone after the first time. */
const isReplayable = (body: unknown): boolean =>
  !(body instanceof ReadableStream || Symbol.asyncIterator in Object(body))

/** Codes of a refusal that is about the token, and that a newer one may be spared. */
const tokenCodes: ReadonlySet<unknown> = new Set(['token_expired', 'token_invalid', 'token_revoked', 'session_revoked'])

/** Whether an answer refuses the token itself (RFC 6750 §3.1), in its header or, where that cannot be read, in its problem. */
async function refusesToken(response: Response): Promise<boolean> {
  if (response.status !== 401) return false
  const challenge = response.headers.get('www-authenticate')
  if (challenge !== null) return /error="invalid_token"/.test(challenge)
  if (response.bodyUsed || !/\bjson\b/.test(response.headers.get('content-type') ?? '')) return false
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  return isObject(body) && tokenCodes.has(body.code)
}

/** The access token that a request was sent with; undefined where it had none of ours. */
function sentWith({ headers }: Request): Credential | undefined {
  const [, scheme, accessToken] = /^(Bearer|DPoP) (\S+)$/.exec(headers.get('authorization') ?? '') ?? []
  return accessToken ? { scheme: scheme as Credential['scheme'], accessToken } : undefined
}

/** What is done with access tokens: requests to services. */
export function createResources(
  { clock, transport, prover, log }: Context,
  keeper: Keeper,
  origins: ReadonlySet<string>,
  fetch: typeof globalThis.fetch,
  ready: () => Promise<unknown>
) {
  /** Requests that are repeated already. */
  const repeats = new WeakSet<Request>()
  let futileUntil = Number.NEGATIVE_INFINITY

  async function currentToken(signal?: AbortSignal | null, request?: TokenRequest): Promise<Credential | undefined> {
    return await unlessAborted(
      ready().then(() => keeper.credential(request)),
      signal
    )
  }

  /** The next access token after one was refused, or undefined where there is none for whom the request was made. */
  async function afterRefusal({ accessToken }: Credential): Promise<Credential | undefined> {
    const sessionId = claimsOf(accessToken)?.sid
    const isOfNow = () => sessionId !== undefined && keeper.held?.session.id === sessionId
    if (keeper.held?.token.accessToken === accessToken) {
      // A service that refuses every token must not make the others refresh at each request.
      if (clock.mono() < futileUntil) return undefined
      log('info', 'refused')
      keeper.spend(accessToken)
    }
    const next = await keeper.credential().catch(() => undefined)
    // Somebody else may be signed in by now, and must not send what this one meant.
    return isOfNow() && next?.accessToken !== accessToken ? next : undefined
  }

  async function withToken(request: Request, token: Credential): Promise<Request> {
    const headers = await transport.authorization(token, request.method, request.url)
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value)
    return request
  }

  /** Gives a request the token where its origin may have it, and it has no authorization of its own. */
  async function authorize(request: Request): Promise<Credential | undefined> {
    const { url, headers, signal } = request
    if (!origins.has(new URL(url).origin) || headers.has('authorization')) return undefined
    const token = await currentToken(signal)
    if (token) await withToken(request, token)
    return token
  }

  /** The token to repeat a request with after its answer; undefined where it is not to be repeated. */
  async function repeatWith(token: Credential, url: string, response: Response): Promise<Credential | undefined> {
    if (response.status !== 401) return undefined
    if (prover?.learn(response, url)) return token
    return (await refusesToken(response)) ? await afterRefusal(token) : undefined
  }

  async function authorizedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init)
    const token = await authorize(request)
    const response = await fetch(request)
    if (token === undefined) return response
    const isGone = (input instanceof Request && input.bodyUsed) || !isReplayable(init?.body)
    const next = isGone ? undefined : await repeatWith(token, request.url, response)
    if (next === undefined) return response
    void response.body?.cancel().catch(() => {})
    const last = await fetch(await withToken(new Request(input, init), next))
    if (await refusesToken(last)) futileUntil = clock.mono() + futileFor
    return last
  }

  return {
    fetch: authorizedFetch as AuthClient['fetch'],
    async authorize(original: Request): Promise<Request> {
      const request = new Request(original)
      await authorize(request)
      return request
    },
    async shouldRetry(request: Request, response: Response): Promise<Request | null> {
      const token = sentWith(request)
      if (token === undefined || request.bodyUsed || repeats.has(request)) return null
      if (!origins.has(new URL(request.url).origin)) return null
      const next = await repeatWith(token, request.url, response)
      if (next === undefined) return null
      const again = await withToken(new Request(request), next)
      repeats.add(again)
      return again
    },
    async getAccessToken({ signal, ...request }: TokenRequest = {}): Promise<string | null> {
      return (await currentToken(signal, request))?.accessToken ?? null
    }
  }
}

/** What it resolves to, unless the caller gives up before. What others wait for as well goes on. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work
  const done = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    signal.throwIfAborted()
    signal.addEventListener('abort', () => reject(signal.reason), done)
  })
  return Promise.race([work, aborted]).finally(() => done.abort())
}
