import type { Redis } from 'ioredis'
import type { Total } from '../storage/rate-windows.js'
import type { AddHits } from './shared-windows.js'

/** Adds to a window, or begins one; the sum, and milliseconds until it ends. */
const script = `
  local hits = redis.call('INCRBY', KEYS[1], ARGV[1])
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then
    left = tonumber(ARGV[2])
    redis.call('PEXPIRE', KEYS[1], left)
  end
  return {hits, left}`

/** Counts in a Redis or Valkey. It may come and go: whoever counts is told by an error, and goes on. */
export async function redisWindows(
  address: URL,
  onError: (error: Error) => void
): Promise<{ add: AddHits; close(): Promise<void> }> {
  const { Redis } = await import('ioredis')
  const redis: Redis = new Redis(address.href, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: 2_000,
    commandTimeout: 1_000,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000)
  })
  let isTold = false
  redis.on('ready', () => {
    isTold = false
  })
  redis.on('error', (error) => {
    if (!isTold) onError(error)
    isTold = true
  })
  redis.defineCommand('keyturnAddHits', { numberOfKeys: 1, lua: script })
  await redis.connect().catch(() => {})

  return {
    async add(counted, now) {
      const pipeline = redis.pipeline()
      for (const { digest, hits, endsAt } of counted) {
        const left = Math.max(1, endsAt.getTime() - now.getTime())
        const command = pipeline as unknown as Record<'keyturnAddHits', (...words: (string | number)[]) => void>
        command.keyturnAddHits(`keyturn:rate:${digest.toString('base64url')}`, hits, left)
      }
      const answers = (await pipeline.exec()) ?? []
      return answers.map(([error, answer], at): Total => {
        if (error !== null) throw error
        const [hits, left] = answer as [number, number]
        return { digest: counted[at]!.digest, hits, endsAt: new Date(now.getTime() + left) }
      })
    },
    close: async () => void redis.disconnect()
  }
}
