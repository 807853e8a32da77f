import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

export interface RawResponse {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Sends a request byte for byte, as no client library would, and reads until the service closes. */
export type Raw = (startLine: string, headers?: readonly string[], body?: string) => Promise<RawResponse>

export async function listening(app: FastifyInstance): Promise<Raw> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return async (startLine, headers = [], body = '') => {
    const socket = net.connect(port, '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    // A service that refuses a body early closes while it is still being sent.
    socket.on('error', () => {})
    const length = body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]
    const lines = [`${startLine} HTTP/1.1`, 'host: auth.test', 'connection: close', ...length, ...headers]
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
    await once(socket, 'close')
    const [head = '', ...rest] = text.split('\r\n\r\n')
    return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') }
  }
}
