import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { AuditEvent, AuditEventName } from '../domain/audit-event.js'
import type { AuditEventTable, Db, Trx } from './tables.js'

/** An event, and whether the chain is to take it up. */
export interface NewAuditEvent extends AuditEvent {
  readonly chained: boolean
}

/** Rows in one parameter, so that however many there are the statement is the same and is planned once. */
export const auditJson = (events: readonly NewAuditEvent[]) =>
  JSON.stringify(
    events.map((one) => ({
      id: one.id,
      event: one.event,
      outcome: one.outcome,
      happened_at: one.at,
      account_id: one.accountId,
      actor_id: one.actorId,
      session_id: one.sessionId,
      client_id: one.clientId,
      source: one.source,
      address: one.address,
      user_agent: one.userAgent,
      amr: one.amr,
      reason: one.reason,
      details: one.details,
      chained: one.chained
    }))
  )

const columns = sql.raw(
  'id, event, outcome, happened_at, account_id, actor_id, session_id, client_id, source, address, user_agent, amr, ' +
    'reason, details, chained'
)
const types = sql.raw(
  'id uuid, event text, outcome text, happened_at timestamptz, account_id uuid, actor_id uuid, session_id uuid, ' +
    'client_id text, source text, address inet, user_agent text, amr text[], reason text, details jsonb, chained boolean'
)

/** Adds events. One that is there already is left as it is, so that a batch whose answer was lost can be sent again. */
export async function insert(db: Db | Trx, events: readonly NewAuditEvent[]): Promise<void> {
  await sql`
    insert into audit_event (${columns})
    select ${columns} from jsonb_to_recordset(${auditJson(events)}::jsonb) as e(${types})
    on conflict (id) do nothing`.execute(db)
}

/**
 * Tells, within the statement that ends one session or several, of each session of its common table expression `ended`: by
 * the event, of those in `events` (`auditJson`), that names it. Whose session it is comes from its row.
 */
export function noteEach(events: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`audited as (
    insert into audit_event (${columns})
    select e.id, 'session.ended', e.outcome, e.happened_at, o.account_id, nullif(e.actor_id, o.account_id), o.id,
      e.client_id, e.source, e.address, e.user_agent, e.amr, e.reason, '{}'::jsonb, e.chained
    from jsonb_to_recordset(${events}::jsonb) as e(${types})
    join ended as o on o.id = e.session_id
  )`
}

/**
 * Tells, within the statement that ends an account's sessions, how many its common table expression `ended` has ended.
 * `event` says the rest; null where nothing is told.
 */
export function noteEnded(name: AuditEventName, event: NewAuditEvent | null): RawBuilder<unknown> {
  return sql`audited as (
    insert into audit_event (${columns})
    select e.id, ${name}, e.outcome, e.happened_at, o.account_id, nullif(e.actor_id, o.account_id), e.session_id,
      e.client_id, e.source, e.address, e.user_agent, e.amr, e.reason,
      jsonb_build_object('sessions', o.sessions), e.chained
    from jsonb_to_recordset(${auditJson(event === null ? [] : [event])}::jsonb) as e(${types})
    cross join (select account_id, count(*) as sessions from ended group by account_id) as o
  )`
}

export const readColumns = [
  'id',
  'event',
  'outcome',
  'happened_at',
  'account_id',
  'actor_id',
  'session_id',
  'client_id',
  'source',
  'address',
  'user_agent',
  'amr',
  'reason',
  'details'
] as const

export type AuditEventRow = Pick<Selectable<AuditEventTable>, (typeof readColumns)[number]>

export function toAuditEvent(row: AuditEventRow): AuditEvent {
  return {
    id: row.id,
    event: row.event,
    outcome: row.outcome,
    at: row.happened_at,
    accountId: row.account_id,
    actorId: row.actor_id,
    sessionId: row.session_id,
    clientId: row.client_id,
    source: row.source,
    address: row.address,
    userAgent: row.user_agent,
    amr: row.amr,
    reason: row.reason,
    details: row.details
  }
}

export interface AuditFilter {
  readonly accountId?: string | undefined
  readonly event?: string | undefined
  readonly outcome?: AuditEvent['outcome'] | undefined
  /** Ids, which are ordered by time: from this one on, and up to but without that one. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** A page of events, the newest or the oldest first, that comes after an event of the page before. */
export async function list(
  db: Db,
  filter: AuditFilter,
  page: { readonly after: string | undefined; readonly limit: number; readonly first: 'newest' | 'oldest' }
): Promise<AuditEvent[]> {
  const { accountId, event, outcome, from, to } = filter
  const { after, limit, first } = page
  const rows = await db
    .selectFrom('audit_event')
    .select(readColumns)
    .$if(accountId !== undefined, (query) => query.where('account_id', '=', accountId!))
    .$if(event !== undefined, (query) => query.where('event', '=', event!))
    .$if(outcome !== undefined, (query) => query.where('outcome', '=', outcome!))
    .$if(from !== undefined, (query) => query.where('id', '>=', from!))
    .$if(to !== undefined, (query) => query.where('id', '<', to!))
    .$if(after !== undefined, (query) => query.where('id', first === 'newest' ? '<' : '>', after!))
    .orderBy('id', first === 'newest' ? 'desc' : 'asc')
    .limit(limit)
    .execute()
  return rows.map(toAuditEvent)
}
