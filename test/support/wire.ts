import net from 'node:net'

/** One answer, read strictly by RFC 9112: what a proxy in front would take for one. */
export interface WireAnswer {
  readonly status: number
  readonly head: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface Exchange {
  readonly answers: readonly WireAnswer[]
  /** Bytes that are no answer, or a part of one. */
  readonly rest: string
  /** Whether the service ended the connection. */
  readonly closed: boolean
}

/** The answers in a text, one after the other. Those to HEAD are read as bodiless where `methods` says so. */
function readAnswers(text: string, methods: readonly string[] = []): { answers: WireAnswer[]; rest: string } {
  const answers: WireAnswer[] = []
  let rest = text
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    const statusLine = /^HTTP\/1\.1 (\d{3}) /.exec(rest)
    if (end < 0 || statusLine === null) return { answers, rest }
    const head = rest.slice(0, end)
    const headers = new Map(
      head
        .split('\r\n')
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
    )
    const status = Number(statusLine[1])
    let body = ''
    let length = end + 4
    const bodiless = status < 200 || status === 204 || status === 304 || methods[answers.length] === 'HEAD'
    if (!bodiless && headers.get('transfer-encoding') === 'chunked') {
      for (;;) {
        const line = rest.indexOf('\r\n', length)
        const size = Number.parseInt(rest.slice(length, line), 16)
        if (line < 0 || Number.isNaN(size) || rest.length < line + 4 + size) return { answers, rest }
        body += rest.slice(line + 2, line + 2 + size)
        length = line + 4 + size
        if (size === 0) break
      }
    } else if (!bodiless && headers.has('content-length')) {
      const size = Number(headers.get('content-length'))
      if (rest.length < length + size) return { answers, rest }
      body = rest.slice(length, length + size)
      length += size
    } else if (!bodiless) {
      body = rest.slice(length)
      length = rest.length
    }
    if (status !== 100) answers.push({ status, head, headers, body })
    rest = rest.slice(length)
  }
}

export interface ExchangeOptions {
  /** What was asked, as far as the answers cannot be read without it. */
  readonly methods?: readonly string[]
  /** Ends this side of the connection once everything is sent. */
  readonly halfClose?: boolean
  /** Leaves once so many answers are there, or what there is satisfies this. */
  readonly until?: (answers: readonly WireAnswer[], text: string) => boolean
  /** Milliseconds without a byte after which the connection is left; what was answered until then counts. */
  readonly patience?: number
}

/** Sends bytes, written as latin1, on a connection of their own, and reads whatever comes back. */
export function exchange(port: number, bytes: string | Buffer, options: ExchangeOptions = {}): Promise<Exchange> {
  const { methods, halfClose = false, until, patience = 2_000 } = options
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    let text = ''
    let closed = false
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk
      if (until?.(readAnswers(text, methods).answers, text)) socket.destroy()
    })
    // Whoever is refused in the middle of what they say is cut off.
    socket.on('error', () => {})
    socket.on('end', () => {
      closed = true
    })
    socket.on('close', (hadError) => resolve({ ...readAnswers(text, methods), closed: closed || hadError }))
    socket.setTimeout(patience, () => socket.destroy())
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    if (halfClose) socket.end(buffer)
    else socket.write(buffer)
  })
}
