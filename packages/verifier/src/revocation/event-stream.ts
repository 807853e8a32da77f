import { OutgoingError } from '../outgoing.js'

/**
 * The `data` of server-sent events (WHATWG HTML §9.2), one after the other. Ends with the stream. Throws an
 * OutgoingError where nothing comes for `idle` milliseconds, not even a comment, and where an event is longer than
 * `maxLength` characters.
 */
export async function* eventsOf(
  body: ReadableStream<Uint8Array>,
  limits: { readonly idle: number; readonly maxLength: number }
): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  /** What has come since the last line break. */
  let rest: string[] = []
  let restLength = 0
  let data: string[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await soonEnough(reader.read(), limits.idle)
      // An event that was cut off is none.
      if (done) return
      const text = decoder.decode(value, { stream: true })
      rest.push(text)
      restLength += text.length
      if (restLength + length > limits.maxLength) throw new OutgoingError('an event that is too long')
      if (!/[\r\n]/.test(text)) continue
      // A carriage return at the very end may be the first half of a line break.
      const lines = rest.join('').split(/\r\n|\n|\r(?!$)/)
      rest = lines.slice(-1)
      restLength = rest[0]!.length
      lines.pop()
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield data.join('\n')
          data = []
          length = 0
        } else if (line.startsWith('data:')) {
          data.push(line.slice(line[5] === ' ' ? 6 : 5))
          length += line.length
          if (length > limits.maxLength) throw new OutgoingError('an event that is too long')
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

async function soonEnough<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new OutgoingError(`nothing came for ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
