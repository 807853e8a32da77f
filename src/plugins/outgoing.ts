import { type PushOutcome, readRetryAfter } from '../domain/security-event.js'

export interface Push {
  readonly url: string
  readonly contentType: string
  readonly authorization: string | undefined
  readonly body: string
  /** Milliseconds until the whole answer has to be there. */
  readonly timeout: number
  /** Gives up at once. */
  readonly signal: AbortSignal
  readonly now: Date
}

/** Bytes of an answer that are read; the rest is nothing that this service asked for. */
const maxAnswer = 4_096

async function readJson(response: Response): Promise<unknown> {
  if (response.body === null) return undefined
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > maxAnswer) return undefined
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    return undefined
  }
}

/**
 * The text that a service answers with 200. Throws where it does not, in time, in that many bytes and without redirects.
 */
export async function getText(
  url: string,
  options: { readonly headers: Record<string, string>; readonly timeout: number; readonly maxBytes: number }
): Promise<string> {
  const response = await fetch(url, {
    headers: options.headers,
    redirect: 'error',
    signal: AbortSignal.timeout(options.timeout)
  })
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`${new URL(url).host} answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > options.maxBytes) throw new Error(`${new URL(url).host} answered more than ${options.maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** An event to a receiver: a POST, without redirects, in bounded time and space. Never throws. */
export async function push(request: Push): Promise<PushOutcome> {
  const { url, contentType, authorization, body, timeout, signal, now } = request
  const controller = new AbortController()
  const giveUp = () => controller.abort()
  const timer = setTimeout(giveUp, timeout)
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': contentType,
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization })
      },
      body,
      // Followed, one would carry the event and the credential to wherever somebody points.
      redirect: 'manual',
      signal: controller.signal
    })
    const retryAfter = readRetryAfter(response.headers.get('retry-after'), now)
    return { status: response.status, body: await readJson(response), retryAfter }
  } catch (error) {
    const { name, message, cause } = error as Error & { cause?: { code?: string } }
    return { failure: name === 'AbortError' ? 'no answer in time' : (cause?.code ?? message) }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', giveUp)
    // Whatever is left of an answer is not waited for.
    controller.abort()
  }
}
