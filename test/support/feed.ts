import { createPublicKey } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { jwtVerify } from 'jose'
import { sql } from 'kysely'
import type { Test } from 'tap'
import { principal } from '../../src/domain/principal.js'
import { RevocationSet } from '../../src/domain/revocation.js'
import { origin } from '../../src/domain/revocation-cursor.js'
import { type FeedDocument, feedType, judgeFeed, passFeedGate } from '../../src/domain/revocation-feed.js'
import { type Change, issuer, type World, world } from './world.js'

type App = World['app']

export const withFeed =
  (change: Partial<Parameters<Change>[0]['revocationFeed']>): Change =>
  (options) => ({ ...options, revocationFeed: { ...options.revocationFeed, ...change } })

/** What a service does that verifies by itself: with another library, and the keys that are published. */
export async function read(w: World, text: string): Promise<FeedDocument> {
  const gate = passFeedGate(text)
  if (!gate.ok) throw new Error(gate.because)
  const jwk = w.app.keys.published().find(({ kid }) => kid === gate.header.kid)!.publicJwk
  const { payload } = await jwtVerify(text, createPublicKey({ key: jwk as never, format: 'jwk' }), {
    typ: feedType,
    issuer,
    currentDate: w.now()
  })
  return payload as unknown as FeedDocument
}

export const fetchPage = async (w: World, since: string, app: App = w.app) => {
  const response = await app.inject(`/v1/revocations?since=${since}`)
  if (response.statusCode !== 200) throw new Error(response.body)
  return await read(w, response.body)
}

/** A reader that follows the feed by its rules. */
export class Reader {
  set = new RevocationSet()
  cursor = origin
  resets = 0
  #issuedAt = 0

  async follow(w: World, app: App = w.app): Promise<void> {
    let next = this.cursor === origin ? new RevocationSet() : this.set
    for (;;) {
      const payload = await fetchPage(w, this.cursor, app)
      const expected = { issuer, since: this.cursor, issuedAt: this.#issuedAt, leeway: 5 }
      const verdict = judgeFeed(payload, expected, w.now())
      if (verdict.kind === 'refuse') throw new Error(verdict.because)
      this.#issuedAt = verdict.issuedAt
      if (verdict.kind === 'reset') {
        this.resets++
        this.cursor = origin
        next = new RevocationSet()
        continue
      }
      for (const entry of verdict.entries) next.add(entry)
      this.cursor = verdict.cursor
      if (verdict.complete) break
    }
    this.set = next
  }

  knows(sessionId: string): boolean {
    const who = principal({ accountId: 'x', authenticator: 'bearer', sessionId, revision: 0 })
    return this.set.find(who) !== undefined
  }
}

export const sessionOf = (accessToken: string): string =>
  JSON.parse(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString()).sid

export async function signOut(w: World): Promise<string> {
  const tokens = await w.login(await w.account())
  await w.post('/v1/logout', { refresh_token: tokens.refresh_token })
  await w.app.revocations.read()
  return sessionOf(tokens.access_token)
}

export const insertMany = (w: World, from: number, to: number) =>
  sql`
    insert into revocation (kind, subject, because, created_at, expires_at)
    select 'session', 'session-' || n, 'logout', ${w.now()}::timestamptz, ${new Date(w.now().getTime() + 600_000)}::timestamptz
    from generate_series(${from}::int, ${to}::int) as n`.execute(w.app.db)

export async function listening(t: Test, change?: Change): Promise<{ w: World; url: string }> {
  const w = await world(t, change)
  await w.app.listen({ host: '127.0.0.1', port: 0 })
  return { w, url: `http://127.0.0.1:${(w.app.server.address() as AddressInfo).port}` }
}
