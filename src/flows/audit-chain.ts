import {
  type ChainVerdict,
  type Ends,
  follow,
  macOfEnds,
  origin,
  type Place,
  verifyChain
} from '../domain/audit-chain.js'
import type { AuditEvent } from '../domain/audit-event.js'
import * as auditChain from '../storage/audit-chain.js'
import type { Db } from '../storage/tables.js'

/** What the chain of audit events needs. */
export interface ChainTools {
  readonly db: Db
  readonly clock: () => Date
  /** With which links are made. */
  readonly key: () => Promise<Buffer>
  /** Milliseconds for which events are kept; null where none is written. */
  readonly retention: number | null
}

/** Events that one transaction links at most. */
const linkedAtOnce = 1_000

/**
 * Links the events that wait for it, in the order of their ids, one replica at a time; how many. What is written costs its
 * writer no lock: an event is linked once it is committed, by whoever comes first.
 */
export async function linkAuditEvents(tools: ChainTools): Promise<number> {
  const key = await tools.key()
  return await tools.db.transaction().execute(async (trx) => {
    if (!(await auditChain.tryLock(trx))) return 0
    const events = await auditChain.listUnlinked(trx, linkedAtOnce)
    if (events.length === 0) return 0
    const found = await auditChain.findEnds(trx)
    const ends: Ends = found ?? { first: origin, last: origin }
    let last = ends.last
    const places = events.map((event) => {
      last = follow(key, last, event)
      return { ...last, id: event.id }
    })
    await auditChain.link(trx, places)
    await auditChain.putEnds(trx, { first: ends.first, last }, macOfEnds(key, { first: ends.first, last }))
    return events.length
  })
}

/** Removes events that are older than they are kept, so many at most; how many, and null where another replica has the chain. */
export async function removeOldAuditEvents(tools: ChainTools, limit: number): Promise<number | null> {
  const { retention } = tools
  if (retention === null) return 0
  // Read before the transaction, which holds a connection; without a chain there is none to read.
  const key = (await auditChain.findEnds(tools.db)) && (await tools.key())
  return await tools.db.transaction().execute(async (trx) => {
    if (!(await auditChain.tryLock(trx))) return null
    const moment = new Date(tools.clock().getTime() - retention)
    const { removed, first } = await auditChain.removeBefore(trx, moment, limit)
    if (first !== undefined && key !== undefined) {
      const { last } = (await auditChain.findEnds(trx))!
      await auditChain.putEnds(trx, { first, last }, macOfEnds(key, { first, last }))
    }
    return removed
  })
}

export interface AuditVerdict extends ChainVerdict {
  /** Events that are in no chain, because they were written while it was off, and such as are yet to be linked. */
  readonly unchained: number
  readonly unlinked: number
}

/** Looks at every link, as of one moment. `head` is a place that somebody has noted elsewhere: the chain must still have it. */
export async function verifyAuditChain(tools: ChainTools, head: Place | undefined): Promise<AuditVerdict> {
  const key = await tools.key()
  return await tools.db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (trx) => {
      const ends = await auditChain.findEnds(trx)
      let atHead: Buffer | undefined
      async function* linked(): AsyncGenerator<AuditEvent & Place> {
        for (let after = -1; ; ) {
          const events = await auditChain.listLinked(trx, after, 1_000)
          for (const event of events) {
            if (event.position === head?.position) atHead = event.link
            yield event
          }
          if (events.length < 1_000) return
          after = events.at(-1)!.position
        }
      }
      const verdict = await verifyChain(key, ends, linked())
      const outside = await auditChain.countOutside(trx)
      if (head === undefined || verdict.broken !== null) return { ...verdict, ...outside }
      if (ends !== undefined && head.position === ends.first.position) atHead = ends.first.link
      // Older than all that is kept: nothing is left to compare it with.
      const isKept = ends === undefined || head.position >= ends.first.position
      if (!isKept || atHead?.equals(head.link)) return { ...verdict, ...outside }
      const because = atHead === undefined ? ('missing' as const) : ('changed' as const)
      return { ...verdict, ...outside, broken: { position: head.position, eventId: null, because } }
    })
}
