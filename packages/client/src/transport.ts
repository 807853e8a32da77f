import type { Timing } from './clock.js'
import { failure, isObject, type LocalCode, type Problem, problemOf, readRetryAfter } from './problem.js'
import type { Prover } from './types.js'

export interface Outgoing {
  /** It is sent by POST. */
  readonly path: string
  readonly body?: object
  readonly token?: Credential
  /** Whether the browser's cookies go along. */
  readonly cookies?: boolean
  /** Whether a proof goes along, where there is a key. */
  readonly proof?: boolean
  /** Goes on where the page is left. */
  readonly keepalive?: boolean
  readonly signal?: AbortSignal | undefined
}

/** An access token, and how it is sent. */
export interface Credential {
  readonly accessToken: string
  readonly scheme: 'Bearer' | 'DPoP'
}

export type Answer =
  | { readonly ok: true; readonly status: number; readonly data: unknown }
  | { readonly ok: false; readonly problem: Problem }

export interface Transport {
  /** One request to the service, bounded in time. Never rejects. */
  send(outgoing: Outgoing): Promise<Answer>
  /** The headers that make a request one of the token's holder. Rejects where no proof can be made. */
  authorization(credential: Credential, method: string, url: string): Promise<Record<string, string>>
}

export interface TransportOptions {
  readonly baseUrl: string
  readonly fetch: typeof globalThis.fetch
  readonly clock: Timing
  /** Milliseconds. */
  readonly timeout: number
  readonly prover: Prover | undefined
  onSkew(milliseconds: number): void
}

export function createTransport({ baseUrl, fetch, clock, timeout, prover, onSkew }: TransportOptions): Transport {
  async function authorization({ accessToken, scheme }: Credential, method: string, url: string) {
    const headers: Record<string, string> = { authorization: `${scheme} ${accessToken}` }
    if (scheme === 'DPoP' && prover) headers.dpop = await prover.prove({ method, url, accessToken })
    return headers
  }

  async function send(outgoing: Outgoing, isAgain = false): Promise<Answer> {
    const { path, body = {}, token, cookies, proof, keepalive = false, signal } = outgoing
    const url = baseUrl + path
    const method = 'POST'
    const giveUp = new AbortController()
    let because: LocalCode = 'key_unavailable'
    const abort = (code: LocalCode) => {
      because = code
      giveUp.abort()
    }
    const onAbort = () => abort('aborted')
    const cancel = clock.after(timeout, () => abort('timeout'))
    signal?.addEventListener('abort', onAbort)
    try {
      if (signal?.aborted) return failure('aborted')
      const headers: Record<string, string> = {
        'content-type': 'application/json',
        'x-auth-request': '1',
        ...(token && (await authorization(token, method, url))),
        ...(proof && prover && { dpop: await prover.prove({ method, url }) })
      }
      if (!giveUp.signal.aborted) because = 'network_error'
      const sentAt = clock.wall()
      const response = await fetch(url, {
        method,
        headers,
        body: JSON.stringify(body),
        signal: giveUp.signal,
        keepalive,
        credentials: cookies ? 'include' : 'omit',
        cache: 'no-store',
        // The service never redirects: whoever does is somebody else.
        redirect: 'manual'
      })
      const { status, ok } = response
      const date = Date.parse(response.headers.get('date') ?? '')
      const took = clock.wall() - sentAt
      // Date is cut to seconds; an answer that took long says little about when it was written.
      if (date > 0 && took < 5_000) onSkew(date + 500 - sentAt - took / 2)
      prover?.learn(response, url)
      let data: unknown
      if (/^application\/(problem\+)?json\b/.test(response.headers.get('content-type') ?? '')) {
        data = JSON.parse(await response.text())
      }
      if (status === 204 || (ok && isObject(data))) return { ok: true, status, data }
      // An opaque redirect has no status at all.
      const problem = problemOf(status, ok ? undefined : data, readRetryAfter(response.headers))
      // For want of the nonce or the time that this answer told; or the browser sent the request twice, and so the proof.
      const isForProof = /^dpop_(nonce|proof)/.test(problem.code)
      return isForProof && prover && !isAgain ? await send(outgoing, true) : failure(problem)
    } catch (error) {
      return failure(error instanceof SyntaxError ? 'bad_response' : because)
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  return { send: (outgoing) => send(outgoing), authorization }
}
