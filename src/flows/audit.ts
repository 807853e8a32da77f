import { type AuditEventName, composeAuditEvent, type EventFacts } from '../domain/audit-event.js'
import * as auditEvents from '../storage/audit-events.js'
import type { Trx } from '../storage/tables.js'
import type { Tools } from './flow.js'

/** Where audit events go that no transaction takes along. */
export interface AuditTrail {
  /** Whether anything is written at all. */
  readonly isOn: boolean
  /** Whether what is written is to be in the chain. */
  readonly isChained: boolean
  /** An id for an event of this moment, greater than those that were given out before. */
  nextId(at: Date): string
  /** Takes an event, to write it within a second; or drops it, and counts that, where too many wait. */
  add(event: auditEvents.NewAuditEvent): void
  /** Resolves once what was taken until now is written. */
  flush(): Promise<void>
}

/** What whoever tells of something needs. */
export type AuditTools = Pick<Tools, 'clock' | 'log' | 'caller' | 'audit'>

/** The row of an event, of this moment and this caller; null where nothing is written. */
export function auditRow(
  tools: AuditTools,
  event: AuditEventName,
  facts: EventFacts
): auditEvents.NewAuditEvent | null {
  if (!tools.audit.isOn) return null
  const at = tools.clock()
  const row = composeAuditEvent(event, facts, tools.caller, { id: tools.audit.nextId(at), at })
  return { ...row, chained: tools.audit.isChained }
}

/** Tells of something that needs no transaction: a refusal, a sign-in. Nobody waits for it, and no answer fails because of it. */
export function note(tools: AuditTools, event: AuditEventName, facts: EventFacts): void {
  tools.log(event, facts)
  const row = auditRow(tools, event, facts)
  if (row !== null) tools.audit.add(row)
}

/**
 * Tells of a change in the transaction that makes it, so that neither is there without the other. Before revocations are
 * inserted, whose lock is held until the end.
 */
export async function noteIn(tools: AuditTools, trx: Trx, event: AuditEventName, facts: EventFacts): Promise<void> {
  const row = auditRow(tools, event, facts)
  if (row !== null) await auditEvents.insert(trx, [row])
  tools.log(event, facts)
}
