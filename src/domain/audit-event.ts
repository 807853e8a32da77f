import { isUuid } from './uuid.js'

/** Who does something, and from where: what a request, a command or the service itself says of the one who asks. */
export interface Caller {
  readonly source: 'request' | 'command' | 'service'
  readonly address: string | null
  readonly userAgent: string | null
  /** The account whose credential came along; null where none did. */
  readonly accountId: string | null
  readonly sessionId: string | null
  readonly clientId: string | null
  readonly amr: readonly string[]
}

/** The service, of its own accord, or whoever runs it at a terminal. */
export const callerWithin = (source: 'service' | 'command'): Caller => ({
  source,
  address: null,
  userAgent: null,
  accountId: null,
  sessionId: null,
  clientId: null,
  amr: []
})

interface Described {
  readonly says: string
  readonly outcome: 'success' | 'failure'
  /** What a row keeps beside its columns: nothing that is not named here gets into it. */
  readonly details?: readonly string[]
  /** Whether the owner of the account should look at it: always, or where this detail is true. */
  readonly attention?: true | string
}

const described = <Names extends string>(events: Record<Names, Described>) => events

/** Every event that the audit keeps. The table of docs/audit.md is this list. */
export const auditEvents = described({
  'login.succeeded': {
    says: 'A session began.',
    outcome: 'success',
    details: ['new_device'],
    attention: 'new_device'
  },
  'login.failed': {
    says: 'A sign-in was refused: `unknown` name, wrong `password`, `disabled` account.',
    outcome: 'failure'
  },
  'login.delayed': {
    says: 'So many passwords in a row were wrong that the next sign-in has to wait.',
    outcome: 'failure',
    details: ['failures'],
    attention: true
  },
  'login.locked': {
    says: 'So many passwords in a row were wrong that none is looked at until somebody unlocks the account.',
    outcome: 'failure',
    details: ['failures'],
    attention: true
  },
  'login.refused': {
    says: 'A password was not looked at: `delayed` or `locked`.',
    outcome: 'failure'
  },
  'password.accepted': {
    says: 'A name and a password were right where no session begins: Basic, and Django’s token endpoints.',
    outcome: 'success'
  },
  'password.refused': {
    says: 'Somebody who was signed in gave a wrong current password.',
    outcome: 'failure'
  },
  'password.changed': {
    says: 'The password was changed, and what the old one was good for has ended.',
    outcome: 'success',
    attention: true
  },
  'password.upgraded': {
    says: 'The hash of the same password was made anew, by the present settings.',
    outcome: 'success',
    details: ['scheme']
  },
  'account.created': { says: 'The account was made.', outcome: 'success', details: ['roles', 'invited'] },
  'account.changed': {
    says: 'The username or the email address was changed.',
    outcome: 'success',
    details: ['changed'],
    attention: true
  },
  'account.deleted': { says: 'The account was deleted.', outcome: 'success' },
  'refresh.replayed': {
    says: 'A refresh token was presented again long after its successor was given, which nobody has used; it got the same successor.',
    outcome: 'success',
    details: ['late']
  },
  'refresh.reuse_detected': {
    says: 'A refresh token was presented again after its successor was used: somebody has a copy. The session ended.',
    outcome: 'failure',
    attention: true
  },
  'session.ended': { says: 'One session ended; the reason says how.', outcome: 'success' },
  'session.ended_all': {
    says: 'All sessions of the account ended, or all others; the reason says how.',
    outcome: 'success',
    details: ['sessions']
  },
  'session.ended_oldest': {
    says: 'The oldest sessions ended, because the account has no more than AUTH_SESSIONS_PER_ACCOUNT.',
    outcome: 'success',
    details: ['sessions']
  },
  'token.revoked': { says: 'A client ended an access token.', outcome: 'success', details: ['token'] },
  'token.minted': {
    says: 'Whoever runs the service made a session for an account, without its password.',
    outcome: 'success',
    attention: true
  },
  'api_token.created': {
    says: 'An API token was made.',
    outcome: 'success',
    details: ['token', 'kind'],
    attention: true
  },
  'api_token.removed': { says: 'API tokens were removed.', outcome: 'success', details: ['tokens'] },
  'user.disabled': { says: 'The account was disabled, and its sessions ended.', outcome: 'success' },
  'user.enabled': { says: 'The account was enabled again.', outcome: 'success' },
  'user.unlocked': { says: 'The wrong passwords of the account were forgotten.', outcome: 'success' },
  'user.roles_changed': { says: 'The account got other roles.', outcome: 'success', details: ['roles'] },
  'user.permissions_changed': {
    says: 'The account got other permissions of its own.',
    outcome: 'success',
    details: ['permissions']
  },
  'users.imported': {
    says: 'Accounts of another system were imported.',
    outcome: 'success',
    details: ['created', 'alreadyThere', 'refused', 'isDryRun']
  },
  'invitation.created': { says: 'An invitation was made.', outcome: 'success', details: ['roles'] },
  'admin.bootstrapped': { says: 'The administrator of the settings was made.', outcome: 'success' },
  'role.put': {
    says: 'A role was added, or means something else.',
    outcome: 'success',
    details: ['role', 'permissions']
  },
  'role.removed': { says: 'A role was removed.', outcome: 'success', details: ['role'] },
  'client.created': { says: 'A client was registered.', outcome: 'success' },
  'client.changed': { says: 'A client was changed.', outcome: 'success', details: ['changed'] },
  'client.secret_rotated': { says: 'A client got another secret.', outcome: 'success' },
  'client.removed': { says: 'A client was removed.', outcome: 'success' },
  'client.token_issued': { says: 'A client got an access token for itself.', outcome: 'success', details: ['scope'] },
  'client.refused': { says: 'A client did not prove who it is.', outcome: 'failure', details: ['method'] },
  'receiver.added': { says: 'A receiver of events was added.', outcome: 'success', details: ['receiver'] },
  'receiver.removed': { says: 'A receiver of events was removed.', outcome: 'success', details: ['receiver'] },
  'receiver.enabled': { says: 'A receiver of events is told again.', outcome: 'success', details: ['receiver'] },
  'receiver.disabled': { says: 'A receiver of events rests.', outcome: 'success', details: ['receiver'] },
  'key.created': {
    says: 'A signing key was made.',
    outcome: 'success',
    details: ['kid', 'provider', 'signs_from']
  },
  'key.revoked': {
    says: 'A signing key was revoked, with the tokens that it signed.',
    outcome: 'success',
    details: ['kid']
  },
  'key.emergency': {
    says: 'All signing keys were replaced at once, and all access tokens ended.',
    outcome: 'success',
    details: ['kid', 'revoked']
  },
  'audit.read': {
    says: 'Somebody read the audit of others, or exported it.',
    outcome: 'success',
    details: ['filter']
  }
})

export type AuditEventName = keyof typeof auditEvents

/** What only the log and the metrics tell: how the service fares, and nothing that anybody has to answer for. */
export const logEvents = [
  'api_token.not_touched',
  'client.not_touched',
  'login.held',
  'password.upgrade_postponed',
  'session.not_extended',
  'stuffing.seen'
] as const

export type EventName = AuditEventName | (typeof logEvents)[number]

/** What somebody tells of an event: columns by these names, and of the rest what the list above names. */
export interface EventFacts {
  readonly account?: string | undefined
  readonly session?: string | undefined
  readonly client?: string | undefined
  readonly because?: string | undefined
  readonly amr?: readonly string[] | undefined
  readonly [detail: string]: unknown
}

export interface AuditEvent {
  readonly id: string
  readonly event: string
  readonly outcome: 'success' | 'failure'
  readonly at: Date
  readonly accountId: string | null
  /** Who did it, where that was another account. */
  readonly actorId: string | null
  readonly sessionId: string | null
  readonly clientId: string | null
  readonly source: Caller['source']
  readonly address: string | null
  readonly userAgent: string | null
  readonly amr: readonly string[]
  readonly reason: string | null
  readonly details: Readonly<Record<string, unknown>>
}

/** An authenticator of somebody's own may name accounts and sessions that are none of ours. */
const uuid = (id: string | null | undefined) => (id != null && isUuid(id) ? id : null)

/** Puts an event together of what happened and of who asked. */
export function composeAuditEvent(
  event: AuditEventName,
  facts: EventFacts,
  caller: Caller,
  { id, at }: { readonly id: string; readonly at: Date }
): AuditEvent {
  const { outcome, details = [] }: Described = auditEvents[event]
  const accountId = uuid(facts.account)
  const actorId = uuid(caller.accountId)
  const kept = details.filter((name) => facts[name] !== undefined).map((name) => [name, facts[name]] as const)
  return {
    id,
    event,
    outcome,
    at,
    accountId,
    actorId: actorId === accountId ? null : actorId,
    sessionId: uuid(facts.session ?? caller.sessionId),
    clientId: (facts.client ?? caller.clientId)?.slice(0, 128) ?? null,
    source: caller.source,
    address: caller.address,
    userAgent: caller.userAgent,
    amr: facts.amr ?? caller.amr,
    reason: facts.because?.slice(0, 200) ?? null,
    details: Object.fromEntries(kept)
  }
}

/** Whether the owner of the account should look at it. An event of a later version is unknown here, and asks for none. */
export function needsAttention({ event, details }: Pick<AuditEvent, 'event' | 'details'>): boolean {
  const { attention }: Partial<Described> = auditEvents[event as AuditEventName] ?? {}
  return attention === true || (attention !== undefined && details[attention] === true)
}
