import { createHmac, timingSafeEqual } from 'node:crypto'
import type { AuditEvent } from './audit-event.js'

/**
 * Audit events in a chain: the link of each is an HMAC-SHA-256 over the link before it, its position and all that it says.
 * Whoever changes, removes or adds a row in the database, without the key, breaks it at that place.
 */

/** A place in the chain, and the link of the event there. */
export interface Place {
  readonly position: number
  readonly link: Buffer
}

/** Before the first event. */
export const origin: Place = { position: 0, link: Buffer.alloc(32) }

/** Where the chain begins, after what retention has removed, and where it ends. */
export interface Ends {
  readonly first: Place
  readonly last: Place
}

/** What stands in the link, in an order that does not depend on any database or version. */
function textOf(event: AuditEvent): string {
  return JSON.stringify([
    event.id,
    event.event,
    event.outcome,
    event.at.toISOString(),
    event.accountId,
    event.actorId,
    event.sessionId,
    event.clientId,
    event.source,
    event.address,
    event.userAgent,
    event.amr,
    event.reason,
    Object.entries(event.details).sort(([one], [other]) => (one < other ? -1 : 1))
  ])
}

const positionBytes = (position: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(position))
  return bytes
}

/** The place of an event that follows another one. */
export function follow(key: Buffer, previous: Place, event: AuditEvent): Place {
  const position = previous.position + 1
  const link = createHmac('sha256', key)
    .update('keyturn audit event\0')
    .update(previous.link)
    .update(positionBytes(position))
    .update(textOf(event))
    .digest()
  return { position, link }
}

/** Authenticates both ends, so that nobody cuts rows off without the key. */
export function macOfEnds(key: Buffer, { first, last }: Ends): Buffer {
  const mac = createHmac('sha256', key).update('keyturn audit chain\0')
  for (const { position, link } of [first, last]) mac.update(positionBytes(position)).update(link)
  return mac.digest()
}

export type ChainFault =
  /** The record of both ends is missing or is not by this key. */
  | 'ends'
  /** The event that should be at this position is not there. */
  | 'missing'
  /** What the event says, or what was before it, is not what was linked. */
  | 'changed'

export interface ChainVerdict {
  /** How many events were found as they were linked, from the first on. */
  readonly intact: number
  /** The last of these. */
  readonly last: Place
  /** Where the chain breaks; null where it does not. */
  readonly broken: { readonly position: number; readonly eventId: string | null; readonly because: ChainFault } | null
}

/**
 * Looks at a chain from its first event to its last. `ends` is undefined where there is no record of them, which is
 * right only where there is no event.
 */
export async function verifyChain(
  key: Buffer,
  ends: (Ends & { readonly mac: Buffer }) | undefined,
  events: AsyncIterable<AuditEvent & Place>
): Promise<ChainVerdict> {
  const isAuthentic = ends === undefined || timingSafeEqual(ends.mac, macOfEnds(key, ends))
  let last = ends?.first ?? origin
  let intact = 0
  const broken = (position: number, eventId: string | null, because: ChainFault): ChainVerdict => ({
    intact,
    last,
    broken: { position, eventId, because }
  })
  if (!isAuthentic) return broken(last.position + 1, null, 'ends')
  for await (const event of events) {
    if (ends === undefined) return broken(event.position, event.id, 'ends')
    const expected = follow(key, last, event)
    if (event.position !== expected.position) return broken(expected.position, null, 'missing')
    if (!event.link.equals(expected.link)) return broken(event.position, event.id, 'changed')
    last = expected
    intact++
  }
  if (ends === undefined) return { intact, last, broken: null }
  if (last.position !== ends.last.position) return broken(last.position + 1, null, 'missing')
  if (!last.link.equals(ends.last.link)) return broken(last.position, null, 'changed')
  return { intact, last, broken: null }
}
