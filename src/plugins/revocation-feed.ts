import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import fp from 'fastify-plugin'
import { composeFeed } from '../domain/feed-page.js'
import { Refusal } from '../domain/refusal.js'
import { idOf } from '../domain/revocation-cursor.js'
import { feedMaxEntries, feedType } from '../domain/revocation-feed.js'

/** One signed document of the feed. */
export interface FeedPage {
  readonly text: string
  /** A strong validator: the same text, letter by letter. */
  readonly etag: string
  /** What to ask for next. */
  readonly cursor: string
  readonly complete: boolean
}

/** A wait for news that can be given up. */
export interface Wait {
  readonly over: Promise<void>
  end(): void
}

export interface RevocationFeed {
  /** What is new after a cursor, out of this replica's memory. */
  read(since: string): Promise<FeedPage>
  /** Waits for something new after a cursor. Throws `service_unavailable` where too many wait. */
  wait(since: string, milliseconds: number): Wait
  /** Server-sent events with everything after a cursor. Throws `service_unavailable` where there are too many. */
  stream(since: string): Readable
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly revocationFeed: RevocationFeed
  }
}

export interface RevocationFeedOptions {
  readonly issuer: string
  /** Requests that may wait at a time, and streams that may be open, in this process. */
  readonly maxWaiting: number
  readonly maxStreams: number
  /** Milliseconds between two signs of life on a stream. */
  readonly heartbeat: number
  /** Milliseconds that a reader of a stream may take to read what was sent; then it is cut off. */
  readonly slowAfter: number
  readonly clock: () => Date
}

/** Milliseconds after which a page is signed anew, so that whoever reads it knows that it is of now. */
const renewAfter = 15_000
/** Pages that are kept; more cursors than that are not asked for again before the next entry. */
const maxPages = 200

const tooMany = () =>
  new Refusal('service_unavailable', {
    because: 'too many readers of the revocation feed',
    detail: 'Too many readers wait for revocations here. Ask without "wait", or another replica.',
    retryAfter: 5
  })

/** The revocations as signed documents, for services that verify access tokens by themselves. */
export const revocationFeed = fp<RevocationFeedOptions>(
  async (app, options) => {
    const { revocations, keys } = app
    let pages = new Map<string, { page: Promise<FeedPage>; signedAt: number }>()
    let pagesOf = ''
    const waits = new Set<() => void>()
    let waiting = 0
    const streams = new Set<Readable>()
    let isClosing = false

    async function sign(since: string, entries: ReturnType<typeof revocations.after>): Promise<FeedPage> {
      const document = composeFeed({ since, entries, cursor: revocations.cursor() }, options.issuer, options.clock())
      const text = await keys.signing().signAs(feedType, document)
      const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
      return { text, etag, cursor: document.cursor, complete: document.complete }
    }

    async function read(since: string): Promise<FeedPage> {
      let entries = revocations.after(since, feedMaxEntries)
      if (entries === undefined && idOf(since) > idOf(revocations.cursor())) {
        // Another replica may have read further than this one, which is no reason to send a reader back.
        await revocations.read()
        entries = revocations.after(since, feedMaxEntries)
      }
      // Whatever somebody makes up as a cursor is not worth to be kept.
      if (entries === undefined) return await sign(since, undefined)
      const cursor = revocations.cursor()
      if (pagesOf !== cursor) {
        pages = new Map()
        pagesOf = cursor
      }
      const now = options.clock().getTime()
      const kept = pages.get(since)
      if (kept !== undefined && Math.abs(now - kept.signedAt) < renewAfter) return await kept.page
      const page = sign(since, entries)
      if (pages.size >= maxPages) pages.clear()
      pages.set(since, { page, signedAt: now })
      return await page
    }

    /** Over when something new is there, when the time is, when it is given up, or when the service closes. */
    function pause(since: string, milliseconds: number): Wait {
      let end = () => {}
      const over = new Promise<void>((resolve) => {
        if (isClosing || revocations.cursor() !== since) return resolve()
        const timer = setTimeout(() => end(), milliseconds)
        const forget = revocations.onChange(() => end())
        end = () => {
          clearTimeout(timer)
          forget()
          waits.delete(end)
          resolve()
        }
        waits.add(end)
      })
      return { over, end: () => end() }
    }

    /** Produces a page whenever the one before was read; nothing piles up for whoever does not read. */
    function open(since: string): Readable {
      let cursor = since
      let isUpToDate = false
      let wait: Wait | undefined
      let slow: NodeJS.Timeout | undefined

      async function next(): Promise<void> {
        if (isUpToDate) {
          wait = pause(cursor, options.heartbeat)
          await wait.over
        }
        if (isClosing) stream.push(null)
        if (isClosing || stream.destroyed) return
        const page = await read(cursor)
        if (stream.destroyed) return
        cursor = page.cursor
        isUpToDate = page.complete
        slow = setTimeout(() => stream.destroy(), options.slowAfter)
        slow.unref()
        stream.push(`: alive\nid: ${page.cursor}\ndata: ${page.text}\n\n`)
      }

      const stream = new Readable({
        highWaterMark: 1,
        read() {
          clearTimeout(slow)
          next().catch((error) => stream.destroy(error))
        },
        destroy(error, done) {
          clearTimeout(slow)
          streams.delete(stream)
          wait?.end()
          done(error)
        }
      })
      streams.add(stream)
      return stream
    }

    app.decorate('revocationFeed', {
      read,
      wait(since, milliseconds) {
        if (waiting >= options.maxWaiting) throw tooMany()
        const wait = pause(since, milliseconds)
        waiting++
        return { ...wait, over: wait.over.finally(() => waiting--) }
      },
      stream(since) {
        if (isClosing || streams.size >= options.maxStreams) throw tooMany()
        return open(since)
      }
    } satisfies RevocationFeed)

    app.addHook('preClose', async () => {
      isClosing = true
      for (const end of [...waits]) end()
      // Those that wait for news end by themselves; whoever does not read is not waited for.
      const cut = setTimeout(() => {
        for (const stream of streams) stream.destroy()
      }, 1_000)
      cut.unref()
    })
  },
  { name: 'revocation-feed', dependencies: ['revocations', 'keys'], fastify: '5.x' }
)
