import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { Test } from 'tap'

/** The end of every statement that a client sends: Sync of the extended protocol, and simple queries by their tag. */
const sync = Buffer.from([0x53, 0, 0, 0, 4])

/** A way to the database that counts the statements which pass it. */
export async function countingLink(t: Test, databaseUrl: string): Promise<{ url: string; statements(): number }> {
  const target = new URL(databaseUrl)
  const sockets = new Set<net.Socket>()
  let statements = 0
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(target.port || 5432), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      const end = () => {
        client.destroy()
        upstream.destroy()
      }
      socket.on('error', end).on('close', end)
    }
    client.on('data', (chunk) => {
      for (let at = chunk.indexOf(sync); at >= 0; at = chunk.indexOf(sync, at + 1)) statements++
    })
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return { url: url.href, statements: () => statements }
}
