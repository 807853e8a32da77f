import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface FaultyLink {
  /** The same database, through the link. */
  readonly url: string
  /** Every connection is cut, and new ones are refused. */
  cut(): Promise<void>
  /** Connections stand, and not a byte goes through. */
  hang(): void
  mend(): Promise<void>
}

/** A TCP link to the database that a test can break: nothing is imitated but the fault. */
export async function faultyLink(t: Test, databaseUrl: string): Promise<FaultyLink> {
  const target = new URL(databaseUrl)
  const pairs = new Set<[net.Socket, net.Socket]>()
  let hanging = false
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(target.port), target.hostname)
    const pair: [net.Socket, net.Socket] = [client, upstream]
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of pair) socket.on('error', end).on('close', end)
    client.pipe(upstream).pipe(client)
    if (hanging) for (const socket of pair) socket.pause()
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  const destroyAll = () => {
    for (const [client, upstream] of pairs) {
      client.destroy()
      upstream.destroy()
    }
  }
  t.teardown(() => {
    destroyAll()
    server.close()
  })
  const url = new URL(databaseUrl)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return {
    url: url.href,
    async cut() {
      const closed = once(server, 'close')
      server.close()
      destroyAll()
      await closed
    },
    hang() {
      hanging = true
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    async mend() {
      hanging = false
      if (!server.listening) await listen(port)
      for (const pair of pairs) for (const socket of pair) socket.resume()
    }
  }
}
