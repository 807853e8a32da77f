import type { Place } from '../domain/audit-chain.js'
import type { AuditEvent } from '../domain/audit-event.js'
import { type Call, type Command, lifetime, UsageError } from './command.js'

const toJson = (event: AuditEvent) => ({
  id: event.id,
  happened_at: event.at.toISOString(),
  event: event.event,
  outcome: event.outcome,
  reason: event.reason,
  account_id: event.accountId,
  actor_id: event.actorId,
  session_id: event.sessionId,
  client_id: event.clientId,
  source: event.source,
  address: event.address,
  user_agent: event.userAgent,
  amr: event.amr,
  details: event.details
})

type Json = ReturnType<typeof toJson>

const columns: readonly (keyof Json)[] = [
  'id',
  'happened_at',
  'event',
  'outcome',
  'reason',
  'account_id',
  'actor_id',
  'session_id',
  'client_id',
  'source',
  'address',
  'user_agent',
  'amr',
  'details'
]

/** A cell (RFC 4180). What a spreadsheet would take for a formula is kept from being one: browsers name themselves. */
function toCell(value: unknown): string {
  const text = value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}

/** A moment: as a date, or as how long ago it is. */
function moment(text: string | boolean | undefined, option: string): Date | undefined {
  if (text === undefined) return undefined
  const words = String(text)
  if (/^\d+[smhd]$/.test(words)) return new Date(Date.now() - lifetime(words))
  const date = /^\d{4}-\d\d-\d\d(T|$)/.test(words) ? new Date(words) : new Date(Number.NaN)
  if (Number.isNaN(date.getTime())) {
    throw new UsageError(`--${option} is a date such as 2030-01-31 or 2030-01-31T12:00:00Z, or a duration such as 24h.`)
  }
  return date
}

function place(text: string | boolean | undefined): Place | undefined {
  if (text === undefined) return undefined
  const [, position, link] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(String(text)) ?? []
  if (position === undefined) throw new UsageError('--head is what an earlier `keyturn audit verify` printed.')
  return { position: Number(position), link: Buffer.from(link!, 'hex') }
}

function outcome(text: string | boolean | undefined): AuditEvent['outcome'] | undefined {
  if (text === undefined || text === 'success' || text === 'failure') return text
  throw new UsageError('--outcome is success or failure.')
}

async function exportEvents(call: Call): Promise<void> {
  const { since, until, account, event, format = 'jsonl' } = call.options
  if (format !== 'jsonl' && format !== 'csv') throw new UsageError('--format is jsonl or csv.')
  const query = {
    since: moment(since, 'since'),
    until: moment(until, 'until'),
    account: account as string | undefined,
    event: event as string | undefined,
    outcome: outcome(call.options.outcome)
  }
  await call.withApp(async (app) => {
    if (format === 'csv') call.io.out(columns.join(','))
    for await (const one of app.flows.exportAuditEvents(query)) {
      const json = toJson(one)
      call.io.out(format === 'csv' ? columns.map((column) => toCell(json[column])).join(',') : JSON.stringify(json))
    }
  })
}

const faults = {
  ends: 'the record of where the chain begins and ends is missing, or was not made with its key',
  missing: 'the event that was there is gone',
  changed: 'what stands there is not what was linked'
}

/** What happened, for whoever has to answer for it. */
export const auditCommands: Record<string, Command> = {
  'audit export': {
    usage:
      'audit export [--since <when>] [--until <when>] [--account <id>] [--event <name>] [--outcome success|failure] [--format jsonl|csv]',
    summary: 'Print audit events, the oldest first, one on each line.',
    details:
      'A moment is a date (2030-01-31, 2030-01-31T12:00:00Z) or how long ago it is (24h). That it was exported is an event too.',
    options: {
      since: { type: 'string', help: 'From this moment on.' },
      until: { type: 'string', help: 'Until before this moment.' },
      account: { type: 'string', help: 'Whom it concerns, by the id of the account.' },
      event: { type: 'string', help: 'One event of docs/audit.md.' },
      outcome: { type: 'string', help: 'success or failure.' },
      format: { type: 'string', help: 'jsonl by default, or csv.' }
    },
    async run(call) {
      if (call.options.json) throw new UsageError('It prints JSON as it is: leave --json out.')
      await exportEvents(call)
      return { text: '', json: null }
    }
  },
  'audit verify': {
    usage: 'audit verify [--head <position:link>]',
    summary: 'Look at every link of the chain of audit events. Exits with 1 where it breaks.',
    details:
      'It prints the head of the chain. Whoever keeps that elsewhere, and gives it the next time, also finds a chain whose end was cut off.',
    options: { head: { type: 'string', help: 'A head that was printed before: it must still be there.' } },
    async run(call) {
      const noted = place(call.options.head)
      const { intact, last, broken, unchained, unlinked } = await call.withApp(async (app) => {
        await app.audit.link()
        return await app.audit.verify(noted)
      })
      const head = `${last.position}:${last.link.toString('hex')}`
      const lines = [
        broken === null
          ? `Intact: ${intact} event(s), each as it was linked.`
          : `BROKEN at position ${broken.position}${broken.eventId === null ? '' : ` (${broken.eventId})`}: ${faults[broken.because]}. ` +
            `Before it ${intact} event(s) are intact.`,
        `Head: ${head}`,
        ...(unlinked === 0 ? [] : [`${unlinked} event(s) are yet to be linked.`]),
        ...(unchained === 0
          ? []
          : [`${unchained} event(s) are in no chain: AUTH_AUDIT_CHAIN was off when they happened.`])
      ]
      return {
        text: lines.join('\n'),
        json: {
          intact,
          head,
          broken: broken && { position: broken.position, event: broken.eventId, because: broken.because },
          unlinked,
          unchained
        },
        exitCode: broken === null ? 0 : 1
      }
    }
  }
}
