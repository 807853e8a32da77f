import { type AuditEvent, type AuditEventName, auditEvents as catalogue } from '../domain/audit-event.js'
import { Refusal } from '../domain/refusal.js'
import { firstUuidV7, isUuid } from '../domain/uuid.js'
import * as auditEvents from '../storage/audit-events.js'
import { note } from './audit.js'
import type { Tools } from './flow.js'

/** Reading what happened. */

export interface AuditPage {
  readonly events: readonly AuditEvent[]
  /** Opaque; undefined on the last page. */
  readonly next: string | undefined
}

export interface AuditQuery {
  readonly account?: string | undefined
  readonly event?: string | undefined
  readonly outcome?: AuditEvent['outcome'] | undefined
  /** From this moment on, and until before that one. */
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

interface PageOf {
  readonly cursor?: string | undefined
  readonly limit: number
}

/** What happened to one's own account, the newest first. */
export async function listSecurityEvents(tools: Tools, accountId: string, page: PageOf): Promise<AuditPage> {
  if (!isUuid(accountId)) return { events: [], next: undefined }
  return await readPage(tools, { accountId }, page)
}

/** What happened to anybody, the newest first. To read it is an event as well. */
export async function listAuditEvents(tools: Tools, query: AuditQuery, page: PageOf): Promise<AuditPage> {
  const filter = filterOf(query)
  const found = await readPage(tools, filter, page)
  if (page.cursor === undefined) note(tools, 'audit.read', { filter: described(query) })
  return found
}

/** The same as they happened, the oldest first and to the end, a page at a time. */
export async function* exportAuditEvents(tools: Tools, query: AuditQuery): AsyncGenerator<AuditEvent> {
  const filter = filterOf(query)
  await tools.audit.flush()
  note(tools, 'audit.read', { filter: described(query) })
  const limit = 1_000
  for (let after: string | undefined; ; ) {
    const events = await auditEvents.list(tools.db, filter, { after, limit, first: 'oldest' })
    yield* events
    if (events.length < limit) return
    after = events.at(-1)!.id
  }
}

async function readPage(tools: Tools, filter: auditEvents.AuditFilter, { cursor, limit }: PageOf): Promise<AuditPage> {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString()
  if (after !== undefined && !isUuid(after)) {
    throw wrong('/cursor', 'This is not a cursor from an earlier page. Leave it out to start from the newest.')
  }
  // Whoever looks at once sees at least what this replica has just done.
  await tools.audit.flush()
  const found = await auditEvents.list(tools.db, filter, { after, limit: limit + 1, first: 'newest' })
  const events = found.slice(0, limit)
  return { events, next: found.length > limit ? Buffer.from(events.at(-1)!.id).toString('base64url') : undefined }
}

function filterOf({ account, event, outcome, since, until }: AuditQuery): auditEvents.AuditFilter {
  if (account !== undefined && !isUuid(account)) throw wrong('/account', 'This is not the id of an account.')
  if (event !== undefined && !Object.hasOwn(catalogue, event)) {
    throw wrong('/event', 'There is no such event: docs/audit.md lists them.')
  }
  return {
    accountId: account,
    event: event as AuditEventName | undefined,
    outcome,
    from: since && firstUuidV7(since),
    to: until && firstUuidV7(until)
  }
}

/** What was asked for, without what was not. */
const described = (query: AuditQuery) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined))

function wrong(pointer: string, detail: string): Refusal {
  return new Refusal('validation_failed', { errors: [{ pointer, code: 'invalid', detail }] })
}
