import type { Settings } from './settings.js'

/** Why nothing could be had from the issuer. */
export class OutgoingError extends Error {
  override readonly name = 'OutgoingError'
}

export interface Wanted {
  /** Media types, the preferred one first. */
  readonly accept: readonly string[]
  /** Bytes of the answer at most. */
  readonly maxBytes: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent by POST as a form where it is there. */
  readonly form?: URLSearchParams
}

export type Answer =
  | { readonly kind: 'content'; readonly text: string; readonly etag: string | undefined }
  | { readonly kind: 'not_modified' }

export interface Opened {
  readonly body: ReadableStream<Uint8Array>
  /** Ends the request. */
  end(): void
}

/**
 * Requests to the issuer. Whatever is there, an answer is bounded: in time with its last byte, in size, in its type; no
 * redirect is followed.
 */
export class Outgoing {
  readonly #closing = new AbortController()
  readonly #settings: Pick<Settings<object>, 'fetch' | 'timeout'>

  constructor(settings: Pick<Settings<object>, 'fetch' | 'timeout'>) {
    this.#settings = settings
  }

  /** Throws an OutgoingError where the answer is not what was wanted. */
  async ask(url: string, wanted: Wanted): Promise<Answer> {
    const controller = new AbortController()
    return await this.#within(this.#settings.timeout, controller, async () => {
      const response = await this.#send(url, wanted, controller.signal)
      if (response.status === 304 && wanted.headers?.['if-none-match'] !== undefined) {
        await response.body?.cancel()
        return { kind: 'not_modified' }
      }
      assertWanted(response, wanted)
      const text = await readText(response, wanted.maxBytes)
      return { kind: 'content', text, etag: response.headers.get('etag') ?? undefined }
    })
  }

  /** Opens a stream: the head of its answer is bounded in time, the rest is for the caller to bound. */
  async open(url: string, wanted: Wanted): Promise<Opened> {
    const controller = new AbortController()
    const end = () => controller.abort(new OutgoingError('ended'))
    this.#closing.signal.addEventListener('abort', end, { once: true })
    const response = await this.#within(this.#settings.timeout, controller, async () => {
      const answer = await this.#send(url, wanted, controller.signal)
      assertWanted(answer, wanted)
      return answer
    })
    if (response.body === null) throw new OutgoingError('an answer without a body')
    return {
      body: response.body,
      end: () => {
        this.#closing.signal.removeEventListener('abort', end)
        end()
      }
    }
  }

  /** Ends all that is under way. */
  close(): void {
    this.#closing.abort(new OutgoingError('the verifier is closed'))
  }

  async #send(url: string, { accept, headers, form }: Wanted, signal: AbortSignal): Promise<Response> {
    return await this.#settings.fetch(url, {
      redirect: 'manual',
      signal,
      headers: { accept: accept.join(', '), ...headers },
      ...(form === undefined ? {} : { method: 'POST', body: form })
    })
  }

  /** Over in time also where what is called does not listen to its signal. */
  async #within<T>(milliseconds: number, controller: AbortController, work: () => Promise<T>): Promise<T> {
    const closing = this.#closing.signal
    let giveUp = (_: Error) => {}
    const late = new Promise<never>((_, reject) => {
      giveUp = (error) => {
        controller.abort(error)
        reject(error)
      }
    })
    const timer = setTimeout(() => giveUp(new OutgoingError(`no answer within ${milliseconds} ms`)), milliseconds)
    const close = () => giveUp(closing.reason)
    if (closing.aborted) close()
    closing.addEventListener('abort', close, { once: true })
    try {
      return await Promise.race([work(), late])
    } catch (error) {
      controller.abort(error)
      throw error instanceof OutgoingError
        ? error
        : new OutgoingError(error instanceof Error ? causeOf(error) : String(error), { cause: error })
    } finally {
      clearTimeout(timer)
      closing.removeEventListener('abort', close)
    }
  }
}

/** "fetch failed" says nothing; its cause does. */
function causeOf(error: Error): string {
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message
}

function assertWanted(response: Response, { accept, maxBytes }: Wanted): void {
  if (response.status !== 200) {
    throw new OutgoingError(`status ${response.status}${response.type === 'opaqueredirect' ? ', a redirect' : ''}`)
  }
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  if (!accept.includes(type.trim().toLowerCase())) throw new OutgoingError('an answer of another media type')
  const length = Number(response.headers.get('content-length') ?? 0)
  if (length > maxBytes) throw new OutgoingError(`an answer of more than ${maxBytes} bytes`)
}

/** Chunk by chunk: an answer may be longer than it says, and longer still once it is decompressed. */
async function readText(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return ''
  const reader = response.body.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    length += value.length
    if (length > maxBytes) throw new OutgoingError(`an answer of more than ${maxBytes} bytes`)
    text += decoder.decode(value, { stream: true })
  }
}

/** The object that an answer is. */
export function objectOf(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new OutgoingError('an answer that is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OutgoingError('an answer that is no object')
  }
  return value as Record<string, unknown>
}
