import { Type } from 'typebox'
import { auditEvents } from '../domain/audit-event.js'
import { closed, nullable, Timestamp, Uuid } from './common.js'

const EventName = Type.String({ description: 'Out of the list in docs/audit.md.', examples: ['login.succeeded'] })
const Outcome = Type.Union([Type.Literal('success'), Type.Literal('failure')])
const Limit = Type.String({
  pattern: '^([1-9]|[1-9][0-9]|100)$',
  maxLength: 3,
  description: '1 to 100; 50 by default.'
})
const Cursor = Type.String({ maxLength: 100, description: 'Where the last page ended: its `next_cursor`.' })
const NextCursor = Type.Optional(
  Type.String({ description: 'Send it as `cursor` for the next page. Absent on the last one.' })
)

const happened = {
  id: Uuid,
  event: EventName,
  outcome: Outcome,
  happened_at: Timestamp,
  session_id: nullable(Uuid),
  client_id: nullable(Type.String()),
  address: nullable(Type.String()),
  user_agent: nullable(Type.String()),
  amr: Type.Array(Type.String(), { description: 'How whoever did it had signed in (RFC 8176).' }),
  reason: nullable(Type.String())
}

const SecurityEvent = closed(
  {
    ...happened,
    by_administrator: Type.Boolean({
      description: 'Whether somebody else did it, who runs the service; then nothing more is told of them.'
    }),
    attention: Type.Boolean({
      description: 'Whether to look at it: a new device, a password that changed, a copied token, wrong passwords.'
    })
  },
  { title: 'SecurityEvent' }
)

export const SecurityEventPage = closed(
  { events: Type.Array(SecurityEvent), next_cursor: NextCursor },
  { title: 'SecurityEventPage' }
)

export const SecurityEventQuery = closed({ cursor: Type.Optional(Cursor), limit: Type.Optional(Limit) })

const AuditEvent = closed(
  {
    ...happened,
    account_id: nullable(Uuid),
    actor_id: nullable(Uuid, { description: 'The account that did it, where it was another one.' }),
    source: Type.Union([Type.Literal('request'), Type.Literal('command'), Type.Literal('service')], {
      description: 'By a request, by a command at a terminal, or by the service itself.'
    }),
    details: Type.Record(Type.String(), Type.Unknown(), { description: 'What else is known, by the event.' })
  },
  { title: 'AuditEvent' }
)

export const AuditEventPage = closed(
  { events: Type.Array(AuditEvent), next_cursor: NextCursor },
  { title: 'AuditEventPage' }
)

export const AuditQuery = closed({
  account: Type.Optional(Type.String({ maxLength: 36, description: 'Whom it concerns, by the id of the account.' })),
  event: Type.Optional(
    Type.String({ maxLength: 64, description: `One of ${Object.keys(auditEvents).length} names: docs/audit.md.` })
  ),
  outcome: Type.Optional(Outcome),
  since: Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'From this moment on.' })),
  until: Type.Optional(Type.String({ format: 'date-time', maxLength: 40, description: 'Until before this moment.' })),
  cursor: Type.Optional(Cursor),
  limit: Type.Optional(Limit)
})
