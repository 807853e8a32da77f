import type { ColumnType, Generated, GeneratedAlways, Kysely, Transaction } from 'kysely'
import type { ClientKeys } from '../domain/client.js'
import type { RevocationKind } from '../domain/revocation.js'

export interface AccountTable {
  id: string
  username: string
  username_key: string
  email: string | null
  email_key: string | null
  email_verified_at: Date | null
  password_hash: string | null
  password_changed_at: Date | null
  roles: Generated<string[]>
  permissions: Generated<string[]>
  /** Where an account came from and its id there: `django:42`. */
  external_id: Generated<string | null>
  disabled_at: Date | null
  created_at: Date
  last_login_at: Date | null
}

export interface SessionTable {
  id: string
  account_id: string
  /** bigint: the driver gives it as text. */
  generation: ColumnType<string, number | undefined, number>
  transport: 'body' | 'cookie'
  client_id: string
  scope: Generated<string>
  amr: string[]
  acr: string
  user_agent: string | null
  address: string | null
  created_at: Date
  rotated_at: Date
  idle_expires_at: Date
  expires_at: Date
  ended_at: Date | null
  ended_because: string | null
  dpop_jkt: Generated<string | null>
  /** bigint: the driver gives it as text. */
  status_index: Generated<string | null>
}

export interface SigningKeyTable {
  kid: string
  algorithm: string
  public_jwk: ColumnType<Record<string, unknown>, string, string>
  sealed_private_key: Buffer | null
  created_at: Date
  signs_from: Date
  gone_at: Date | null
  revoked_because: Generated<string | null>
  provider: Generated<string>
  provider_reference: Generated<string | null>
}

export interface ServiceSecretTable {
  name: string
  sealed_value: Buffer
}

export interface InvitationTable {
  digest: Buffer
  roles: Generated<string[]>
  is_setup: Generated<boolean>
  created_by: string | null
  created_at: Date
  expires_at: Date
  used_at: Date | null
  used_by: string | null
}

export interface RoleTable {
  name: string
  description: Generated<string>
  permissions: Generated<string[]>
  created_at: Date
}

export interface ApiTokenTable {
  id: string
  digest: Buffer
  account_id: string
  kind: 'personal' | 'authtoken' | 'knox'
  name: string
  hint: string
  scopes: Generated<string[]>
  created_at: Date
  expires_at: Date | null
  last_used_at: Date | null
}

export interface RevocationTable {
  /** bigint: the driver gives it as text. */
  id: GeneratedAlways<string>
  kind: RevocationKind
  subject: string
  because: string
  created_at: Date
  expires_at: Date
}

export interface UsedIdentifierTable {
  digest: Buffer
  expires_at: Date
}

export interface RateWindowTable {
  digest: Buffer
  hits: string
  ends_at: Date
}

export interface PasswordGuessTable {
  who: string
  failures: number
  retry_at: Date
  failed_at: Date
}

export interface StatusEntryTable {
  status_index: string
  expires_at: Date
}

export interface EventReceiverTable {
  id: string
  url: string
  audience: string
  sealed_authorization: Buffer | null
  note: Generated<string>
  created_at: Date
  disabled_at: Date | null
}

export interface EventOutboxTable {
  id: Generated<string>
  receiver_id: string
  /** bigint: the driver gives it as text. */
  revocation_id: string
  account: string
  session: string | null
  because: string
  happened_at: Date
  due_at: Date
  attempts: Generated<number>
  failed_at: Date | null
  error: string | null
}

export interface ClientTable {
  id: string
  account_id: string
  name: string
  secret_digest: Buffer | null
  jwks: ColumnType<ClientKeys | null, string | null, string | null>
  scopes: Generated<string[]>
  audience: Generated<string[]>
  created_at: Date
  disabled_at: Date | null
  last_used_at: Date | null
}

export interface AuditEventTable {
  id: string
  event: string
  outcome: 'success' | 'failure'
  happened_at: Date
  account_id: string | null
  actor_id: string | null
  session_id: string | null
  client_id: string | null
  source: 'request' | 'command' | 'service'
  address: string | null
  user_agent: string | null
  amr: Generated<string[]>
  reason: string | null
  details: ColumnType<Record<string, unknown>, string | undefined, never>
  chained: Generated<boolean>
  /** bigint: the driver gives it as text. */
  position: ColumnType<string | null, never, never>
  link: ColumnType<Buffer | null, never, never>
}

export interface AuditChainTable {
  one: Generated<boolean>
  /** bigint: the driver gives it as text. */
  first_position: ColumnType<string, number, number>
  first_link: Buffer
  /** bigint: the driver gives it as text. */
  last_position: ColumnType<string, number, number>
  last_link: Buffer
  mac: Buffer
}

/** Rows as Postgres has them (db/schema.sql); snake_case does not pass this folder. */
export interface Tables {
  account: AccountTable
  session: SessionTable
  signing_key: SigningKeyTable
  invitation: InvitationTable
  role: RoleTable
  api_token: ApiTokenTable
  revocation: RevocationTable
  password_guess: PasswordGuessTable
  rate_window: RateWindowTable
  used_identifier: UsedIdentifierTable
  status_entry: StatusEntryTable
  event_receiver: EventReceiverTable
  event_outbox: EventOutboxTable
  service_secret: ServiceSecretTable
  client: ClientTable
  audit_event: AuditEventTable
  audit_chain: AuditChainTable
}

export type Db = Kysely<Tables>
export type Trx = Transaction<Tables>
