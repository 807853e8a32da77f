import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** What a receiver was sent. */
export interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  readonly claims: {
    readonly jti: string
    readonly aud: string
    readonly sub_id: Record<string, unknown>
    readonly events: Record<string, Record<string, unknown>>
  }
}

/** How a receiver answers; nothing at all for `silence`. */
export type Answer = 'silence' | { status: number; headers?: Record<string, string>; body?: string }

export interface TestReceiver {
  readonly url: string
  readonly received: Received[]
  /** The ids of what it took, sorted. */
  taken(): string[]
  answer: (received: Received, count: number) => Answer
  stop(): Promise<void>
}

/** A real receiver of events, on this machine. */
export async function receiver(t: Test, port = 0): Promise<TestReceiver> {
  const received: Received[] = []
  const taken: string[] = []
  const self = {
    url: '',
    received,
    taken: () => [...taken].sort(),
    answer: (): Answer => ({ status: 202 }),
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close').catch(() => {})
    }
  } as TestReceiver
  const server = http.createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text) => {
      body += text
    })
    request.on('end', () => {
      const claims = JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString() || '{}')
      const one: Received = { headers: request.headers, body, claims }
      received.push(one)
      const answer = self.answer(one, received.length)
      if (answer === 'silence') return
      if (answer.status < 300) taken.push(claims.jti)
      response.writeHead(answer.status, answer.headers).end(answer.body)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    if (server.listening) return self.stop()
  })
  return Object.assign(self, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events` })
}
