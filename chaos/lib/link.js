// A TCP link to the database that a fault breaks: nothing is imitated but the fault.
import { once } from 'node:events'
import net from 'node:net'

/** Opens a link on a port of its own; `target` tells where the database is now, which a restart may change. */
export async function openLink(target) {
  const pairs = new Set()
  let isHanging = false
  const server = net.createServer((client) => {
    const upstream = net.connect(target(), '127.0.0.1')
    const pair = [client, upstream]
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      for (const socket of pair) socket.destroy()
    }
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end)
    client.pipe(upstream).pipe(client)
    if (isHanging) for (const socket of pair) socket.pause()
  })
  const listen = async (port) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const destroyAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  await listen(0)
  const { port } = server.address()
  return {
    port,
    /** Every connection is cut, and new ones are refused. */
    async cut() {
      const closed = once(server, 'close')
      server.close()
      destroyAll()
      await closed
    },
    /** Connections stand, and not a byte goes through. */
    hang() {
      isHanging = true
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    async mend() {
      isHanging = false
      if (!server.listening) await listen(port)
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    close() {
      if (server.listening) server.close()
      destroyAll()
    }
  }
}
