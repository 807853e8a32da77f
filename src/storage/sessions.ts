import { type RawBuilder, sql } from 'kysely'
import type { HeldSession } from '../domain/rotation.js'
import type { RefreshTransport } from '../domain/session.js'
import { type Account, type AccountRow, toAccount } from './accounts.js'
import { type Grants, type GrantsRow, grants, toGrants } from './grants.js'
import type { Db, Trx } from './tables.js'

export interface Session {
  readonly id: string
  readonly accountId: string
  readonly generation: number
  readonly transport: RefreshTransport
  readonly clientId: string
  readonly scope: string
  readonly amr: readonly string[]
  readonly acr: string
  readonly createdAt: Date
  readonly idleExpiresAt: Date
  readonly expiresAt: Date
  /** From which its place in the status lists follows; null where it has none. */
  readonly statusIndex: number | null
}

export interface NewSession extends Omit<Session, 'generation' | 'statusIndex'> {
  /** Whether it gets a place in a status list. */
  readonly hasStatus: boolean
  readonly userAgent: string | null
  readonly address: string | null
}

/** A session with the account that it speaks for, read in one statement. */
export interface LiveSession {
  readonly session: Session
  readonly account: Account
  readonly grants: Grants
}

export interface Device {
  readonly id: string
  readonly userAgent: string | null
  readonly address: string | null
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
}

export type EndedBecause =
  | 'logout'
  | 'logout_all'
  | 'ended_by_owner'
  | 'ended_by_admin'
  | 'password_changed'
  | 'refresh_reused'
  | 'account_disabled'
  | 'session_limit'
  | 'revoked_by_client'

type LiveRow = AccountRow &
  GrantsRow & {
    session_id: string
    generation: string
    transport: RefreshTransport
    client_id: string
    scope: string
    amr: string[]
    acr: string
    signed_in_at: Date
    idle_expires_at: Date
    expires_at: Date
    status_index: string | null
  }

const live = sql`
  s.id as session_id, s.generation, s.transport, s.client_id, s.scope, s.amr, s.acr,
  s.created_at as signed_in_at, s.idle_expires_at, s.expires_at, s.status_index,
  a.id, a.username, a.email, a.email_verified_at, a.roles, a.permissions, a.external_id, a.disabled_at, a.created_at,
  a.last_login_at, ${grants}`

function toLiveSession(row: LiveRow): LiveSession {
  return {
    session: {
      id: row.session_id,
      accountId: row.id,
      generation: Number(row.generation),
      transport: row.transport,
      clientId: row.client_id,
      scope: row.scope,
      amr: row.amr,
      acr: row.acr,
      createdAt: row.signed_in_at,
      idleExpiresAt: row.idle_expires_at,
      expiresAt: row.expires_at,
      statusIndex: row.status_index === null ? null : Number(row.status_index)
    },
    account: toAccount(row),
    grants: toGrants(row)
  }
}

async function first(db: Db, statement: RawBuilder<LiveRow>): Promise<LiveSession | undefined> {
  const { rows } = await statement.execute(db)
  return rows[0] && toLiveSession(rows[0])
}

/**
 * Begins a session where the account is still enabled and still has the password hash that was checked: between that
 * check and this statement both may have changed. Undefined where they have.
 */
export async function begin(
  db: Db,
  session: NewSession,
  passwordHash: string | null
): Promise<LiveSession | undefined> {
  const { rows } = await sql`
    with a as (
      update account set last_login_at = ${session.createdAt}
      where id = ${session.accountId}
        and disabled_at is null
        and password_hash is not distinct from ${passwordHash}
      returning id
    )
    insert into session
      (id, account_id, transport, client_id, scope, amr, acr, user_agent, address,
       created_at, rotated_at, idle_expires_at, expires_at, status_index)
    select ${session.id}::uuid, a.id, ${session.transport}, ${session.clientId}, ${session.scope},
      ${session.amr}::text[], ${session.acr}, ${session.userAgent}, ${session.address}::inet,
      ${session.createdAt}, ${session.createdAt}, ${session.idleExpiresAt}, ${session.expiresAt},
      case when ${session.hasStatus}::boolean then nextval('session_status_index') end
    from a
    returning id`.execute(db)
  // Read by a statement of its own: the one above may have waited for a change of the account, and would show the
  // account after that change beside the revocations before it.
  return rows.length === 0 ? undefined : await findHeld(db, session.id)
}

/**
 * Rotates: one statement, one row by its primary key, one winner. Of several that present one generation the row lock
 * lets the first through; for the others the condition on the generation no longer holds. Undefined where the
 * presented generation is not current or the session or its account is over; `findHeld` then says which.
 */
export function rotate(
  db: Db,
  presented: { readonly sessionId: string; readonly generation: number; readonly transport: RefreshTransport },
  idleExpiresAt: Date,
  now: Date
): Promise<LiveSession | undefined> {
  return first(
    db,
    // greatest: a replica whose clock is behind must not fail, nor move the session's past.
    sql<LiveRow>`
      update session as s
      set generation = ${presented.generation}::bigint + 1,
        rotated_at = greatest(s.rotated_at, ${now}),
        idle_expires_at = least(s.expires_at, ${idleExpiresAt})
      from account as a
      where s.id = ${presented.sessionId}
        and s.generation <= ${presented.generation}
        and s.transport = ${presented.transport}
        and s.ended_at is null
        and s.expires_at > ${now}
        and s.idle_expires_at > ${now}
        and a.id = s.account_id
        and a.disabled_at is null
      returning ${live}`
  )
}

/** A session as it is now, for the judgement of a token that could not rotate. */
export async function findHeld(db: Db, id: string): Promise<(LiveSession & { held: HeldSession }) | undefined> {
  const { rows } = await sql<LiveRow & { rotated_at: Date; ended_because: string | null }>`
    select ${live}, s.rotated_at, s.ended_because
    from session as s
    join account as a on a.id = s.account_id
    where s.id = ${id}`.execute(db)
  const row = rows[0]
  return (
    row && {
      ...toLiveSession(row),
      held: {
        generation: Number(row.generation),
        rotatedAt: row.rotated_at,
        idleExpiresAt: row.idle_expires_at,
        expiresAt: row.expires_at,
        endedBecause: row.ended_because,
        bound: row.transport === 'cookie',
        accountDisabled: row.disabled_at !== null
      }
    }
  )
}

/** How an end is told to everybody: why, when, and for how long it has to be remembered. */
export interface Ending {
  readonly because: EndedBecause
  readonly at: Date
  /** When the last access token of the session has expired by itself. */
  readonly rememberedUntil: Date
}

/** The entries that tell of each session of the common table expression `ended`. */
const noteEnded = (ending: Ending) => sql`noted as (
  insert into revocation (kind, subject, because, created_at, expires_at)
  select 'session', id::text, ${ending.because}, ${ending.at}::timestamptz, ${ending.rememberedUntil}::timestamptz
  from ended
)`

/** Ends one session; false where it was over already or, with an owner given, is not theirs. */
export async function end(
  db: Db,
  session: { readonly id: string; readonly accountId?: string },
  ending: Ending
): Promise<boolean> {
  const owner = session.accountId ?? null
  const { rows } = await sql`
    with ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where id = ${session.id}
        and ended_at is null
        and (${owner}::uuid is null or account_id = ${owner}::uuid)
      returning id
    ), ${noteEnded(ending)}
    select id from ended`.execute(db)
  return rows.length > 0
}

/** Ends all sessions of an account; the number of those that were alive. One entry tells of them all. */
export async function endAll(db: Db | Trx, accountId: string, ending: Ending): Promise<number> {
  const { rows } = await sql`
    with ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where account_id = ${accountId} and ended_at is null
      returning id
    ), noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      values ('account', ${accountId}, ${ending.because}, ${ending.at}, ${ending.rememberedUntil})
    )
    select id from ended`.execute(db)
  return rows.length
}

/**
 * Ends what an account's old password was good for: its sessions, and the keys that Django's clients get for a password.
 * The session or the key that is in use stays, with its access tokens. One statement: all rows are locked before the
 * writers of revocations are, as everywhere, so that nobody waits for each other.
 */
export async function endForNewPassword(
  db: Db | Trx,
  accountId: string,
  kept: { readonly sessionId: string | null; readonly tokenId: string | null },
  ending: Ending
): Promise<void> {
  await sql`
    with ended as (
      update session
      set ended_at = ${ending.at}, ended_because = ${ending.because}
      where account_id = ${accountId} and ended_at is null and id is distinct from ${kept.sessionId}::uuid
      returning id
    ), removed as (
      delete from api_token
      where account_id = ${accountId}
        and kind in ('authtoken', 'knox')
        and id::text is distinct from ${kept.tokenId}
      returning id
    ), noted as (
      insert into revocation (kind, subject, because, created_at, expires_at)
      select kind, id::text, ${ending.because}, ${ending.at}::timestamptz, ${ending.rememberedUntil}::timestamptz
      from (select 'session' as kind, id from ended union all select 'api_token', id from removed) as over
    )
    select (select count(*) from ended) + (select count(*) from removed)`.execute(db)
}

/** Moves the idle end of a session that is in use, never past its absolute end. */
export async function extendIdle(db: Db, id: string, idleExpiresAt: Date): Promise<void> {
  await sql`
    update session
    set idle_expires_at = least(expires_at, greatest(idle_expires_at, ${idleExpiresAt}))
    where id = ${id} and ended_at is null`.execute(db)
}

/** The devices that are signed in, most recently used first. */
export async function listLive(db: Db, accountId: string, now: Date): Promise<Device[]> {
  const rows = await db
    .selectFrom('session')
    .select(['id', 'user_agent', 'address', 'created_at', 'rotated_at', 'expires_at'])
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .where('idle_expires_at', '>', now)
    .where('expires_at', '>', now)
    .orderBy('rotated_at', 'desc')
    .limit(200)
    .execute()
  return rows.map((row) => ({
    id: row.id,
    userAgent: row.user_agent,
    address: row.address,
    createdAt: row.created_at,
    lastUsedAt: row.rotated_at,
    expiresAt: row.expires_at
  }))
}
