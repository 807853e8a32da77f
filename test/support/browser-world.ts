import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type Front, front } from './front.js'
import { type Change, type World, world } from './world.js'

export interface BrowserWorld extends World {
  readonly front: Front
}

const worldBegins = Date.parse('2030-01-01T12:00:00Z')

/** The service behind a front on localhost, which is its address to clients; its time is the machine's, and what `wait` adds. */
export async function browserWorld(t: Test, change: Change = (options) => options): Promise<BrowserWorld> {
  const door = await front(t)
  const atPresent = (inWorld: Date) => new Date(inWorld.getTime() - worldBegins + Date.now())
  const w: World = await world(t, (options) =>
    change({ ...options, issuer: door.url, allowedOrigins: [door.url], clock: () => atPresent(options.clock!()) })
  )
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = w.app.server.address() as AddressInfo
  door.upstream = new URL(`http://127.0.0.1:${port}`)
  return { ...w, front: door, now: () => atPresent(w.now()) }
}
