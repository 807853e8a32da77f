// A TCP link that a fault breaks: nothing is imitated but the fault.
import { once } from 'node:events'
import net from 'node:net'

/**
 * Opens a link on a port of its own; `target` tells where it leads now, which a restart or a promotion may change.
 * `host` is where it listens.
 */
export async function openLink(target, host = '127.0.0.1') {
  const pairs = new Set()
  let isHanging = false
  let lag = 0

  /** Passes on what comes, in its order, however the lag changes meanwhile. */
  function pass(from, to) {
    let last = 0
    from.on('data', (chunk) => {
      const due = Math.max(last, performance.now() + lag)
      const wait = due - performance.now()
      if (lag === 0 && last <= performance.now()) to.write(chunk)
      else setTimeout(() => to.writable && to.write(chunk), wait)
      last = due
    })
    from.on('end', () => setTimeout(() => to.end(), Math.max(0, last - performance.now())))
  }

  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ ...target(), allowHalfOpen: true })
    const pair = [client, upstream]
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      for (const socket of pair) socket.destroy()
    }
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end)
    pass(client, upstream)
    pass(upstream, client)
    if (isHanging) for (const socket of pair) socket.pause()
  })
  const listen = async (port) => {
    server.listen(port, host)
    await once(server, 'listening')
  }
  const destroyAll = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  await listen(0)
  const { port } = server.address()
  return {
    host,
    port,
    /** Every connection is cut, with what is on its way, and new ones are refused. */
    async cut() {
      if (!server.listening) return
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
    /** Every byte takes so many milliseconds longer, each way. */
    slow(milliseconds) {
      lag = milliseconds
    },
    async mend() {
      isHanging = false
      lag = 0
      if (!server.listening) await listen(port)
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    close() {
      if (server.listening) server.close()
      destroyAll()
    }
  }
}
